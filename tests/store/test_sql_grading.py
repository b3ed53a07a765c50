"""What whoever hands out calls for grading promises; see ``Grading``. Runs against each of them."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from llm_proxy.model.completion import Status
from llm_proxy.model.exchange import new_id
from llm_proxy.model.feedback import Feedback, FeedbackQuery, FeedbackTask, GradingProgress
from llm_proxy.store.sql_grading import SqlGrading
from records import NOON, tagged

LATER = NOON + timedelta(minutes=10)
TIMES = {"now": NOON, "until": LATER}


@pytest.fixture
def grading(store):
    return SqlGrading(store)


@pytest.fixture
async def task(store, feedback):
    """One that asks for the calls with the tag ``grade``, of which there are three, oldest first 1, 2, 3."""
    await store.put(
        [
            tagged("grade", id=str(number), organization_id="a", started_at=NOON + timedelta(seconds=number))
            for number in (1, 2, 3)
        ]
    )
    await store.put([tagged("other", id="4", organization_id="a"), tagged("grade", id="5", organization_id="b")])
    await store.put([tagged("grade", id="6", organization_id="a", status=Status.STARTED, ending=None, bodies=None)])
    task = FeedbackTask(
        id=new_id(), organization_id="a", created_at=NOON, name="t", json_schema={}, tags=("grade",), answers_wanted=1
    )
    await feedback.add_task(task)
    return task


def given(task, call, who):
    return Feedback(
        id=new_id(),
        organization_id="a",
        created_at=NOON,
        task_id=task.id,
        json_values={},
        completion_ids=(call,),
        given_by=who,
    )


async def test_each_grader_has_a_call_of_his_own_and_keeps_it(grading, task):
    ann, bob = [await grading.reserve(task, who, **TIMES) for who in ("ann", "bob")]

    assert (ann, bob) == ("3", "2")
    assert await grading.reserve(task, "ann", **TIMES) == "3"
    assert not await grading.hold(task, "3", "bob", **TIMES)
    assert await grading.progress(task, now=NOON) == GradingProgress(calls=3, graded=0, held=2)


async def test_graders_who_ask_at_once_do_not_meet(grading, task):
    handed = await asyncio.gather(*(grading.reserve(task, who, **TIMES) for who in ("ann", "bob", "eve", "dan")))

    assert sorted(handed, key=str) == ["1", "2", "3", None]


async def test_what_was_held_for_too_long_is_for_others(grading, task):
    await grading.reserve(task, "ann", **TIMES)

    later = {"now": LATER + timedelta(seconds=1), "until": LATER + timedelta(minutes=10)}

    assert await grading.reserve(task, "bob", **later) == "3"
    assert await grading.reserve(task, "ann", **later) == "2"


async def test_what_was_answered_or_skipped_does_not_come_again(grading, feedback, task):
    await feedback.add(given(task, await grading.reserve(task, "ann", **TIMES), "ann"))
    await grading.release(task, "2", "ann", skipped=True)

    assert await grading.reserve(task, "ann", **TIMES) == "1"
    await grading.release(task, "1", "ann", skipped=True)
    assert await grading.reserve(task, "ann", **TIMES) is None
    assert await grading.reserve(task, "bob", **TIMES) == "2"
    assert (await grading.progress(task, now=NOON)).graded == 1


async def test_what_was_released_is_free(grading, task):
    await grading.reserve(task, "ann", **TIMES)

    await grading.release(task, "3", "ann", skipped=False)

    assert await grading.reserve(task, "bob", **TIMES) == "3"


async def test_as_many_people_as_are_wanted_get_a_call_and_nobody_twice(grading, feedback, task):
    twice = replace(task, answers_wanted=2, name="new", instruction="how", tags=("grade", "grade"))
    await grading.change_task(twice)
    twice = await feedback.task("a", task.id)

    assert (twice.name, twice.instruction, twice.answers_wanted) == ("new", "how", 2)
    assert [await grading.reserve(twice, who, **TIMES) for who in ("ann", "bob", "eve")] == ["3", "3", "2"]
    await feedback.add(given(twice, "3", "ann"))
    assert await grading.reserve(twice, "ann", **TIMES) == "2"
    assert (await grading.progress(twice, now=NOON)).graded == 0
    await feedback.add(given(twice, "3", "bob"))
    assert (await grading.progress(twice, now=NOON)).graded == 1


async def test_one_takes_back_what_is_ones_own(grading, feedback, task):
    mine = given(task, "3", "ann")
    await feedback.add(mine)

    assert not await grading.withdraw("a", mine.id, "bob")
    assert not await grading.withdraw("b", mine.id, "ann")
    assert await grading.withdraw("a", mine.id, "ann")
    assert not await grading.withdraw("a", mine.id, "ann")
    assert (await feedback.find(FeedbackQuery(organization_id="a")))[1] == 0
    assert await grading.hold(task, "3", "ann", **TIMES)


async def test_a_task_without_tags_asks_for_no_calls(grading, feedback, task):
    empty = replace(task, tags=())

    assert await grading.reserve(empty, "ann", **TIMES) is None
    assert (await grading.progress(empty, now=NOON)).calls == 0
