"""The live tail of a list, from a real store."""

import asyncio
import contextlib
import re
from datetime import timedelta

import pytest
from msgspec.structs import replace
from playwright.async_api import expect

from browsing import in_browser
from llm_proxy.model.completion import Status
from llm_proxy.model.filters import Filter
from llm_proxy.model.query import CompletionQuery
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.ui.calls import place
from llm_proxy.ui.live import LiveList, LiveLists
from records import NOON, bare, record, tagged
from upstreams import LAST_CHUNK, SSE_HEAD, chat_chunk, chunk


class Tail:
    """What a client sees of a live list."""

    def __init__(self, lists):
        self.lists = lists
        self.sent = asyncio.Queue()
        self.gone = asyncio.Event()

    async def receive(self):
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def event(self):
        """The next event, as it is on the wire."""
        message = await self.sent.get()
        return message["body"].decode() if message["type"] == "http.response.body" else await self.event()

    async def rows(self):
        """The ids and classes of the rows in the next event; of those that go, ``gone``."""
        html = await self.event()
        if html.startswith(": "):
            return []
        assert html.endswith("\n\n")
        assert all(line.startswith("data: ") for line in html[:-2].splitlines())
        return re.findall(r'<tr id="call-([^"]*)" (?:class|hx-swap-oob)="([^"]*)"', html)


@contextlib.asynccontextmanager
async def tail(store, *, lists=None, floor="", **conditions):
    """A live list for the duration of the block."""
    seen = Tail(lists or LiveLists())
    query = CompletionQuery(limit=50, **conditions)
    answer = LiveList(store, query, Filter(), floor=floor, lists=seen.lists)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(answer({"method": "GET"}, seen.receive, seen.sent.put))
        yield seen
        seen.gone.set()
        await task


async def test_it_begins_with_the_page_and_goes_on_with_what_is_written(store):
    await store.put([record(id="1"), record(id="2", started_at=NOON + timedelta(seconds=1))])

    async with tail(store) as seen:
        assert await seen.rows() == [("1", "finished"), ("2", "finished")]
        await store.put([bare(id="3")])
        assert await seen.rows() == [("3", "started")]
        await store.put([record(id="3")])
        assert await seen.rows() == [("3", "finished")]


async def test_only_what_is_of_the_project_is_told(store):
    await store.put([record(id="1", project_id="p"), record(id="2", project_id="q")])

    async with tail(store, project_id="p") as seen:
        assert await seen.rows() == [("1", "finished")]
        await store.put([record(id="3", project_id="q"), record(id="4", project_id=None)])
        await store.put([record(id="5", project_id="p")])
        assert await seen.rows() == [("5", "finished")]


async def test_only_what_the_filter_lets_through_is_told(store):
    async with tail(store, tags=("ci",)) as seen:
        await seen.event()
        await store.put([tagged("other", id="1"), tagged("ci", id="2")])

        assert await seen.rows() == [("2", "finished")]


async def test_a_call_that_ends_leaves_the_list_of_those_that_run(store):
    await store.put([bare(id="1")])

    async with tail(store, status=Status.STARTED) as seen:
        assert await seen.rows() == [("1", "started")]
        await store.put([record(id="1")])
        assert await seen.rows() == [("1", "delete")]


async def test_what_comes_before_the_floor_is_not_of_its_page(store):
    old, new = record(id="1"), record(id="2", started_at=NOON + timedelta(seconds=1))

    async with tail(store, floor=place(new)) as seen:
        await seen.event()
        await store.put([old, new])

        assert await seen.rows() == [("2", "finished")]


async def test_many_calls_at_once_are_one_event_of_the_newest(store):
    async with tail(store) as seen:
        await seen.event()
        await store.put([record(id=f"{number:03}") for number in range(300)])

        rows = await seen.rows()

    assert [row for row, _ in rows] == [f"{number:03}" for number in range(200, 300)]


async def test_beyond_the_limit_a_list_is_told_to_come_later(store):
    lists = LiveLists(max_open=1)

    async with tail(store, lists=lists) as first:
        await first.event()
        async with tail(store, lists=lists) as second:
            assert await second.event() == "event: full\nretry: 15000\ndata: full\n\n"
            assert await second.event() == ""
    async with tail(store, lists=lists) as third:
        assert await third.rows() == []


async def test_a_store_that_is_away_ends_the_stream(tmp_path):
    (tmp_path / "store.sqlite3").write_bytes(b"this is no database " * 100)
    store = SqliteStore(tmp_path / "store.sqlite3", read_only=True)

    lists = LiveLists()
    async with tail(store, lists=lists) as seen:
        assert await seen.event() == ""

    with lists.held() as is_free:
        assert is_free
    await store.close()


async def test_the_head_alone_is_answered_at_once(client):
    answer = await client.head("/live")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")


@pytest.mark.parametrize("written", ["modl:x", "hello"])
async def test_a_filter_that_is_not_understood_is_refused(client, written):
    assert (await client.get("/live", params={"q": written})).status_code == 400


def row(page, text):
    return page.locator("#rows tr", has_text=text)


async def live(page):
    await expect(page.locator("#live-state")).to_have_text("live")


@in_browser
async def test_a_stream_is_seen_while_it_runs_and_again_when_it_has_ended(page, stand):
    last = asyncio.Event()
    stand.upstream.script(
        SSE_HEAD, chunk(chat_chunk("One ")), last, chunk(chat_chunk("two.", finish="stop")), LAST_CHUNK
    )
    request = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "Count to two"}]}
    await page.goto("/?q=tag:streamed")
    await live(page)
    await expect(page.get_by_text("No call is what this filter says")).to_be_visible()

    call = asyncio.create_task(
        stand.product.client.post(f"{stand.url}/~tags=streamed/v1/chat/completions", json=request)
    )
    await expect(page.locator("#rows .badge")).to_have_text("running")
    last.set()
    await call

    await expect(row(page, "Count to two → One two.").locator(".badge")).to_have_text("finished")
    await expect(page.get_by_text("No call is what this filter says")).to_be_hidden()
    await expect(page.locator("#rows tr")).to_have_count(1)


@in_browser
async def test_a_list_that_is_held_stands_still_and_then_misses_nothing(page, stand):
    await stand.put(tagged("held", preview="before"))
    await page.goto("/?q=tag:held")
    await live(page)

    await page.keyboard.press("p")
    await expect(page.locator("#live-state")).to_have_text("held")
    await stand.put(tagged("held", preview="while held"))
    # Whoever is not held has it: then a list that would get it has got it.
    other = await page.context.new_page()
    await other.goto("/?q=tag:held")
    await live(other)
    await stand.put(tagged("held", preview="and then"))
    await expect(row(other, "and then")).to_be_visible()
    await expect(row(page, "while held")).to_have_count(0)

    await page.get_by_role("button", name="Go on").click()

    await expect(row(page, "while held")).to_be_visible()
    await expect(row(page, "and then")).to_be_visible()


@in_browser
async def test_new_calls_come_to_the_top_and_the_focus_stays_where_it_is(page, stand):
    first = tagged("focus", preview="first", started_at=NOON)
    await stand.put(first)
    await page.goto("/?q=tag:focus")
    await live(page)
    await page.keyboard.press("j")

    await stand.put(tagged("focus", preview="second", started_at=NOON + timedelta(seconds=1)))
    await stand.put(replace(first, preview="first again"))

    await expect(row(page, "first again")).to_be_visible()
    await expect(page.locator("#rows a.open")).to_have_text(["second", "first again"])
    await expect(page.locator("#rows a.open", has_text="first again")).to_be_focused()
