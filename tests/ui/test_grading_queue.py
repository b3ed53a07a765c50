"""Grading one call after the other, from a real store and in a browser."""

import re
from datetime import timedelta

import httpx
import pytest
from playwright.async_api import expect
from starlette.applications import Starlette

from browsing import in_browser
from grading import new_task, post
from keyring import added_key
from llm_proxy.api.auth import Gate
from llm_proxy.model.feedback import FeedbackQuery
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_feedback import SqlFeedback
from llm_proxy.store.sql_grading import SqlGrading
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.ui import grading, grading_queue
from llm_proxy.ui.desk import Desk
from llm_proxy.ui.pages import routes
from records import NOON, tagged


def app(store, **options):
    desk = Desk(store, SqlFeedback(store), SqlGrading(store))
    gate = Gate(SqlAccounts(store), **options)
    return Starlette(routes=routes(store, gate.admit, grading.table(desk), grading_queue.table(desk)))


@pytest.fixture
async def client(store):
    transport = httpx.ASGITransport(app(store, is_open=True))
    async with httpx.AsyncClient(transport=transport, base_url="http://proxy.test:9000") as client:
        yield client


@pytest.fixture
async def calls(store):
    """Three, of which 3 is the newest."""
    await store.put(
        [tagged("grade", id=str(number), started_at=NOON + timedelta(seconds=number)) for number in (1, 2, 3)]
    )


async def given(store, **different):
    found, _ = await SqlFeedback(store).find(FeedbackQuery(organization_id="default", **different))
    return found


async def test_one_call_leads_to_the_next_until_there_is_none(client, store, calls):
    href = await new_task(client)

    at = (await post(client, f"{href}/next")).headers["location"]
    seen = []
    while "calls" in at:
        seen.append(at.rpartition("/")[2])
        shown = await client.get(at)
        assert "What is the capital of France?" in shown.text
        at = (await post(client, at, q0="4", q1="0", comment=f"of {seen[-1]}")).headers["location"]

    assert seen == ["3", "2", "1"]
    assert at == f"{href}?ended"
    assert "no call left for you" in (await client.get(at)).text
    assert [(one.completion_ids, one.json_values, one.comment) for one in await given(store)] == [
        ((call,), {"quality": 5, "correct": True}, f"of {call}") for call in ("1", "2", "3")
    ]


async def test_what_the_schema_does_not_allow_is_said_and_stays_filled_in(client, store, calls):
    href = await new_task(client)
    at = (await post(client, f"{href}/next")).headers["location"]

    refused = await post(client, at, q0="4", comment="kept")

    assert refused.status_code == 422
    assert "Is it correct?: is needed" in refused.text
    assert "kept" in refused.text
    assert await given(store) == []


async def test_going_back_leads_to_the_last_answer_which_the_new_one_replaces(client, store, calls):
    href = await new_task(client)
    third = (await post(client, f"{href}/next")).headers["location"]
    second = (await post(client, third, q0="0", q1="0", comment="first thought")).headers["location"]

    back = (await post(client, second, act="back")).headers["location"]
    shown = await client.get(back)
    onward = (await post(client, back, q0="4", q1="1")).headers["location"]

    assert back == third
    assert "first thought" in shown.text
    assert "You have answered this" in shown.text
    assert onward == second
    assert [one.json_values for one in await given(store)] == [{"quality": 5, "correct": False}]
    assert (await post(client, back, act="back")).headers["location"] == back


async def test_an_answer_is_taken_back(client, store, calls):
    href = await new_task(client)
    third = (await post(client, f"{href}/next")).headers["location"]
    second = (await post(client, third, q0="0", q1="0")).headers["location"]

    await post(client, third, act="withdraw")

    assert await given(store) == []
    assert (await post(client, second, act="skip")).headers["location"] == third


