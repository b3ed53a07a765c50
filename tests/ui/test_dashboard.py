"""The dashboard, from a real store and in a browser."""

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import expect
from starlette.applications import Starlette

from browsing import check_usable, in_browser
from llm_proxy.api.auth import Gate
from llm_proxy.model.completion import Context, Cost, CostSource, Status
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_series import SqlSeries
from llm_proxy.ui.dashboard import PERIODS, table
from llm_proxy.ui.pages import routes
from llm_proxy.ui.present import DASH
from reading import ATTACKS, read
from records import record, tagged

COST = Cost(usd=Decimal("0.5"), source=CostSource.LIST)


@pytest.fixture
async def client(store):
    app = Starlette(routes=routes(store, Gate(SqlAccounts(store), is_open=True).admit, table(SqlSeries(store))))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://proxy.test:9000") as client:
        yield client


def ago(minutes, **different):
    return record(started_at=datetime.now(UTC) - timedelta(minutes=minutes), bodies=None, **different)


def pictures(page):
    """What the pictures are drawn from."""
    (series,) = page.attributes("div", "data-series")
    return json.loads(series)


def tiles(page):
    text = page.text.partition("By model")[0]
    found = re.findall(r"(Calls|Failed|Cost|Tokens in|Latency p50) (\S+)", text.rpartition(" Filter ")[2])
    # The first ones: behind them the same words are headings.
    return dict(reversed(found))


async def test_the_numbers_are_those_of_the_calls_beside_the_time_before(client, store):
    await store.put([ago(minutes, cost=COST, overhead_s=0.003) for minutes in (10, 20, 90)])
    await store.put([ago(30, status=Status.FAILED, failure_kind="x", cost=COST)])
    await store.put([ago(60 * 25), ago(60 * 30), ago(60 * 24 * 3), ago(5, organization_id="other")])

    page = await read(client, "/dashboard")

    shown = tiles(page)
    assert (shown["Calls"], shown["Failed"], shown["Cost"], shown["Tokens in"]) == ("4", "1", "$2.00", "56")
    assert "Calls 4 +100%" in page.text
    assert "25 %" in page.text
    assert re.search(r"Our own part p95 (2.9|3|3.0)\d* ms", page.text)


@pytest.mark.parametrize("period", PERIODS)
async def test_the_pictures_have_a_value_for_each_point_and_each_leads_to_its_calls(client, store, period):
    await store.put([ago(3), ago(8)])

    series = pictures(await read(client, f"/dashboard?period={period}&q=model:gpt-4o"))

    count = len(series["times"])
    assert count == PERIODS[period][1] // PERIODS[period][2]
    for line in (series["hrefs"], series["calls"], series["earlier"], series["cost"], *series["latency"].values()):
        assert len(line) == count
    assert sum(series["calls"]) == 2
    found = 0
    for href, calls in zip(series["hrefs"], series["calls"], strict=True):
        if calls:
            assert parse_qs(urlsplit(href).query)["q"][0].startswith("model:gpt-4o since:")
            found += len(re.findall(r'id="call-', (await client.get(href)).text))
    assert found == 2


@pytest.mark.parametrize(
    ("by", "name", "word"),
    [("model", "gpt-4o", "model:gpt-4o"), ("tag", "ci", "tag:ci"), ("user", "u-1", "user:u-1"),
     ("provider", "openai", "provider:openai"), ("key", "5f1c…cdef", "key:5f1c…cdef")],
)  # fmt: skip
async def test_calls_are_told_apart_and_each_line_leads_to_its_calls(client, store, by, name, word):
    await store.put([ago(1), ago(2, model="other", provider="other", key_fingerprint=None, context=Context())])

    page = await read(client, f"/dashboard?by={by}")

    words = {href: parse_qs(urlsplit(href).query).get("q", [""])[0].split() for href in page.attributes("a", "href")}
    [href] = [href for href, found in words.items() if word in found]
    assert name in page.text
    assert len(re.findall(r'id="call-', (await client.get(href)).text)) == 1


async def test_a_filter_narrows_the_numbers_and_stays_in_every_link(client, store):
    await store.put([ago(1, model="a", response_model="a"), ago(2, model="b", response_model="b")])

    page = await read(client, "/dashboard?q=model:a&period=7d")

    assert tiles(page)["Calls"] == "1"
    links = [href for href in page.attributes("a", "href") if href.startswith("/dashboard?q=")]
    assert len(links) == len(PERIODS) + 5


