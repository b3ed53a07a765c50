"""A session over a WebSocket on its pages, from a real store and in a real browser."""

import base64
import json
from array import array

import pytest
from msgspec.structs import replace
from playwright.async_api import expect
from websockets.frames import Close, Frame, Opcode

from browsing import check_usable, in_browser
from llm_proxy.decode.socket_events import session_events
from llm_proxy.model.completion import Bodies
from llm_proxy.model.exchange import Chunks, Ending, Endpoint, Exchange
from llm_proxy.ui.socket import FIRST_EVENTS, PAGE_EVENTS, asked_first
from llm_proxy.understand import understand
from reading import read
from records import NOON, record

AUDIO = base64.b64encode(bytes(9600)).decode()
HOSTILE = "<img src=x onerror=alert(1)>\u202e</script><script>alert(2)</script>"
USER = {"id": "item_1", "type": "message", "role": "user"}
ASSISTANT = {"id": "item_2", "type": "message", "role": "assistant"}
CLIENT = [
    {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}},
    {"type": "input_audio_buffer.append", "audio": AUDIO},
]
SERVER = [
    {"type": "session.created", "session": {"model": "gpt-realtime-2025-08-28", "voice": "marin"}},
    {"type": "conversation.item.added", "item": USER | {"content": [{"type": "input_audio", "transcript": None}]}},
    {"type": "conversation.item.added", "item": ASSISTANT | {"content": []}},
    {"type": "response.output_audio.delta", "item_id": "item_2", "delta": AUDIO},
    {"type": "response.output_audio_transcript.delta", "item_id": "item_2", "delta": "Good "},
    {"type": "response.output_audio_transcript.delta", "item_id": "item_2", "delta": "day."},
    {"type": "conversation.item.input_audio_transcription.completed", "item_id": "item_1", "transcript": "Hello?"},
    {"type": "response.done", "response": {"status": "completed", "output": []}},
]


def frames(events, *, by_client, close=None):
    said = [Frame(Opcode.TEXT, json.dumps(event).encode()).serialize(mask=by_client) for event in events]
    closing = [] if close is None else [Frame(Opcode.CLOSE, Close(*close).serialize()).serialize(mask=by_client)]
    return said + closing


def pieces(frames, first_us):
    times = array("Q", range(first_us, first_us + 500_000 * len(frames), 500_000))
    return Chunks(times_us=times, sizes=array("Q", map(len, frames)))


def session(call_id="1", *, client=CLIENT, server=SERVER, closes=((1000, "bye"), (1000, "")), **different):
    asked = frames(client, by_client=True, close=closes[0])
    answered = frames(server, by_client=False, close=closes[1])
    members = {
        "id": call_id,
        "started_at": NOON,
        "method": "GET",
        "target": "/v1/realtime?model=gpt-realtime",
        "endpoint": Endpoint.REALTIME,
        "http_status": 101,
        "response_headers": (("Sec-WebSocket-Accept", None),),
        "request_body": b"".join(asked),
        "response_body": b"".join(answered),
        "sent": pieces(asked, 250_000),
        "chunks": pieces(answered, 500_000),
        "ending": Ending.COMPLETE,
        "ended_s": 9.5,
    }
    return understand(Exchange(**(members | different)))


async def test_what_was_said_stands_in_its_order_with_its_times_and_sounds(client, store):
    await store.put([session()])

    page = await read(client, "/calls/1")

    assert "user at 1.00 s Hello?" in page.text
    assert "assistant at 1.50 s Good day. audio: 9.6 kB" in page.text
    assert page.text.index("Hello?") < page.text.index("Good day.")


async def test_both_closes_and_what_was_heard_are_facts(client, store):
    await store.put([session(), session("2", closes=(None, (1011, "out of order")))])

    page, failed = await read(client, "/calls/1"), await read(client, "/calls/2")

    assert "Client closed 1000: bye Upstream closed 1000" in page.text
    assert "Audio heard 9.6 kB Audio spoken 9.6 kB" in page.text
    assert "Client closed \u2013 Upstream closed 1011: out of order" in failed.text
    assert "close_1011: out of order" in failed.text


@pytest.mark.parametrize(
    ("ending", "who"),
    [
        (Ending.CLIENT_DISCONNECTED, "The client."),
        (Ending.UPSTREAM_BROKE_OFF, "The provider."),
        (Ending.ABORTED, "This proxy."),
    ],
)
async def test_a_session_that_nobody_closed_says_who_left(client, store, ending, who):
    await store.put([session(closes=(None, None), ending=ending, reason="as it was")])

    page = await read(client, "/calls/1")

    assert who in page.text
    assert "Client closed \u2013 Upstream closed \u2013" in page.text


