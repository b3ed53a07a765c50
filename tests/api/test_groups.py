"""Lists of sessions and traces over HTTP, with those that no call names."""

import pytest

from llm_proxy.decode.generation import completion_of
from llm_proxy.model.completion import Context
from llm_proxy.model.trace import Kind
from llm_proxy.store.sql_traces import SqlTraces
from records import NOON, record
from tellings import START, said


@pytest.mark.parametrize(("several", "kind"), [("sessions", Kind.SESSION), ("traces", Kind.TRACE)])
async def test_what_a_program_told_of_is_listed_without_calls(api, database, several, kind):
    told = [said(kind, "told", name="evening", startTimestamp=START)]
    await SqlTraces(database, completion_of).put("default", "r", told)
    await database.put([record(started_at=NOON, context=Context())])

    answer = (await api.get(f"/api/v1/{several}")).json()

    (group,) = answer[several]
    assert (group["id"], group["name"], group["calls"], group["total_tokens"]) == ("told", "evening", 0, None)
    assert group["first_at"] == group["last_at"] == START.replace("+", ".000000+")
    assert answer["next"] is None


async def test_a_session_without_calls_is_shown_as_such(api, database):
    told = [said(Kind.SESSION, "told", name="evening", startTimestamp=START)]
    await SqlTraces(database, completion_of).put("default", "r", told)

    answer = (await api.get("/api/v1/sessions/told")).json()

    assert (answer["session"]["name"], answer["session"]["calls"]) == ("evening", 0)
    assert (answer["completions"], answer["next"]) == ([], None)
    assert (await api.get("/api/v1/sessions/unknown")).status_code == 404


async def test_a_list_is_filtered_by_words_as_parameters_or_as_a_whole(api, database):
    calls = [record(id=f"{n}", started_at=NOON, model=f"m{n}", context=Context(session_id=f"s{n}")) for n in range(3)]
    await database.put([*calls, record(id="more", started_at=NOON, model="m0", context=Context(session_id="s2"))])

    async def listed(**params):
        return [group["id"] for group in (await api.get("/api/v1/sessions", params=params)).json()["sessions"]]

    assert await listed(model="m0") == ["s2", "s0"]
    assert await listed(model="m0", calls=">1") == ["s2"]
    assert await listed(where="-model:m0") == ["s1"]
    assert await listed(search="France", where="calls:>1") == ["s2"]
    (one,) = (await api.get("/api/v1/sessions", params={"model": "m1"})).json()["sessions"]
    assert one["matched_at"] == one["last_at"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"latency": "2s"}, "latency: latency: '2s' says neither more nor less"),
        ({"where": "modl:x"}, "where: modl: is unknown; did you mean model:?"),
        ({"where": "user:a", "user": "b"}, "where: user is a parameter as well"),
    ],
)
async def test_what_is_no_filter_is_refused(api, params, message):
    answer = await api.get("/api/v1/traces", params=params)

    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]
