"""A call once more: through a real proxy, edited, with another model, and linked to the first one."""

import json

import pytest
from msgspec.structs import replace
from playwright.async_api import expect

from browsing import hindrances, in_browser, watched
from llm_proxy.model.completion import Bodies, Context
from reading import HOSTILE, read
from records import BODIES, record
from upstreams import chat_answer, json_response


async def test_a_call_that_cannot_be_sent_says_why(client, store):
    await store.put([record(id="1", bodies=None), record(id="2", bodies=Bodies(request=["x"]))])

    # The pages of these tests have no proxy beside them.
    page = await read(client, "/playground/1", status=409)

    assert "without a proxy beside them" in page.text


@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_call_is_edited_sent_through_the_proxy_and_leads_to_the_first_one(browser, stand, scheme):
    first = f"first-{scheme}"
    await stand.put(record(id=first, bodies=BODIES))
    stand.upstream.script(json_response(chat_answer("Oslo.")))
    async with watched(browser, base_url=stand.url, color_scheme=scheme) as page:
        await page.goto(f"/calls/{first}")
        await page.keyboard.press("e")
        await page.locator("#again-model").fill("gpt-4o-mini")
        request = await page.locator("#again-request").input_value()
        await page.locator("#again-request").fill(request.replace("France", "Norway"))
        await page.locator("#again-key").fill("sk-typed-secret")
        broken = await hindrances(page)
        await page.get_by_role("button", name="Send").click()
        await page.wait_for_url(lambda url: "/calls/" in url and first not in url)
        await expect(page.get_by_text("Sent again from")).to_be_visible()
        await page.get_by_role("link", name="both side by side").click()
        await expect(page.locator("ins").filter(has_text="Norway")).to_be_visible()

    asked = stand.upstream.received[-1]
    assert json.loads(asked.body)["model"] == "gpt-4o-mini"
    assert b"Norway" in asked.body
    assert broken == []


@in_browser
async def test_what_is_no_json_is_said_and_what_was_typed_stays(page, stand):
    await stand.put(record(id="no-json", bodies=BODIES))
    await page.goto("/playground/no-json")

    await page.locator("#again-request").fill("{")
    await page.get_by_role("button", name="Send").click()

    await expect(page.locator("#fault")).to_contain_text("the request is no JSON")
    await expect(page.locator("#again-request")).to_have_value("{")


@in_browser
async def test_a_hostile_call_is_nothing_but_text_in_the_form(page, stand):
    request = {"messages": [{"role": HOSTILE, "content": HOSTILE}], HOSTILE: HOSTILE}
    await stand.put(
        record(id="hostile", model=HOSTILE, preview=HOSTILE, bodies=replace(BODIES, request=request)),
        record(id="hostile-again", context=Context(metadata={"resend_of": HOSTILE})),
    )

    await page.goto("/playground/hostile")
    assert json.loads(await page.locator("#again-request").input_value())["messages"][0]["content"][:8] == HOSTILE[:8]
    await page.goto("/calls/hostile-again")
    await expect(page.get_by_text("Sent again from")).to_be_visible()
