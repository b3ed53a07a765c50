"""The page of one call, from a real store."""

import base64
import json
from array import array
from datetime import timedelta

import pytest
from msgspec.structs import replace
from playwright.async_api import expect

from browsing import in_browser
from llm_proxy.model.completion import Bodies, Context, Status
from llm_proxy.model.exchange import Chunks, Endpoint
from llm_proxy.ui.call import FIRST_TURNS, LAST_TURNS, SHOWN_CHARACTERS
from llm_proxy.ui.turns import PART_CHARACTERS
from reading import Page, read
from records import BODIES, NOON, bare, record


def saying(*contents, **different):
    """A call in which the user said all this."""
    request = {"model": "gpt-4o", "messages": [{"role": "user", "content": content} for content in contents]}
    body = json.dumps(request).encode()
    return record(id="1", bodies=replace(BODIES, request=request, request_body=body), **different)


async def test_it_has_its_facts_its_headers_and_its_bodies(client, store):
    await store.put([record(id="1")])

    page = await read(client, "/calls/1")

    for part in ("POST /v1/chat/completions", "u-1", "0af7651916cd43dd8448eb211c80319c", "team=search", "110 ms"):
        assert part in page.text
    assert "x-request-id req_1 x-request-id req_2" in page.text
    assert '"content": "Paris."' in page.text
    assert "/api/v1/completions/1" in page.attributes("a", "href")


async def test_the_conversation_is_rendered_and_can_be_seen_as_it_was_written(client, store):
    await store.put([saying("Some **bold** text")])

    rendered = (await client.get("/calls/1")).text
    written = (await client.get("/calls/1?view=raw")).text

    assert "Some <strong>bold</strong> text" in rendered
    assert "/calls/1?view=raw" in Page(rendered).attributes("a", "href")
    assert "<pre>Some **bold** text</pre>" in written
    assert "/calls/1" in Page(written).attributes("a", "href")


