"""What every place for feedback promises; see ``FeedbackStore``. Runs against each of them."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from llm_proxy.model.exchange import new_id
from llm_proxy.model.feedback import Feedback, FeedbackQuery, FeedbackTask
from llm_proxy.store.sql_feedback import SqlFeedback
from llm_proxy.store.sqlite import SqliteStore
from records import NOON, record, tagged

SCHEMA = {"type": "object", "properties": {"stars": {"type": "integer"}}, "required": ["stars"]}


def task(**different):
    members = {"id": new_id(), "organization_id": "a", "created_at": NOON, "name": "stars", "json_schema": SCHEMA}
    return FeedbackTask(**(members | different))


def given(task_id, *completion_ids, **different):
    members = {
        "id": new_id(),
        "organization_id": "a",
        "created_at": NOON,
        "task_id": task_id,
        "json_values": {"stars": 5},
        "completion_ids": completion_ids,
    }
    return Feedback(**(members | different))


def minutes(count):
    return NOON + timedelta(minutes=count)


@pytest.mark.parametrize(
    "different",
    [{}, {"name": "", "instruction": "nul \x00 and \ud800", "tags": ("b", "a"), "json_schema": {"\x00": [2**70]}}],
)
async def test_a_task_comes_back_as_it_was_to_its_organisation_alone(feedback, different):
    added = task(**different)

    await feedback.add_task(added)

    assert await feedback.task("a", added.id) == added
    assert await feedback.task("b", added.id) is None
    assert await feedback.task("a", "none") is None


async def test_tasks_are_listed_newest_first_a_page_at_a_time(feedback):
    tasks = [task(created_at=minutes(number)) for number in range(5)]
    for one in [*tasks, task(organization_id="b")]:
        await feedback.add_task(one)

    assert await feedback.tasks("a") == tasks[::-1]
    assert await feedback.tasks("a", offset=1, limit=2) == [tasks[3], tasks[2]]
    assert len(await feedback.tasks("b")) == 1


@pytest.mark.parametrize(
    "different",
    [
        {},
        {"comment": "", "completions_summary": "\x00", "tags": ("b", "a"), "json_values": {"\ud800": [1.5, None]}},
        {"completion_ids": ("z", "1\x1a/a", "y")},
        {"organization_id": "default"},
    ],
)
async def test_feedback_comes_back_as_it_was_to_its_organisation_alone(feedback, different):
    added = (
        given("t", "z", "1\x1a/a", "y", **different) if "completion_ids" not in different else given("t", **different)
    )

    await feedback.add(added)

    assert await feedback.get(added.organization_id, added.id) == added
    assert await feedback.get("b", added.id) is None
    assert await feedback.get(added.organization_id, "none") is None


async def test_feedback_is_listed_newest_first_by_task_and_by_call(feedback):
    one, two, three = (
        given("t1", "x", created_at=minutes(1)),
        given("t2", "x", "y", created_at=minutes(2)),
        given("t1", created_at=minutes(3)),
    )
    for added in (one, two, three, given("t1", "x", organization_id="b")):
        await feedback.add(added)

    async def found(**conditions):
        return await feedback.find(FeedbackQuery(organization_id="a", **conditions))

    assert await found() == ([three, two, one], 3)
    assert await found(task_id="t1") == ([three, one], 2)
    assert await found(completion_id="x") == ([two, one], 2)
    assert await found(completion_id="y", task_id="t1") == ([], 0)
    assert await found(offset=1, limit=1) == ([two], 3)
    assert await found(limit=0) == ([], 3)


async def test_what_a_task_asks_for_is_ungraded_until_there_is_feedback_to_it(store, feedback):
    both, one, none = (
        replace(tagged(*tags, organization_id="a", started_at=minutes(number)), bodies=None)
        for number, tags in enumerate([("x", "y", "z"), ("x",), ()])
    )
    await store.put([both, one, none, tagged("x", "y", organization_id="b")])

    async def ungraded(**page):
        return await feedback.ungraded("a", **({"offset": 0, "limit": 10} | page))

    assert await ungraded() == []
    await feedback.add_task(task())
    assert await ungraded() == []
    await feedback.add_task(task(id="t1", tags=("y", "x")))
    assert await ungraded() == [both]
    await feedback.add_task(task(id="t", tags=("x",)))
    assert await ungraded() == [one, both]
    assert await ungraded(offset=1) == [both]
    assert await ungraded(limit=1) == [one]
    await feedback.add(given("t", one.id))
    assert await ungraded() == [both]
    await feedback.add(given("t", both.id, organization_id="b"))
    assert await ungraded() == [both]
    await feedback.add(given("t1", both.id))
    assert await ungraded() == [both]
    await feedback.add(given("t", both.id))
    assert await ungraded() == []
    await feedback.add_task(task(id="t2", tags=("x",)))
    assert await ungraded() == [one, both]


async def test_feedback_outlives_the_record_that_it_was_given_to(store, feedback):
    completion = record(organization_id="a")
    await store.put([completion])
    added = given("t", completion.id)
    await feedback.add(added)

    await store.delete([completion.id], "a")

    assert await feedback.get("a", added.id) == added


async def test_where_there_are_no_tables_yet_there_is_no_feedback(tmp_path):
    store = SqliteStore(tmp_path / "none.sqlite3", read_only=True)
    feedback = SqlFeedback(store)

    assert (await feedback.task("a", "t"), await feedback.get("a", "f")) == (None, None)
    assert (await feedback.tasks("a"), await feedback.find(FeedbackQuery(organization_id="a"))) == ([], ([], 0))
    assert await feedback.ungraded("a", offset=0, limit=1) == []
    await store.close()


async def test_feedback_says_who_gave_it_and_to_which_session_or_trace(feedback):
    added = given("t", given_by="ann", session_id="s \x00", trace_id="x")
    await feedback.add(added)
    await feedback.add(given("t", given_by="bob"))

    assert await feedback.get("a", added.id) == added
    for found in ({"given_by": "ann"}, {"session_id": "s \x00"}, {"trace_id": "x"}):
        assert await feedback.find(FeedbackQuery(organization_id="a", **found)) == ([added], 1)


async def test_a_task_of_a_project_asks_for_its_calls_and_is_listed_there(store, feedback):
    mine, other = (
        replace(tagged("x", organization_id="a", started_at=minutes(number)), project_id=project, bodies=None)
        for number, project in enumerate(["p", "q"])
    )
    await store.put([mine, other])
    of_project, of_all = task(tags=("x",), project_id="p"), task(tags=("x",))
    await feedback.add_task(of_project)

    asked_for = await feedback.ungraded("a", offset=0, limit=10)
    await feedback.add_task(of_all)
    await feedback.add(given(of_project.id, mine.id, project_id="p"))
    await feedback.add(given(of_all.id, other.id))

    assert asked_for == [mine]
    assert await feedback.ungraded("a", project_id="p", offset=0, limit=10) == []
    assert await feedback.tasks("a", project_id="p") == [of_project]
    assert len(await feedback.tasks("a")) == 2
    found = [await feedback.find(FeedbackQuery(organization_id="a", project_id=one)) for one in ("p", "q", None)]
    assert [total for _, total in found] == [1, 0, 2]
    assert [one.completion_ids for one in found[0][0]] == [(mine.id,)]
