"""What is changed and removed over HTTP, in a real store."""

from datetime import timedelta

import pytest

from llm_proxy.api.changes import MAX_TAG_CHARACTERS, MAX_TAGS
from llm_proxy.model.completion import Context, Status
from llm_proxy.model.query import CompletionQuery
from records import NOON, conversation, record, tagged

PATH = "/api/v1/completions"


@pytest.mark.parametrize(
    ("change", "tags"),
    [
        ({"tags": ["x", "y", "x"]}, ["x", "y"]),
        ({"tags": []}, []),
        ({"add_tags": ["c", "a"]}, ["a", "b", "c"]),
        ({"remove_tags": ["a", "never there"]}, ["b"]),
        ({"add_tags": ["a"], "remove_tags": ["a"]}, ["b", "a"]),
        ({"add_tags": []}, ["a", "b"]),
    ],
)
async def test_tags_are_changed_and_found(api, database, change, tags):
    call = tagged("a", "b", id="1")
    await database.put([call])

    answer = await api.patch(f"{PATH}/1", json=change)

    assert (answer.status_code, answer.json()) == (200, {"id": "1", "tags": tags})
    shown = (await api.get(f"{PATH}/1")).json()
    assert shown["tags"] == tags
    for tag in ("a", "b", "c", "x"):
        found = (await database.find(CompletionQuery(tags=(tag,)))).completions
        assert len(found) == (tag in tags)
    assert (await database.get("1")).bodies == call.bodies


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({}, "tags"),
        ({"tag": ["a"]}, "tag"),
        ({"tags": "a"}, "tags"),
        ({"tags": None}, "tags"),
        ({"tags": ["a", 1]}, "tags[1]"),
        ({"tags": [""]}, "tags[0]"),
        ({"add_tags": ["x" * (MAX_TAG_CHARACTERS + 1)]}, "add_tags[0]"),
        ({"tags": ["a"], "add_tags": ["b"]}, "tags"),
        ({"tags": [str(number) for number in range(MAX_TAGS + 1)]}, "tags"),
        ({"add_tags": [str(number) for number in range(MAX_TAGS)]}, "add_tags"),
    ],
)
async def test_a_change_that_makes_no_sense_is_refused_by_its_place(api, database, change, param):
    await database.put([tagged("a", id="1")])

    answer = await api.patch(f"{PATH}/1", json=change)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert (await database.get("1")).context.tags == ("a",)


async def test_tags_of_a_call_in_flight_stay_when_it_brings_its_own_and_when_that_comes_twice(api, database):
    await database.put([tagged("a", id="1", status=Status.STARTED)])

    answer = await api.patch(f"{PATH}/1", json={"add_tags": ["b"], "remove_tags": ["a"]})
    for _ in range(2):
        await database.put([tagged("a", id="1", status=Status.FINISHED)])

    stored = await database.get("1")
    assert answer.json()["tags"] == ["b"]
    assert (stored.status, stored.context.tags, stored.tags_edited) == (Status.FINISHED, ("b",), True)
    assert [one.id for one in (await database.find(CompletionQuery(tags=("b",)))).completions] == ["1"]
    assert (await database.find(CompletionQuery(tags=("a",)))).completions == ()


async def test_a_call_that_is_not_there_is_not_made_by_a_change(api, database):
    answer = await api.patch(f"{PATH}/none", json={"tags": ["a"]})

    assert answer.status_code == 404
    assert await database.get("none") is None


async def test_a_call_is_removed_with_a_receipt(api, database):
    first, second = conversation(2)
    await database.put([first, second])

    answer = await api.delete(f"{PATH}/{second.id}")

    removed = answer.json()["removed"]
    assert (removed["rows"], removed["bodies"], removed["pieces"], removed["entities"]) == (1, 1, 1, 0)
    assert removed["bytes"] > 0
    assert await database.get(second.id) is None
    assert await database.get(first.id) == first
    assert (await api.delete(f"{PATH}/{second.id}")).status_code == 404


@pytest.mark.parametrize("kind", ["session", "user"])
async def test_a_session_or_user_is_removed_with_all_calls(api, database, kind):
    calls = [record(id=str(number), context=Context(**{f"{kind}_id": f"x/{number % 2}"})) for number in range(4)]
    await database.put(calls)

    answer = await api.delete(f"/api/v1/{kind}s/x%2F0")

    assert answer.json()["removed"]["rows"] == 2
    assert [call.id for call in (await database.find(CompletionQuery())).completions] == ["3", "1"]
    again = await api.delete(f"/api/v1/{kind}s/x%2F0")
    assert (again.status_code, again.json()["error"]["message"]) == (404, f"there is no {kind} 'x/0'")


async def test_everything_from_before_a_time_is_removed(api, database):
    await database.put([record(id="old"), record(id="new", started_at=NOON + timedelta(hours=1))])

    answer = await api.delete(PATH, params={"before": (NOON + timedelta(minutes=1)).isoformat()})

    assert answer.json()["removed"]["rows"] == 1
    assert [call.id for call in (await database.find(CompletionQuery())).completions] == ["new"]
    assert (await api.delete(PATH, params={"before": "2020-01-01"})).json()["removed"]["rows"] == 0


@pytest.mark.parametrize("query", ["", "?before=", "?before=soon", "?before=1d&session=s"])
async def test_without_a_time_nothing_is_removed(api, database, query):
    await database.put([record()])

    answer = await api.delete(f"{PATH}{query}")

    assert answer.status_code == 400
    assert len((await database.find(CompletionQuery())).completions) == 1