@pytest.mark.parametrize("wrong", ["q=modl:x", "q=text:x", "period=2h", "by=weekday"])
async def test_what_is_not_understood_is_said(client, wrong):
    page = await read(client, f"/dashboard?{wrong}", status=400)

    assert re.search("did you mean|there are|text:", page.text)


async def test_without_calls_the_page_says_what_to_do(client):
    assert "No calls in this time" in (await read(client, "/dashboard")).text


async def test_what_is_unknown_is_a_dash_and_not_nothing(client, store):
    await store.put([ago(1, usage=None, duration_s=None, ttft_s=None, cost=None)])

    shown = tiles(await read(client, "/dashboard"))

    assert {shown[name] for name in ("Tokens in", "Latency p50", "Cost")} == {DASH}


async def test_what_takes_too_long_to_count_is_said_and_counted_when_it_is_asked_for(client, store, monkeypatch):
    await store.put([ago(minutes) for minutes in (0, 50)])
    monkeypatch.setattr("llm_proxy.ui.dashboard._PATIENCE_S", 0.0)

    page = await read(client, "/dashboard?period=1h&q=latency:>0s")

    assert "Only calls since" in page.text
    assert "Compared with" not in page.text
    assert tiles(page)["Calls"] == "1"
    assert pictures(page)["calls"][0] is None
    (everything,) = [href for href in page.attributes("a", "href") if "count=everything" in href]
    whole = await read(client, everything)
    assert tiles(whole)["Calls"] == "2"
    assert "Only calls since" not in whole.text


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def busy(stand):
    """Calls of the last day, among them such as want to run in the page."""
    now = datetime.now(UTC)
    hostile = (
        record(id=f"dash {number}", model=attack, provider=attack, key_fingerprint=attack, bodies=None,
               started_at=now - timedelta(minutes=number), context=Context(tags=(attack,), user_id=attack))
        for number, attack in enumerate(ATTACKS)
    )  # fmt: skip
    await stand.put(*hostile, *(tagged("dash", id=f"dash-{n}", started_at=now - timedelta(hours=n)) for n in range(20)))


@in_browser
async def test_a_click_on_a_point_leads_to_its_calls_and_back_keeps_the_picture(page, stand, busy):
    await page.goto("/dashboard?q=tag:dash&period=24h&count=everything")
    await expect(page.locator("#plots[data-drawn='7']")).to_be_visible()
    series = json.loads(await page.locator("#plots").get_attribute("data-series"))
    at = max(index for index, calls in enumerate(series["calls"][:-4]) if calls)
    over = page.locator("[data-plot='calls'] .u-over")
    box = await over.bounding_box()

    await over.click(position={"x": box["width"] * at / (len(series["times"]) - 1), "y": box["height"] / 2})
    await page.wait_for_url(re.compile(r"/\?q=tag%3Adash\+since"))
    await expect(page.locator("#rows tr")).to_have_count(1)
    await page.go_back()

    await expect(page.locator("#plots[data-drawn='7']")).to_be_visible()
    await expect(page.locator("#filter")).to_have_value("tag:dash")


@in_browser
async def test_a_picture_says_of_which_time_it_is_and_a_point_what_it_has(page, stand, busy):
    await page.goto("/dashboard?q=tag:dash&period=24h")
    legend = page.locator("[data-plot='calls'] .u-legend")
    await expect(page.locator("#plots[data-drawn='7']")).to_be_visible()

    await expect(legend).to_contain_text(re.compile(r"\d\d:\d\d to \d.*calls *failed *before *$", re.DOTALL))
    await page.locator("[data-plot='calls'] .u-over").hover()
    await expect(legend).not_to_contain_text(" to ")

    await expect(legend).to_contain_text(re.compile(f"calls *[0-9{DASH}]"))


@in_browser
async def test_nothing_hostile_runs_on_the_dashboard(page, busy):
    for by in ("model", "provider", "tag", "user", "key"):
        await page.goto(f"/dashboard?by={by}")
        await expect(page.locator("#plots[data-drawn='7']")).to_be_visible()


@in_browser
async def test_the_lines_of_the_table_are_gone_through_with_the_keys(page, busy):
    await page.goto("/dashboard?q=tag:dash")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")

    await page.wait_for_url(re.compile("model%3Agpt-4o"))
    await page.keyboard.press("g")
    await page.keyboard.press("d")
    await page.wait_for_url(re.compile("/dashboard$"))


@in_browser
async def test_everybody_can_use_the_dashboard(browser, stand, busy):
    await check_usable(browser, stand.url, ["/dashboard", "/dashboard?by=tag&period=7d", "/dashboard?q=tag:none"])
