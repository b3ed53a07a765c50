"""Two calls side by side."""

import pytest
from msgspec.structs import replace
from playwright.async_api import expect

from browsing import hindrances, in_browser, watched
from llm_proxy.model.completion import Context
from reading import HOSTILE, read
from records import BODIES, record


def saying(call_id, *said, answer="Paris.", **different):
    request = {"model": "gpt-4o", "messages": [{"role": "user", "content": text} for text in said]}
    response = {"choices": [{"message": {"role": "assistant", "content": answer}}]}
    extra = different.pop("extra", {})
    return record(id=call_id, bodies=replace(BODIES, request=request | extra, response=response), **different)


async def test_what_differs_is_marked_word_by_word_and_what_is_the_same_is_not(client, store):
    await store.put(
        [
            saying("1", "be brief", "capital of France?", extra={"temperature": 0}),
            saying("2", "be brief", "capital of Norway?", answer="Oslo.", extra={"temperature": 1}, model="other"),
        ]
    )

    page = await read(client, "/compare?a=1&b=2")

    html = (await client.get("/compare?a=1&b=2")).text
    assert "capital of <del>France</del>?" in html
    assert "capital of <ins>Norway</ins>?" in html
    assert "<del>Paris</del>." in html
    assert "&#34;temperature&#34;: <del>0</del>" in html
    assert "<del>be" not in html
    assert page.attributes("tr", "class").count("differs") == 1
    assert {"/calls/1", "/calls/2", "/compare?a=2&b=1"} <= set(page.attributes("a", "href"))


async def test_a_turn_that_only_one_has_stands_beside_nothing(client, store):
    await store.put([saying("1", "a"), saying("2", "a", "b")])

    page = await read(client, "/compare?a=1&b=2")

    assert page.attributes("div", "class").count("side nothing") == 1


async def test_without_two_ids_it_asks_for_them_and_what_is_not_there_is_not_found(client, store):
    await store.put([saying("1", "a"), saying("2", "a", organization_id="other")])

    asked = await read(client, "/compare?a=1")

    assert "1" in asked.attributes("input", "value")
    assert "There is no call 2." in (await read(client, "/compare?a=1&b=2", status=404)).text


async def test_nothing_that_was_recorded_becomes_anything_but_text(client, store):
    await store.put([saying("1", HOSTILE, model=HOSTILE), saying("2", HOSTILE + "x", extra={HOSTILE: HOSTILE})])

    page = await read(client, "/compare?a=1&b=2")

    assert "b" not in {tag for tag, _ in page.elements}
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_two_calls_are_marked_with_a_key_and_compared(browser, stand, scheme):
    tags = Context(tags=("compared",))
    await stand.put(saying("one-of-two", "a", "b", context=tags), saying("two-of-two", "a", "c", context=tags))
    async with watched(browser, base_url=stand.url, color_scheme=scheme) as page:
        await page.goto("/?q=tag:compared")
        for key in ("j", "x", "j", "x"):
            await page.keyboard.press(key)
        await page.wait_for_url("**/compare**")
        await expect(page.locator("ins")).to_have_text("b")
        await page.locator("#only-differences").check()
        await expect(page.locator(".compared.same").first).to_be_hidden()
        broken = await hindrances(page)
        await page.go_back()
        await expect(page.locator("#rows tr")).to_have_count(2)

    assert broken == []
