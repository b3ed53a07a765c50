"""The page of a session, from a real store."""

from datetime import timedelta

from llm_proxy.model.completion import Context, Status
from reading import read
from records import NOON, bare, record


async def test_its_calls_stand_in_their_order_with_what_they_took_together(client, store):
    context = Context(session_id="a/b", session_name="evening run")
    calls = [
        record(id=str(number), started_at=NOON + timedelta(seconds=number), context=context) for number in range(3)
    ]
    await store.put([*calls, record(id="other")])

    page = await read(client, "/sessions/a%2Fb")

    assert [to for to in page.attributes("a", "href") if "/calls/" in to] == ["/calls/0", "/calls/1", "/calls/2"]
    assert "Session evening run" in page.text
    assert "Calls 3 Failed 0 Tokens in 42 Tokens out 9 Began" in page.text
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
