"""The page of the pipeline, from a real store and directory, and in a browser."""

import asyncio

import httpx
import pytest
from playwright.async_api import expect
from starlette.applications import Starlette

from browsing import check_usable, in_browser
from grading import post
from keyring import added_key
from llm_proxy.api.auth import Gate
from llm_proxy.journal.reader import JournalReader
from llm_proxy.metrics import Ledger
from llm_proxy.queue.base import Delivery
from llm_proxy.queue.in_journal import JournalQueue
from llm_proxy.settings.table import Settings
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.ui.pages import routes
from llm_proxy.ui.pipeline import table
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.works import PipelineWorks
from queue_exchanges import exchange
from reading import ATTACKS, HOSTILE, read


@pytest.fixture
def data(tmp_path):
    data = DataDir(tmp_path / "data")
    data.prepare()
    return data


@pytest.fixture
def app(store, data):
    works = PipelineWorks(Settings(data_dir=data.root), store)
    gate = Gate(SqlAccounts(store), remembered_s=0)
    return Starlette(routes=routes(store, gate.admit, table(works, look_holds_s=0)))


@pytest.fixture
async def client(app):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:9000") as client:
        yield client


async def bury(data, reason):
    """A dead letter, and the id of its call."""
    sent = exchange()
    queue = JournalQueue(JournalReader(data.journal, ledger=Ledger()), dead_letters=data.dead_letters)
    await queue.bury(Delivery(sent), reason)
    return sent.id


async def test_the_account_is_shown_with_what_is_missing(client, data):
    data.ledger("proxy-0").add("accepted", 1234)

    page = await read(client, "/pipeline")

    assert "Accepted + 1,234" in page.text
    assert "Missing 1,234" in page.text


async def test_what_the_proxies_need_for_themselves_is_told_once_something_is_known(client, data):
    unknown = await read(client, "/pipeline")
    ledger = data.ledger("store-0")
    for seconds in (0.0002, 0.0002, 0.03):
        ledger.observe_overhead(seconds)

    page = await read(client, "/pipeline")

    assert "Our own part" not in unknown.text
    assert "Our own part of a call: at most 0.25 ms for half of them, 50 ms for 99 of 100" in page.text


async def test_one_look_is_for_all_who_ask_until_something_is_changed(store, data):
    works, looks = PipelineWorks(Settings(data_dir=data.root), store), []

    class Counted(PipelineWorks):
        async def accounts(self):
            looks.append(1)
            return await works.accounts()

    counted = table(Counted(Settings(data_dir=data.root), store), look_holds_s=3600)
    app = Starlette(routes=routes(store, Gate(SqlAccounts(store), remembered_s=0).admit, counted))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:9000") as client:
        shown = await asyncio.gather(*(client.get("/pipeline") for _ in range(5)))
        assert ([one.status_code for one in shown], len(looks)) == ([200] * 5, 1)

        await post(client, "/pipeline/letters", id=await bury(data, "bad"), act="drop")

    assert len(looks) == 2


async def test_a_dead_letter_is_looked_at_tried_again_and_dropped(client, data):
    first, second = await bury(data, "bad"), await bury(data, "worse")

    listed, shown = await read(client, "/pipeline"), await read(client, f"/pipeline/letters/{first}")
    retried = await post(client, "/pipeline/letters", id=first, act="retry")
    dropped = await post(client, "/pipeline/letters", id=second, act="drop")
    nothing = await post(client, "/pipeline/letters", act="drop")

    assert "worse" in listed.text
    assert first in shown.text
    assert "is tried again" in retried.text
    assert "is deleted" in dropped.text
    assert "Nothing was chosen" in nothing.text
    assert list(data.dead_letters.iterdir()) == []
    assert (await client.get(f"/pipeline/letters/{first}")).status_code == 404


async def test_what_could_not_be_stored_is_for_who_runs_the_proxy(app, data, store):
    call_id = await bury(data, "a reason of another organisation")
    key = await added_key(store, "acme", "read,write,admin")
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://proxy.test", headers=key.bearer) as client:
        page = await client.get("/pipeline")

        assert page.status_code == 200
        assert "Accepted" in page.text
        assert "another organisation" not in page.text
        assert "On the disk" not in page.text
        assert (await client.get(f"/pipeline/letters/{call_id}")).status_code == 403
        assert (await post(client, "/pipeline/letters", id=call_id, act="drop")).status_code == 403
    assert len(list(data.dead_letters.iterdir())) == 1


async def test_nothing_in_a_letter_becomes_anything_but_text(client, data):
    call_id = await bury(data, HOSTILE)

    for page in (await read(client, "/pipeline"), await read(client, f"/pipeline/letters/{call_id}")):
        assert "b" not in {tag for tag, _ in page.elements}
        assert "{{ 7*7 }}" in page.text


@in_browser
async def test_the_account_is_live(page, stand):
    await page.goto("/pipeline")
    accepted = page.locator("#account tr", has_text="Accepted").locator("td").last
    before = int((await accepted.inner_text()).replace(",", ""))

    await stand.product.chat()

    await expect(accepted).to_have_text(f"{before + 1:,}")


@in_browser
async def test_everybody_can_use_the_page_and_nothing_hostile_runs_on_it(browser, page, stand):
    data = DataDir(stand.product.data_dir)
    ids = [await bury(data, attack) for attack in ATTACKS]
    await page.goto("/pipeline")
    await expect(page.locator("#rows tr")).to_have_count(len(ATTACKS))
    await check_usable(browser, stand.url, ["/pipeline", "/pipeline?measured", f"/pipeline/letters/{ids[0]}"])

    for box in await page.get_by_role("checkbox").all():
        await box.check()
    await page.get_by_role("button", name="Drop").click()

    await expect(page.get_by_text("None: every call that was taken off")).to_be_visible()
