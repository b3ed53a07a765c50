"""One trace as a tree."""

from llm_proxy.decode.generation import completion_of
from llm_proxy.model.completion import Context, Status
from llm_proxy.model.trace import Kind
from llm_proxy.store.sql_traces import SqlTraces
from llm_proxy.ui.calls import trace_href
from reading import HOSTILE, read
from records import record
from tellings import END, START, generation, said


async def test_what_was_told_and_recorded_stands_in_its_order_and_depth(client, store):
    await SqlTraces(store, completion_of).put(
        "default",
        "r",
        [
            said(Kind.TRACE, "t", name="question", sessionId="s", startTimestamp=START, input="capital?"),
            said(Kind.SPAN, "span", name="look up", traceId="t", startTimestamp=START, endTimestamp=END),
            said(Kind.RETRIEVAL, "ret", name="search", spanId="span", startTimestamp=START, input="france"),
            said(Kind.TOOL_CALL, "tool", name="weather", spanId="span", args='{"city": "Rome"}', startTimestamp=END),
            generation("g", spanId="span"),
            said(Kind.EVENT, "e", name="late", spanId="span", startTimestamp=END, errors=[{"message": "too late"}]),
        ],
    )
    await store.put([record(id="p", context=Context(trace_id="t"), status=Status.FAILED, failure_reason="broke")])

    page = await read(client, "/traces/t")

    for part in ("Trace question", "look up", "search", "weather", "too late", "broke", "capital?"):
        assert part in page.text
    classes = page.attributes("li", "class")
    assert [one.split()[0] for one in classes].count("depth-1") == 4
    assert len([one for one in classes if "failed" in one]) == 2
    assert "/calls/p" in page.attributes("a", "href")
    assert "/sessions/s" in page.attributes("a", "href")
    kinds = page.attributes("span", "data-kind")
    assert sorted(kinds) == ["call", "event", "generation", "retrieval", "span", "tool call"]


async def test_a_trace_that_only_calls_name_has_their_totals(client, store):
    await store.put([record(context=Context(trace_id="a/b")) for _ in range(2)])

    page = await read(client, "/traces/a%2Fb")

    assert "Calls 2 Failed 0 Tokens in 28" in page.text


async def test_its_id_in_the_filter_bar_opens_it(client, store):
    await store.put([record(context=Context(trace_id="t-9"))])

    assert (await client.get("/?q=t-9")).headers["location"] == "/traces/t-9"


async def test_a_trace_of_which_nothing_is_known_is_not_found(client):
    assert "Nothing is known of a trace <b>." in (await read(client, "/traces/%3Cb%3E", status=404)).text


async def test_nothing_that_was_told_becomes_anything_but_text(client, store):
    told = [
        said(Kind.TRACE, HOSTILE, name=HOSTILE, input=HOSTILE, metadata={HOSTILE: HOSTILE}, sessionId=HOSTILE),
        said(Kind.TOOL_CALL, "c", name=HOSTILE, traceId=HOSTILE, args=HOSTILE, errors=[{"message": HOSTILE}]),
    ]
    await SqlTraces(store, completion_of).put("default", "r", told)

    page = await read(client, trace_href(HOSTILE))

    assert "b" not in {tag for tag, _ in page.elements}
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert "{{ 7*7 }}" in page.text