async def test_a_tool_call_stands_beside_its_result(client, store):
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
    messages = [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c1", "content": "sunny"}]
    await store.put([record(id="1", bodies=replace(BODIES, request={"messages": messages}))])

    page = await read(client, "/calls/1")

    assert 'weather called with { "city" : "Rome" } weather came to sunny' in page.text


async def test_only_images_that_are_in_the_call_are_shown(client, store):
    inside, outside = "data:image/png;base64,iVBORw0KGgo=", "https://a.example/x.png"
    await store.put([saying([{"type": "image_url", "image_url": {"url": url}} for url in (inside, outside)])])

    page = await read(client, "/calls/1")

    assert page.attributes("img", "src") == ["/static/icon.svg", inside]
    assert f"image: {outside}" in page.text


async def test_a_large_image_has_an_address_of_its_own(client, store):
    content = b"\x89PNG\r\n\x1a\n" + bytes(200_000)
    encoded = base64.b64encode(content).decode()
    bodies = Bodies(request={"prompt": "a cat"}, response={"data": [{"b64_json": encoded}]})
    await store.put([record(id="1", endpoint=Endpoint.IMAGES, bodies=bodies)])

    [_, address] = (await read(client, "/calls/1")).attributes("img", "src")
    image = await client.get(address)

    assert (image.content, image.headers["content-type"]) == (content, "image/png")
    assert image.headers["content-security-policy"].startswith("default-src 'none'")
    assert (await client.get("/calls/1?picture=none")).status_code == 404


async def test_a_failed_call_is_explained(client, store):
    await store.put(
        [bare(id="1", status=Status.FAILED, http_status=429, failure_kind="quota", failure_reason="You are out")]
    )

    page = await read(client, "/calls/1")

    assert "The provider. A rate or a quota is used up: try again later, or ask for more. (HTTP 429)" in page.text
    assert "quota: You are out" in page.text


async def test_the_pieces_of_the_answer_are_drawn(client, store):
    await store.put([record(id="1")])

    page = await read(client, "/calls/1")

    assert "Answer 2 pieces" in page.text
    assert len(page.attributes("rect", "width")) == 12


async def test_a_call_without_bodies_says_so(client, store):
    await store.put([bare(id="1")])

    page = await read(client, "/calls/1")

    assert page.text.count("No body was recorded.") == 2


async def test_of_a_long_conversation_both_ends_are_shown_and_the_rest_on_request(client, store):
    await store.put([saying(*(f"message {number} of it" for number in range(500)))])

    short, whole = await read(client, "/calls/1"), await read(client, "/calls/1?all=1")

    left_out = 501 - FIRST_TURNS - LAST_TURNS
    assert f"Show all: {left_out} turns more" in short.text
    assert short.elements.count(("article", {"class": "turn ", "data-role": "user"})) == 501 - left_out - 1
    assert "Show all" not in whole.text
    assert whole.elements.count(("article", {"class": "turn ", "data-role": "user"})) == 500


async def test_of_a_long_text_the_beginning_is_shown_and_the_rest_on_request(client, store):
    await store.put([saying("y" * (PART_CHARACTERS + 1234))])

    short, whole = await client.get("/calls/1"), await client.get("/calls/1?all=1")

    assert "1,234 characters more" in Page(short.text).text
    assert f">{'y' * PART_CHARACTERS}<" in short.text
    assert f">{'y' * (PART_CHARACTERS + 1234)}<" in whole.text


async def test_a_page_of_huge_bodies_and_thousands_of_pieces_stays_small(client, store):
    chunks = Chunks(times_us=array("Q", range(0, 1_000_000, 200)), sizes=array("Q", [50] * 5000))
    huge = saying("x" * 10_000_000)
    await store.put([replace(huge, bodies=replace(huge.bodies, chunks=chunks))])

    response = await client.get("/calls/1")

    assert len(response.content) < 2 * SHOWN_CHARACTERS
    assert "This is its beginning; the whole is in the JSON of this call." in Page(response.text).text


@pytest.mark.parametrize(
    ("wanted", "headers", "name"),
    [
        ("request", (("content-type", "application/json"),), "1.request.json"),
        ("response", (("Content-Type", "text/event-stream"), ("content-encoding", "gzip")), "1.response.sse.gz"),
        ("response", (), "1.response.bin"),
    ],
)
async def test_bodies_are_files_with_the_bytes_of_the_wire(client, store, wanted, headers, name):
    raw = bytes(range(256))
    given = {f"{wanted}_headers": headers, f"{wanted}_body": raw}
    await store.put([record(id="1", bodies=Bodies(**given))])

    response = await client.get(f"/calls/1?download={wanted}")

    assert response.content == raw
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-disposition"] == f'attachment; filename="{name}"'


@pytest.mark.parametrize("wanted", ["request", "chunks"])
async def test_a_body_that_was_not_recorded_is_not_found(client, store, wanted):
    await store.put([bare(id="1")])

    assert (await client.get(f"/calls/1?download={wanted}")).status_code == 404


async def test_the_calls_around_it_in_its_session_are_linked(client, store):
    await store.put(
        [
            record(id=str(number), started_at=NOON + timedelta(seconds=number), context=Context(session_id="s 1"))
            for number in range(3)
        ]
    )

    pages = [await read(client, f"/calls/{number}") for number in range(3)]

    around = [
        [attrs["href"] for tag, attrs in page.elements if tag == "a" and ({"data-before", "data-after"} & set(attrs))]
        for page in pages
    ]
    assert around == [["/calls/1"], ["/calls/0", "/calls/2"], ["/calls/1"]]
    assert "/sessions/s%201" in pages[0].attributes("a", "href")


async def test_it_can_be_made_again_at_the_host_that_was_asked(client, store):
    await store.put([record(id="1")])

    page = await read(client, "/calls/1")

    assert "curl http://proxy.test:9000/v1/chat/completions" in page.text
    assert "client = OpenAI(base_url='http://proxy.test:9000/v1')" in page.text


async def test_a_call_that_is_not_there_is_not_found(client):
    page = await read(client, "/calls/%3Cscript%3E", status=404)

    assert "There is no call <script>." in page.text


def streaming(*texts, **different):
    """A call whose answer came in these pieces, one each fiftieth of a second."""
    pieces = [b"data: %b\n\n" % json.dumps({"choices": [{"delta": {"content": text}}]}).encode() for text in texts]
    times = array("Q", [20_000 * (place + 1) for place in range(len(pieces))])
    answer = {"choices": [{"message": {"role": "assistant", "content": "".join(texts)}}]}
    bodies = replace(
        BODIES,
        response_headers=(("content-type", "text/event-stream"),),
        response_body=b"".join(pieces),
        response=answer,
        chunks=Chunks(times_us=times, sizes=array("Q", map(len, pieces))),
    )
    return record(stream=True, bodies=bodies, **different)


async def test_a_streamed_answer_is_told_once_more_with_the_times_at_which_it_came(client, store):
    await store.put([streaming("Pa", "ris", id="1"), record(id="2", stream=False)])

    page = await read(client, "/calls/1")
    beats = (await client.get("/calls/1?replay=1")).json()

    assert page.attributes("button", "data-from") == ["/calls/1?replay=1"]
    assert beats == [{"at_s": 0.02, "kind": "text", "text": "Pa"}, {"at_s": 0.04, "kind": "text", "text": "ris"}]
    assert (await read(client, "/calls/2")).attributes("button", "data-from") == []


@pytest.mark.parametrize("result", [None, "sunny"])
async def test_what_the_call_before_in_the_session_had_too_is_folded(client, store, result):
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    first = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "the weather?"}]
    said = {"role": "assistant", "tool_calls": [call]}
    second = [*first, said, {"role": "tool", "tool_call_id": "c1", "content": result or "?"}]
    if result is None:
        second = [*first, said, {"role": "user", "content": "and now?"}]
    later = NOON + timedelta(seconds=1)
    before = replace(BODIES, request={"messages": first}, response={"choices": [{"message": said}]})
    await store.put(
        [
            record(id="1", bodies=before),
            record(id="2", started_at=later, bodies=replace(BODIES, request={"messages": second})),
        ]
    )

    page, whole = await read(client, "/calls/2"), await read(client, "/calls/2?all=1")

    # A tool call whose result is new is new.
    assert f"{2 if result else 3} turns as in the previous call" in page.text
    assert ("weather came to sunny" in page.text) is bool(result)
    assert "as in the previous call" not in whole.text
    assert "be brief" in whole.text
    assert "/compare?a=1&b=2" in page.attributes("a", "href")


