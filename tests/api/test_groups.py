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