async def test_the_events_are_listed_with_time_side_type_and_size(client, store):
    await store.put([session()])

    page = await read(client, "/calls/1")

    assert "12 events" in page.text
    assert "250 ms client session.update" in page.text
    assert "750 ms client input_audio_buffer.append" in page.text
    assert "12.9 kB" in page.text
    assert "characters more" in page.text
    assert AUDIO not in page.text
    assert "Show all" not in page.text


async def test_a_long_session_has_a_part_on_its_page_and_pages_of_its_events(client, store):
    many = [{"type": f"event.{number}"} for number in range(PAGE_EVENTS + 30)]
    await store.put([session(client=[], server=many, closes=(None, None))])

    call, first, last = [await read(client, path) for path in ("/calls/1", "/calls/1?events=0", "/calls/1?events=200")]

    assert f"The first {FIRST_EVENTS} events" in call.text
    assert f"event.{FIRST_EVENTS - 1} " in call.text
    assert f"event.{FIRST_EVENTS} " not in call.text
    assert "/calls/1?events=0" in call.attributes("a", "href")
    assert "1 to 200" in first.text
    assert f"/calls/1?events={PAGE_EVENTS}" in first.attributes("a", "href")
    assert "201 to 230" in last.text
    assert "event.229 " in last.text
    assert "/calls/1?events=0" in last.attributes("a", "href")


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("-1", 0), ("x", 0), ("", 0), ("\u0663", 0), ("9" * 400, 0)])
def test_a_number_that_is_none_is_the_first(text, number):
    assert asked_first(text) == number


async def test_the_file_of_events_has_all_of_them(client, store):
    await store.put([session()])

    answer = await client.get("/calls/1?download=events")

    assert answer.headers["content-disposition"] == 'attachment; filename="1.events.jsonl"'
    assert answer.headers["content-type"] == "application/octet-stream"
    events = [json.loads(line) for line in answer.text.splitlines()]
    assert [event["event"] for event in events if event["by"] == "client" and "event" in event] == CLIENT
    assert [event["code"] for event in events if event["type"] == "close"] == [1000, 1000]


async def test_what_is_no_session_has_no_events(client, store):
    await store.put([record(id="1"), session("2", http_status=401), replace(session("3"), bodies=Bodies())])

    for call_id in ("1", "2", "3"):
        page = await read(client, f"/calls/{call_id}?events=0")
        assert "Events" not in page.text
        assert (await client.get(f"/calls/{call_id}?download=events")).status_code == 404


async def test_the_answer_of_a_session_is_replayed_at_its_times(client, store):
    await store.put([session()])

    beats = (await client.get("/calls/1?replay=1")).json()

    assert [(beat["at_s"], beat["text"]) for beat in beats] == [(2.5, "Good "), (3.0, "day.")]


@in_browser
async def test_hostile_events_are_text_in_the_browser_and_everybody_can_use_the_page(page, stand, browser):
    said = [{"type": HOSTILE, "delta": HOSTILE}, {HOSTILE: HOSTILE}]
    items = [{"type": "conversation.item.added", "item": USER | {"content": [{"type": "input_text", "text": HOSTILE}]}}]
    await stand.put(
        session("hostile", client=said, server=[*items, *SERVER], closes=((4000, HOSTILE), (1000, HOSTILE)))
    )

    await page.goto("/calls/hostile")
    await page.locator("section[aria-labelledby=events] > details > summary").click()
    await page.locator(".events details summary").first.click()

    await expect(page.locator(".events pre").first).to_contain_text("<img src=x onerror=alert(1)>\ufffd</script>")
    assert await page.locator(".events img, .events script").count() == 0
    await check_usable(browser, stand.url, ["/calls/hostile", "/calls/hostile?events=0"])


@in_browser
async def test_a_session_of_a_hundred_megabytes_is_shown_and_paged(page, stand):
    append = {"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(100_000)).decode()}
    call = session("hundred", client=[append] * 790)
    assert len(call.bodies.request_body) > 100 * 2**20
    await stand.put(call)

    answer = await page.goto("/calls/hundred")
    length = len(await answer.body())
    await page.get_by_role("link", name="Show all").click()
    await page.get_by_role("link", name="Later").click()

    await expect(page.locator(".events tbody tr")).to_have_count(PAGE_EVENTS)
    await expect(page.locator(".pager")).to_contain_text("201 to 400")
    assert length < 1_000_000
    assert len(list(session_events(call.bodies))) == 790 + len(SERVER) + 2
