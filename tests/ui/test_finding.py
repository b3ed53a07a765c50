"""What stands around the list: suggestions, the histogram and saved views; and all of it in a browser."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import expect

from browsing import hindrances, in_browser, watched
from llm_proxy.model.completion import Context, Status
from llm_proxy.ui import finding
from reading import HOSTILE, Page, read
from records import bare, record, tagged


async def suggested(client, word):
    return [one["text"] for one in (await client.get("/suggest", params={"word": word})).json()]


async def form(client, path, **fields):
    headers = {"origin": "http://proxy.test:9000", "sec-fetch-site": "same-origin"}
    return await client.post(path, data=fields, headers=headers)


async def test_words_and_what_calls_have_are_suggested(client, store):
    await store.put([tagged("night run"), tagged("nightly", model="claude")])

    assert await suggested(client, "t") == ["tag:", "trace:", "ttft:", "tokens:", "text:"]
    assert await suggested(client, "-t") == ["-tag:", "-trace:", "-ttft:", "-tokens:"]
    assert await suggested(client, "tag:night") == ['tag:"night run"', "tag:nightly"]
    assert await suggested(client, "-model:CLAU") == ["-model:claude"]
    assert await suggested(client, 'tag:"night r') == ['tag:"night run"']
    assert await suggested(client, "status:f") == ["status:finished", "status:failed"]
    assert "latency:>1s" in await suggested(client, "latency:")
    assert await suggested(client, "nothing:") == []
    assert "model:" in await suggested(client, "")


async def test_calls_in_time_are_drawn_with_ranges_that_keep_the_filter(client, store):
    now = datetime.now(UTC)
    await store.put([record(started_at=now - timedelta(minutes=place)) for place in range(90)])
    await store.put([record(started_at=now - timedelta(hours=1), status=Status.FAILED)])

    drawn = Page((await client.get("/histogram?q=-tag:x+since:2h")).text)

    assert drawn.attributes("svg", "data-base") == ["-tag:x"]
    assert "91 calls, 1 failed" in drawn.attributes("svg", "aria-label")[0]
    assert "/?q=-tag%3Ax+since%3A1h" in drawn.attributes("a", "href")
    assert "/?q=-tag%3Ax" in drawn.attributes("a", "href")


@pytest.mark.parametrize("query", ["", "?q=modl:x", "?q=since:1h+until:2h"])
async def test_where_there_is_nothing_to_draw_nothing_is(client, query):
    assert (await client.get(f"/histogram{query}")).text == ""


async def test_bars_count_the_calls_that_have_the_text_as_far_back_as_there_is_time(client, store, monkeypatch):
    now = datetime.now(UTC)
    await store.put([record(started_at=now - timedelta(minutes=place), status=Status.FAILED) for place in range(90)])
    await store.put([bare(started_at=now - timedelta(minutes=1))])
    path = "/histogram?q=since:2h+text:"

    assert 'aria-label="90 calls, 90 failed, ' in (await client.get(f"{path}France")).text
    assert 'aria-label="0 calls, 0 failed, ' in (await client.get(f"{path}nowhere")).text
    monkeypatch.setattr(finding, "_READING_S", 0.0)
    cut = (await client.get(f"{path}France")).text
    assert "counted as far back as" in cut
    assert 'aria-label="90 calls' not in cut


async def test_a_view_is_saved_listed_replaced_and_forgotten(client, store):
    await store.put([record(), tagged("other", id="2")])

    saved = await form(client, "/views", name="Nightly", q="tag:nightly", columns="cost,user")
    await form(client, "/views", name="Nightly", q="tag:ci", columns="cost,user")

    assert saved.headers["location"] == "/?q=tag%3Anightly&columns=user%2Ccost"
    page = await read(client, "/views?q=tag:x")
    assert "/?q=tag%3Aci&columns=user%2Ccost" in page.attributes("a", "href")
    assert "tag:nightly" not in page.text
    assert "tag:x" in page.attributes("input", "value")
    short = Page((await client.get("/views?short&q=tag:ci")).text)
    assert [attributes["aria-current"] for _, attributes in short.elements] == ["true"]
    await form(client, "/views/drop", name="Nightly")
    assert "No views yet" in (await read(client, "/views")).text


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"name": "", "q": ""}, "needs a name"), ({"name": "x", "q": "modl:x"}, "did you mean model:")],
)
async def test_what_is_no_view_is_refused(client, fields, message):
    response = await form(client, "/views", **fields)

    assert response.status_code == 400
    assert message in Page(response.text).text


async def test_a_form_of_another_site_changes_nothing(client):
    response = await client.post("/views", data={"name": "x", "q": ""}, headers={"sec-fetch-site": "cross-site"})

    assert response.status_code == 403
    assert "No views yet" in (await read(client, "/views")).text


async def test_nothing_in_a_view_becomes_anything_but_text(client):
    await form(client, "/views", name=HOSTILE[:80], q=f'text:"{HOSTILE[:20]}"')

    for path in ("/views", "/views?short"):
        page = Page((await client.get(path)).text)
        assert not [attributes for tag, attributes in page.elements if tag in ("b", "img") and "onerror" in attributes]
        assert "<script>alert" in page.text


@in_browser
async def test_a_filter_is_written_by_its_suggestions_with_keys_alone(page, stand):
    await stand.put(record(id="suggested", context=Context(tags=("suggest me",)), model="suggested-model"))
    await page.goto("/")

    await page.keyboard.press("/")
    await page.keyboard.type("tag:sugg")
    await expect(page.get_by_role("option")).to_have_text('tag:"suggest me"')
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.locator("#filter")).to_have_value('tag:"suggest me" ')
    await page.keyboard.type("-model:none")
    await page.keyboard.press("Enter")

    await expect(page.locator("#rows tr")).to_have_count(1)
    assert page.url.endswith("/?q=tag%3A%22suggest+me%22+-model%3Anone")


@in_browser
async def test_a_range_is_drawn_in_the_histogram_and_the_back_button_leads_back(page, stand):
    now = datetime.now(UTC)
    calls = [tagged("drawn", id=f"drawn-{hour}", started_at=now - timedelta(hours=hour)) for hour in range(10)]
    await stand.put(*calls)
    await page.goto("/?q=tag:drawn+since:10h")
    await expect(page.locator("#rows tr")).to_have_count(10)
    box = await page.locator("#histogram").bounding_box()

    await page.mouse.move(box["x"] + 2, box["y"] + 20)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    await page.mouse.up()

    await page.wait_for_url(re.compile("until"))
    rows = await page.locator("#rows tr").count()
    assert 3 <= rows <= 7
    assert "tag:drawn since:" in await page.locator("#filter").input_value()
    await page.reload()
    assert await page.locator("#rows tr").count() == rows
    await page.go_back()
    await expect(page.locator("#rows tr")).to_have_count(10)


@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_views_and_an_open_list_of_suggestions_are_accessible(browser, stand, scheme):
    await stand.put(record(id="seen", status=Status.FAILED, failure_reason="x"))
    async with watched(browser, base_url=stand.url, color_scheme=scheme) as page:
        await page.goto("/views")
        await page.locator("#view-name").fill("A view")
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator("#rows")).to_be_attached()
        await page.goto("/views")
        broken = await hindrances(page)
        await page.goto("/?q=status:failed")
        await expect(page.locator("#histogram")).to_be_visible()
        await page.locator(".columns summary").click()
        await page.keyboard.press("/")
        await page.keyboard.press("End")
        await page.keyboard.type(" t")
        await expect(page.get_by_role("option").first).to_be_visible()
        broken += await hindrances(page)

    assert broken == []
