"""The page of a session, from a real store."""

from datetime import timedelta

from llm_proxy.decode.generation import completion_of
from llm_proxy.model.completion import Context, Status
from llm_proxy.model.trace import Kind
from llm_proxy.store.sql_traces import SqlTraces
from llm_proxy.ui.present import DASH
from reading import read
from records import NOON, bare, record
from tellings import said


async def test_its_calls_stand_in_their_order_with_what_they_took_together(client, store):
    context = Context(session_id="a/b", session_name="evening run")
    calls = [
        record(id=str(number), started_at=NOON + timedelta(seconds=number), context=context) for number in range(3)
    ]
    await store.put([*calls, record(id="other")])

    page = await read(client, "/sessions/a%2Fb")

    opened = [attrs["href"] for tag, attrs in page.elements if tag == "a" and attrs.get("class") == "open"]
    assert opened == ["/calls/0", "/calls/1", "/calls/2"]
    assert "Session evening run" in page.text
    assert f"Calls 3 Failed 0 Tokens in 42 Tokens out 9 Cost {DASH} Began" in page.text
    assert "Took 3.25 s" in page.text
    assert "/?q=session%3Aa%2Fb" in page.attributes("a", "href")


async def test_tokens_that_are_not_known_of_all_calls_are_said_to_be_so_many_or_more(client, store):
    context = Context(session_id="s")
    await store.put([record(context=context), bare(context=context, status=Status.FAILED)])

    page = await read(client, "/sessions/s")

    assert "Failed 1 Tokens in 14 or more Tokens out 3 or more" in page.text


async def test_a_session_that_has_no_calls_is_not_found(client):
    page = await read(client, "/sessions/%3Cb%3E", status=404)

    assert "There is no call of a session <b>." in page.text


async def test_its_traces_are_listed_whether_told_of_or_named_by_calls(client, store):
    told = [said(Kind.SESSION, "s", name="a chat"), said(Kind.TRACE, "told", name="question", sessionId="s")]
    await SqlTraces(store, completion_of).put("default", "r", told)
    await store.put([record(id=name, context=Context(session_id="s", trace_id="called")) for name in "12"])

    page = await read(client, "/sessions/s")

    assert "Session a chat" in page.text
    assert {"/traces/told", "/traces/called"} <= set(page.attributes("a", "href"))
    assert "question 0 calls called 2 calls" in page.text
    assert page.attributes("rect", "width")


async def test_a_session_that_was_told_of_without_calls_says_how_calls_join_it(client, store):
    await SqlTraces(store, completion_of).put("default", "r", [said(Kind.SESSION, "s/1", name="a chat")])

    page = await read(client, "/sessions/s%2F1")

    assert "No calls in this session" in page.text
    assert "X-LLM-Session-Id: s/1" in page.text
