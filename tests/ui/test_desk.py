"""What those who grade work with."""

import pytest

from llm_proxy.errors import Refused
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.feedback import FeedbackTask
from llm_proxy.store.sql_feedback import SqlFeedback
from llm_proxy.store.sql_grading import SqlGrading
from llm_proxy.ui.desk import Desk, in_words, task_href
from records import NOON


async def test_a_task_is_of_one_organisation(store):
    desk = Desk(store, SqlFeedback(store), SqlGrading(store))
    task = FeedbackTask(id="t", organization_id="a", created_at=NOON, name="n", json_schema={})
    await desk.feedback.add_task(task)

    assert await desk.task(Principal(organization_id="a", scopes=frozenset({Scope.READ})), "t") == task
    with pytest.raises(Refused, match="no feedback task t") as refused:
        await desk.task(Principal(organization_id="b", scopes=frozenset({Scope.READ})), "t")
    assert refused.value.status == 404


def test_addresses_hold_whatever_ids_hold():
    assert task_href("a/b", "calls", "c d?") == "/grading/a%2Fb/calls/c%20d%3F"


def test_values_are_told_in_words():
    values = {"stars": 4, "good": True, "faults": ["long", "wrong"], "none": [], "why": "x\u202ey"}

    assert in_words(values) == "stars: 4 · good: yes · faults: long, wrong · none: none · why: x\ufffdy"
