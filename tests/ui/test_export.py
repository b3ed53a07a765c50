"""The calls of a filter as files, and how far they have come."""

import csv
import io
import json

import pyarrow.parquet as pq
import pytest
from playwright.async_api import expect

from browsing import hindrances, in_browser, watched
from llm_proxy.model.exchange import Endpoint
from llm_proxy.model.record import record_json
from llm_proxy.ui import export
from llm_proxy.ui.export import FORMATS
from llm_proxy.wiring.export import WRITERS
from reading import HOSTILE, Page, read
from records import bare, record, tagged

TOKEN = "0123456789abcdef"


async def exported(client, format_name, written=""):
    response = await client.get("/export/file", params={"format": format_name, "q": written, "token": TOKEN})
    assert response.status_code == 200
    assert response.headers["content-disposition"].startswith('attachment; filename="calls-')
    return response.content


def test_every_format_of_the_command_is_offered():
    assert list(FORMATS) == list(WRITERS)


async def test_json_lines_are_the_records_that_the_filter_lets_through(client, store):
    calls = [record(id="1"), tagged("other", id="2")]
    await store.put(calls)

    lines = (await exported(client, "jsonl", "tag:other")).splitlines()

    assert [json.loads(line)["id"] for line in lines] == ["2"]
    assert json.loads(lines[0])["request"] == record_json(calls[1], with_bodies=True)["request"]


async def test_the_other_formats_have_all_calls_and_what_is_left_out_is_counted(client, store):
    await store.put([record(id=str(number)) for number in range(1200)])

    rows = list(csv.DictReader(io.StringIO((await exported(client, "csv")).decode())))
    table = pq.read_table(io.BytesIO(await exported(client, "parquet")))
    await store.put([record(id="x", endpoint=Endpoint.EMBEDDINGS)])
    examples = (await exported(client, "openai-finetune")).splitlines()
    progress = (await client.get("/export/progress", params={"token": TOKEN})).json()

    assert len(rows) == table.num_rows == len(examples) == 1200
    assert progress["written"] == 1200
    assert progress["left_out"] == [{"reason": "no chat completion", "count": 1}]
    assert progress["finished"]
    assert (await client.get("/export/progress", params={"token": "none"})).json() is None


@pytest.mark.parametrize("query", ["format=x", "format=csv&token=../", "format=csv&q=modl:x"])
async def test_what_is_no_export_is_refused(client, query):
    assert (await client.get(f"/export/file?{query}")).status_code == 400


async def test_the_page_says_how_many_calls_it_is_about_and_the_command_that_does_the_same(client, store):
    await store.put([record(), tagged("it's"), record(organization_id="other")])

    page = await read(client, '/export?q=tag:"it\'s"')

    assert "1 call: tag:it's" in page.text
    assert "llm-proxy export --format jsonl --where 'tag:it'\\''s' --output calls.jsonl" in page.text
    assert "2 calls" in (await read(client, "/export")).text
    assert "modl: is unknown" in (await read(client, "/export?q=modl:x", status=400)).text


async def test_of_a_text_the_calls_that_have_it_are_counted_while_there_is_time(client, store, monkeypatch):
    await store.put([record(), record(), bare()])

    page = (await client.get("/export?q=text:France")).text
    await store.put([record() for _ in range(60)])  # more than are read at once
    monkeypatch.setattr(export, "_PATIENCE_S", 0.0)
    cut = (await client.get("/export?q=text:France")).text

    assert "2 calls: " in page
    assert 'data-total="2"' in page
    assert "there was no time to count any" in cut
    assert 'data-total=""' in cut


async def test_a_hostile_filter_is_nothing_but_text(client):
    hostile = f'text:"{HOSTILE.replace(chr(34), "")}"'

    page = Page((await client.get("/export", params={"q": hostile})).text)

    assert "b" not in {tag for tag, _ in page.elements}
    assert "{{ 7*7 }}" in page.text


@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_download_says_how_far_it_has_come(browser, stand, scheme):
    await stand.put(*(tagged("exported", id=f"exported-{number}") for number in range(30)))
    async with watched(browser, base_url=stand.url, color_scheme=scheme) as page:
        await page.goto("/?q=tag:exported")
        await page.get_by_role("link", name="Export", exact=True).click()
        await page.wait_for_url("**/export?*")  # with its script: a download that begins before it is not watched
        async with page.expect_download() as downloading:
            await page.get_by_role("button", name="Download").click()
        content = (await (await downloading.value).path()).read_bytes()
        await expect(page.locator("#export-state")).to_have_text("Done: 30 written")
        broken = await hindrances(page)

    assert len(content.splitlines()) == 30
    assert broken == []
