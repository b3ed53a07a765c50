"""The pages about the whole: grading, and what else is about no single call."""

from llm_proxy.settings import Settings
from llm_proxy.store.sql_feedback import SqlFeedback
from llm_proxy.store.sql_grading import SqlGrading
from llm_proxy.store.sql_series import SqlSeries
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.ui import dashboard, grading, grading_about, grading_queue, pipeline
from llm_proxy.ui.desk import Desk
from llm_proxy.ui.room import Table
from llm_proxy.wiring.works import PipelineWorks


def rooms_of_the_house(settings: Settings, store: SqlStore) -> tuple[Table, ...]:
    """Their tables."""
    desk = Desk(store, SqlFeedback(store), SqlGrading(store))
    numbers = dashboard.table(SqlSeries(store))
    works = pipeline.table(PipelineWorks(settings, store))
    return numbers, works, grading.table(desk), grading_queue.table(desk), grading_about.table(desk)
