"""The pages about the whole: grading, and what else is about no single call."""

from collections.abc import Callable

from llm_proxy.attribution.context import attribute
from llm_proxy.metrics import left_alone, read_all
from llm_proxy.settings.table import Settings
from llm_proxy.settings.upstreams import Upstream
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_feedback import SqlFeedback
from llm_proxy.store.sql_grading import SqlGrading
from llm_proxy.store.sql_series import SqlSeries
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.ui import dashboard, grading, grading_about, grading_queue, pipeline
from llm_proxy.ui import settings as settings_page
from llm_proxy.ui.desk import Desk
from llm_proxy.ui.room import Table
from llm_proxy.ui.settings import House, KeepIn, ShownUpstream
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.passage import passage
from llm_proxy.wiring.works import PipelineWorks


def rooms_of_the_house(
    settings: Settings, store: SqlStore, *, forget: Callable[[], None], keep_in: KeepIn
) -> tuple[Table, ...]:
    """Their tables; ``forget`` is called when keys were changed, ``keep_in`` when the first one closes the pages."""
    counters = DataDir(settings.data_dir).counters
    desk = Desk(store, SqlFeedback(store), SqlGrading(store))
    statistics = SqlSeries(store)
    house = House(
        accounts=SqlAccounts(store),
        statistics=statistics,
        upstreams=tuple(_shown(name, upstream) for name, upstream in settings.all_upstreams().items()),
        left_alone=lambda: left_alone(read_all(counters)),
        forget=forget,
        keep_in=keep_in,
        attribute=lambda headers: attribute(tuple(headers), None, None),
        passage=passage,
    )
    numbers, works = dashboard.table(statistics), pipeline.table(PipelineWorks(settings, store))
    return (
        numbers,
        works,
        settings_page.table(house),
        grading.table(desk),
        grading_queue.table(desk),
        grading_about.table(desk),
    )


def _shown(name: str, upstream: Upstream) -> ShownUpstream:
    return ShownUpstream(
        name=name,
        base_url=str(upstream.base_url or "of the provider"),
        provider=upstream.provider,
        has_key=upstream.key is not None,
    )
