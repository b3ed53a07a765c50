"""Sessions and users over HTTP, by their calls in a real store."""

from datetime import timedelta

import pytest

from llm_proxy.model.completion import Context
from llm_proxy.model.record import record_json
from records import NOON, record

KINDS = [("sessions", "session", "session_id"), ("users", "user", "user_id")]


def called(minutes, **context):
    return record(id=str(minutes), started_at=NOON + timedelta(minutes=minutes), context=Context(**context))


@pytest.mark.parametrize(("several", "one", "member"), KINDS)
async def test_they_are_listed_with_their_calls_the_one_used_last_first(api, database, several, one, member):
    await database.put([called(0, **{member: "a"}), called(1, **{member: "b"}), called(2, **{member: "a"}), called(3)])

    answer = (await api.get(f"/api/v1/{several}")).json()

    assert [(group["id"], group["calls"], group["total_tokens"]) for group in answer[several]] == [
        ("a", 2, 34),
        ("b", 1, 17),
    ]
    assert answer[several][0]["last_at"] == (NOON + timedelta(minutes=2)).isoformat()
    assert answer["next"] is None
    since = {"since": (NOON + timedelta(minutes=1)).isoformat(), "until": (NOON + timedelta(minutes=2)).isoformat()}
    assert [group["id"] for group in (await api.get(f"/api/v1/{several}", params=since)).json()[several]] == ["b"]


@pytest.mark.parametrize(("several", "one", "member"), KINDS)
async def test_following_next_gives_each_once(api, database, several, one, member):
    await database.put([called(number, **{member: f"{number % 5}"}) for number in range(10)])
    params, seen = {"limit": 2}, []

    while "cursor" not in params or params["cursor"] is not None:
        answer = (await api.get(f"/api/v1/{several}", params=params)).json()
        seen += [group["id"] for group in answer[several]]
        params["cursor"] = answer["next"]

    assert seen == ["4", "3", "2", "1", "0"]


@pytest.mark.parametrize(("several", "one", "member"), KINDS)
@pytest.mark.parametrize("its_id", ["a", "runs/7 é?"])
async def test_one_comes_with_a_page_of_its_calls_newest_first(api, database, several, one, member, its_id):
    calls = [called(number, **{member: its_id}) for number in range(3)]
    await database.put([*calls, called(9, **{member: "other"})])
    path = f"/api/v1/{several}/{its_id.replace('/', '%2F').replace('?', '%3F')}"

    first = (await api.get(path, params={"limit": 2})).json()
    second = (await api.get(path, params={"limit": 2, "cursor": first["next"]})).json()

    assert (first[one]["id"], first[one]["calls"]) == (its_id, 3)
    listed = [record_json(call, with_bodies=False) for call in reversed(calls)]
    assert first["completions"] + second["completions"] == listed
    assert second["next"] is None


@pytest.mark.parametrize(("several", "one", "member"), KINDS)
async def test_one_that_is_not_there_is_not_found(api, several, one, member):
    answer = await api.get(f"/api/v1/{several}/none")

    assert (answer.status_code, answer.json()["error"]["message"]) == (404, f"there is no {one} 'none'")
