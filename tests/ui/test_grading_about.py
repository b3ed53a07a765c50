"""Feedback to calls, sessions and traces, from a real store and in a browser."""

from datetime import UTC, datetime

import httpx
import pytest
from msgspec.structs import replace
from playwright.async_api import expect
from starlette.applications import Starlette

from browsing import check_usable, in_browser
from grading import new_task, post
from llm_proxy.api.auth import Gate
from llm_proxy.model.feedback import Feedback, FeedbackQuery
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_feedback import SqlFeedback
from llm_proxy.store.sql_grading import SqlGrading
from llm_proxy.ui import grading, grading_about
from llm_proxy.ui.desk import Desk
from llm_proxy.ui.pages import routes
from reading import HOSTILE, read
from records import NOON, tagged


@pytest.fixture
async def client(store):
    desk = Desk(store, SqlFeedback(store), SqlGrading(store))
    tables = (grading.table(desk), grading_about.table(desk))
    app = Starlette(routes=routes(store, Gate(SqlAccounts(store), is_open=True).admit, *tables))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://proxy.test:9000") as client:
        yield client


def form(href, **about):
    return str(httpx.URL(f"/feedback/{href.rpartition('/')[2]}", params=about))


@pytest.mark.parametrize("about", [{"session": "s 1/2"}, {"trace": "0af7"}])
async def test_a_session_or_a_trace_is_answered_about_and_a_new_answer_replaces_the_old(client, store, about):
    href = await new_task(client, name="Whole")

    for quality in ("0", "4"):
        saved = await post(client, form(href, **about), q0=quality, q1="1", comment="as a whole")
        assert saved.status_code == 303
    shown = await read(client, saved.headers["location"])
    again = await client.get(form(href, **about))

    found, total = await SqlFeedback(store).find(FeedbackQuery(organization_id="default"))
    assert total == 1
    assert {"session": found[0].session_id, "trace": found[0].trace_id} == {"session": None, "trace": None} | about
    assert found[0].json_values == {"quality": 5, "correct": False}
    assert "quality: 5 · correct: no" in shown.text
    assert "as a whole" in again.text


async def test_what_is_not_allowed_or_about_nothing_is_refused(client):
    href = await new_task(client)

    assert (await post(client, form(href, session="s"), q0="9")).status_code == 422
    assert (await client.get("/feedback")).status_code == 404
    assert (await client.get("/feedback/none?session=s")).status_code == 404


async def test_nothing_in_an_id_becomes_anything_but_text(client):
    href = await new_task(client)

    for path in (str(httpx.URL("/feedback", params={"session": HOSTILE})), form(href, trace=HOSTILE)):
        page = await read(client, path)
        assert "b" not in {tag for tag, _ in page.elements}
        assert "{{ 7*7 }}" in page.text


@in_browser
async def test_everybody_can_give_feedback_to_a_session(browser, stand):
    async with httpx.AsyncClient(base_url=stand.url) as client:
        href = await new_task(client)
        await post(client, form(href, session="s-1"), q0="1", q1="1")

    await check_usable(browser, stand.url, ["/feedback?session=s-1", "/feedback?trace=t", form(href, session="s-1")])


@pytest.mark.parametrize("about", [{"call": "1"}, {"session": "s"}, {"trace": "t"}])
async def test_a_page_has_what_was_said_about_it_and_leads_to_the_questions(client, store, about):
    (kind,) = about
    path = httpx.URL("/feedback", params=about)
    none = await client.get(path, params={**about, "short": ""})
    href = await new_task(client, name="Whole")
    before = await read(client, f"{path}&short")
    given = [
        Feedback(
            id=str(number), organization_id="default", created_at=NOON, task_id=href.rpartition("/")[2],
            json_values={"quality": 4}, comment="<b>fine", given_by="ann",
            completion_ids=("1",) if kind == "call" else (),
            session_id=about.get("session"), trace_id=about.get("trace"),
        )
        for number in range(7)
    ]  # fmt: skip
    for one in given:
        await SqlFeedback(store).add(one)

    after, whole = await read(client, f"{path}&short"), await read(client, str(path))

    assert (none.status_code, none.text) == (200, "")
    assert "Nobody has said" in before.text
    assert str(path) in before.attributes("a", "href")
    assert after.text.count("quality: 4") == 5
    assert "2 more" in after.text
    assert "<b>fine" in after.text
    asked = f"{href}/calls/1" if kind == "call" else form(href, **about)
    assert asked in whole.attributes("a", "href")


async def test_a_call_has_its_questions_in_the_queue_alone(client):
    href = await new_task(client)

    assert (await client.get(form(href, call="1"))).status_code == 404


@in_browser
async def test_the_pages_of_a_call_and_its_session_have_their_feedback(page, stand):
    call = tagged("told", id="told-1", started_at=datetime.now(UTC))
    await stand.put(replace(call, context=replace(call.context, session_id="told", trace_id="told")))
    async with httpx.AsyncClient(base_url=stand.url, trust_env=False) as client:
        await new_task(client, name="Told", tags="told")
    for path in ("/calls/told-1", "/sessions/told", "/traces/told"):
        await page.goto(path)
        await page.get_by_role("link", name="Give feedback").click()
        await page.get_by_role("link", name="Told", exact=True).click()
        await page.get_by_label("Comment").fill(f"said of {path}")
        for choice in ("4", "1 Yes"):
            await page.get_by_label(choice, exact=True).first.check()
        await page.get_by_role("button", name="Save").click()
        await page.goto(path)

        await expect(page.get_by_role("region", name="Feedback").get_by_text(f"said of {path}")).to_be_visible()