async def test_two_graders_do_not_meet(store):
    transport = httpx.ASGITransport(app(store, remembered_s=0))
    keys = [await added_key(store, "acme", "read,write") for _ in range(2)]
    owner = keys[0].organization_id
    await store.put([tagged("grade", id=str(number), organization_id=owner) for number in range(2)])
    clients = [httpx.AsyncClient(transport=transport, base_url="http://proxy.test", headers=key.bearer) for key in keys]
    href = await new_task(clients[0])

    ann, bob = [(await post(client, f"{href}/next")).headers["location"] for client in clients]

    assert ann != bob
    assert (await clients[1].get(ann)).status_code == 409
    assert "Somebody else has this call" in (await clients[1].get(ann)).text
    assert (await clients[0].get(ann)).status_code == 200
    for client in clients:
        await client.aclose()


async def test_who_may_only_look_does_not_grade(store):
    key = await added_key(store, "acme", "read")
    transport = httpx.ASGITransport(app(store, remembered_s=0))
    async with httpx.AsyncClient(transport=transport, base_url="http://proxy.test", headers=key.bearer) as client:
        assert (await client.get("/grading")).status_code == 200
        assert (await post(client, "/grading/new")).status_code == 403
        assert (await post(client, "/grading/x/next")).status_code == 403


@in_browser
async def test_a_queue_of_twenty_is_graded_by_keyboard_alone(page, stand):
    await stand.put(*(tagged("twenty", id=f"twenty-{n:02}", started_at=NOON + timedelta(seconds=n)) for n in range(20)))
    async with httpx.AsyncClient(base_url=stand.url) as client:
        href = await new_task(client, tags="twenty", name="Twenty")
    await page.goto(href)
    await page.get_by_role("button", name="Grade").focus()
    await page.keyboard.press("Enter")

    for number in range(19, -1, -1):
        await page.wait_for_url(re.compile(f"/calls/twenty-{number:02}$"))
        await page.keyboard.press(str(number % 5 + 1))
        await page.keyboard.press("2" if number % 2 else "1")
        if number == 10:
            await page.keyboard.press("c")
            await page.keyboard.type("sj1: half way")
            await page.keyboard.press("Escape")
        if number == 5:  # back to the one before, another answer, and on
            await page.keyboard.press("z")
            await page.wait_for_url(re.compile("/calls/twenty-06$"))
            await expect(page.get_by_text("You have answered this")).to_be_visible()
            await page.keyboard.press("k")
            await page.keyboard.press("5")
            await page.keyboard.press("Enter")
            await page.wait_for_url(re.compile("/calls/twenty-05$"))
            await page.keyboard.press("1")
            await page.keyboard.press("2")
        await page.keyboard.press("s" if number == 0 else "Enter")
    await expect(page.get_by_text("There is no call left for you here")).to_be_visible()

    store = SqliteStore(stand.product.data_dir / "store.sqlite3")
    found = await given(store, task_id=href.rpartition("/")[2])
    await store.close()
    by_call = {int(one.completion_ids[0][-2:]): one for one in found}
    assert sorted(by_call) == list(range(1, 20))
    expected = {n: {"quality": n % 5 + 1, "correct": n % 2 == 0} for n in range(1, 20)}
    expected[6]["quality"] = 5
    assert {n: one.json_values for n, one in by_call.items()} == expected
    assert by_call[10].comment == "sj1: half way"


@in_browser
async def test_reload_keeps_the_call_and_without_scripts_one_grades_with_the_mouse(page, browser, stand):
    await stand.put(*(tagged("plain", id=f"plain-{n}", started_at=NOON + timedelta(seconds=n)) for n in range(2)))
    async with httpx.AsyncClient(base_url=stand.url) as client:
        href = await new_task(client, tags="plain")
    context = await browser.new_context(base_url=stand.url, java_script_enabled=False)
    plain = await context.new_page()
    await plain.goto(href)
    await plain.get_by_role("button", name="Grade").click()
    await plain.wait_for_url(re.compile("/calls/plain-1$"))
    await plain.reload()
    await plain.get_by_label("4").check()
    await plain.get_by_label("Yes").check()
    await plain.get_by_role("button", name="Save").click()

    await plain.wait_for_url(re.compile("/calls/plain-0$"))
    await context.close()