async def test_sounds_can_be_played(client, store):
    part = {"type": "input_audio", "input_audio": {"data": "SUQzBA==", "format": "mp3"}}
    spoken = record(
        id="2",
        endpoint=Endpoint.SPEECH,
        bodies=Bodies(response_body=b"ID3\x04", response_headers=(("Content-Type", "audio/mpeg"),)),
    )
    await store.put([saying([part]), spoken])

    for path in ("/calls/1", "/calls/2"):
        assert (await read(client, path)).attributes("audio", "src") == ["data:audio/mpeg;base64,SUQzBA=="]


@in_browser
async def test_a_replay_shows_piece_after_piece_and_can_be_held(page, stand):
    await stand.put(streaming(*(f"word{number} " for number in range(200)), id="replayed"))
    await page.goto("/calls/replayed")

    await page.keyboard.press("r")
    stage = page.locator("#replay-stage")
    await expect(stage).to_contain_text("word3 ")
    await page.locator("#replay-play").click()
    held = await stage.text_content()
    await page.locator("#replay-place").fill("1000")

    assert "word199" not in held
    await expect(stage).to_contain_text("word0 word1 word2")
    await expect(stage).to_contain_text("word199")
    await page.locator("#replay-place").fill("0")
    await expect(stage).to_have_text("")


@in_browser
async def test_five_thousand_pieces_are_replayed_as_one_text(page, stand):
    await stand.put(streaming(*(f"w{number} " for number in range(5000)), id="many-pieces"))
    await page.goto("/calls/many-pieces")

    await page.locator("#replay-button").click()
    await page.locator("#replay-place").fill("1000")

    await page.wait_for_function("document.querySelector('#replay-stage').textContent.endsWith('w4999 ')")
    assert await page.locator("#replay-stage > *").count() == 1


@in_browser
async def test_a_wide_table_scrolls_by_itself_and_its_words_stay_whole(page, stand):
    row = "|" + "|".join(f"column{number}" for number in range(200)) + "|"
    await stand.put(replace(saying(f"{row}\n{'|---' * 200}|\n{row}"), id="wide"))

    await page.goto("/calls/wide")

    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await page.evaluate("document.querySelector('.md td').offsetHeight") < 50


@in_browser
async def test_ten_megabytes_in_five_thousand_pieces_are_shown_at_once_and_stay_usable(page, stand):
    said = [{"role": "user", "content": f"{number} " + "word " * 10_000} for number in range(200)]
    request = {"model": "gpt-4o", "messages": said}
    call = streaming(*(f"w{number} " for number in range(5000)), id="huge")
    body = json.dumps(request).encode()
    assert len(body) > 10_000_000
    await stand.put(replace(call, bodies=replace(call.bodies, request=request, request_body=body)))

    answer = await page.goto("/calls/huge")
    timing = await page.evaluate("performance.getEntriesByType('navigation')[0].toJSON()")
    await page.keyboard.press("r")
    await page.locator("#replay-place").fill("1000")
    await page.wait_for_function("() => document.querySelector('#replay-stage').textContent.endsWith('w4999 ')")

    assert len(await answer.body()) < 2_000_000
    assert timing["responseEnd"] - timing["requestStart"] < 20_000
    assert timing["domComplete"] - timing["responseEnd"] < 20_000
    assert await page.locator("*").count() < 3000
