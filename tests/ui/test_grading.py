"""Tasks on the pages, from a real store and in a browser."""

import json
import re

import httpx
import pytest
from playwright.async_api import expect
from starlette.applications import Starlette

from browsing import check_usable, in_browser
from grading import SCHEMA, new_task, post
from llm_proxy.api.auth import Gate
from llm_proxy.model.exchange import new_id
from llm_proxy.model.feedback import Feedback
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_feedback import SqlFeedback
from llm_proxy.store.sql_grading import SqlGrading
from llm_proxy.ui import grading, grading_about, grading_queue
from llm_proxy.ui.desk import Desk
from llm_proxy.ui.pages import routes
from reading import ATTACKS, HOSTILE, read
from records import NOON, tagged


@pytest.fixture
async def client(store):
    desk = Desk(store, SqlFeedback(store), SqlGrading(store))
    tables = (grading.table(desk), grading_queue.table(desk), grading_about.table(desk))
    app = Starlette(routes=routes(store, Gate(SqlAccounts(store), is_open=True).admit, *tables))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://proxy.test:9000") as client:
        yield client


def answer(task_id, call, who, **values):
    return Feedback(
        id=new_id(),
        organization_id="default",
        created_at=NOON,
        task_id=task_id,
        json_values=values,
        completion_ids=(call,),
        given_by=who,
    )


async def test_without_tasks_the_page_says_what_they_are_and_leads_to_a_new_one(client):
    page = await read(client, "/grading")

    assert "No tasks yet" in page.text
    assert "/grading/new" in page.attributes("a", "href")


async def test_a_new_task_is_listed_with_how_far_it_is(client, store):
    await store.put([tagged("grade", id="1"), tagged("grade", id="2"), tagged("other", id="3")])
    href = await new_task(client, name="Support")
    await SqlFeedback(store).add(answer(href.rpartition("/")[2], "1", "ann", quality=1, correct=True))

    listed, shown = (await read(client, "/grading")).text, (await read(client, href)).text

    assert "Support" in listed
    assert "1 of 2 calls graded" in listed
    assert "quality: 1 · correct: yes" in shown
    assert "ann" in shown


@pytest.mark.parametrize(
    ("different", "fault"),
    [
        ({"name": ""}, "needs a name"),
        ({"name": "x" * 201}, "longer than 200"),
        ({"tags": ",".join(map(str, range(21)))}, "More than 20 tags"),
        ({"answers": "0"}, "From 1 to 20"),
        ({"answers": "many"}, "From 1 to 20"),
        ({"schema": "{"}, "The schema is not JSON"),
        ({"schema": "[]"}, "no JSON object"),
        ({"schema": '{"type": 1}'}, "The schema"),
        ({"schema": '{"$ref": "http://evil.test/"}'}, "may only refer to its own parts"),
    ],
)
async def test_what_makes_no_task_is_said_and_stays_filled_in(client, store, different, fault):
    filled = {"name": "kept", "tags": "a, b", "answers": "1", "schema": '{"properties": {"kept": {}}}'} | different

    refused = await post(client, "/grading/new", **filled, act="create")

    assert refused.status_code == 422
    assert fault in refused.text
    assert "kept" in refused.text
    assert await SqlFeedback(store).tasks("default") == []


async def test_a_task_is_changed_but_for_what_it_asks(client, store):
    href = await new_task(client)

    changed = await post(client, href, name="New", tags="x, y,x", answers="3", instruction="How", schema="{}")
    refused = await post(client, href, name="", tags="", answers="1")

    [task] = await SqlFeedback(store).tasks("default")
    assert (changed.status_code, refused.status_code) == (303, 422)
    assert (task.name, task.tags, task.answers_wanted, task.instruction) == ("New", ("x", "y"), 3, "How")
    assert task.json_schema == SCHEMA


async def test_agreement_is_told_by_question(client, store):
    href = await new_task(client, answers="2")
    task_id = href.rpartition("/")[2]
    for who, good in (("ann", True), ("bob", False)):
        await SqlFeedback(store).add(answer(task_id, "1", who, quality=2, correct=good))

    text = (await read(client, href)).text

    assert re.search(r"correct 1 0%", text)
    assert re.search(r"quality 1 100%", text)


async def test_a_task_that_is_not_there_is_no_page(client):
    assert "There is no feedback task none" in (await read(client, "/grading/none", status=404)).text


async def test_nothing_in_a_task_becomes_anything_but_text(client):
    schema = f'{{"properties": {{"x": {{"title": {HOSTILE!a}}}}}}}'.replace("'", '"')
    href = await new_task(client, name=HOSTILE, instruction=HOSTILE, tags=HOSTILE.replace(",", ""))
    broken = await post(client, "/grading/new", name=HOSTILE, tags="", answers="1", schema=schema + HOSTILE)

    for page in (await read(client, "/grading"), await read(client, href)):
        assert "b" not in {tag for tag, _ in page.elements}
        assert "{{ 7*7 }}" in page.text
    assert "<b>" not in broken.text


@in_browser
async def test_the_form_is_seen_while_its_schema_is_written(page, stand):
    await page.goto("/grading/new")
    await expect(page.locator("#preview").get_by_text("How good is the answer?")).to_be_visible()
    colours = {"properties": {"x": {"enum": ["red", "blue"], "title": "Colour?"}}}

    await page.get_by_label("What is asked").fill(json.dumps(colours))
    await expect(page.locator("#preview").get_by_text("Colour?")).to_be_visible()
    await expect(page.locator("#preview input[type=radio]")).to_have_count(2)
    await page.get_by_label("What is asked").fill("{")
    await expect(page.locator("#preview").get_by_text("The schema is not JSON")).to_be_visible()
    await page.get_by_label("What is asked").fill('{"properties": {"x": {"type": "boolean"}}}')
    await page.get_by_label("Name").fill("By hand")
    await page.get_by_role("button", name="Create").click()

    await expect(page.get_by_role("heading", name="By hand")).to_be_visible()


@in_browser
async def test_nothing_hostile_runs_on_the_pages_of_tasks(page, stand):
    async with httpx.AsyncClient(base_url=stand.url) as client:
        for attack in ATTACKS:
            schema = {"properties": {attack: {"enum": [attack], "title": attack, "description": attack}}}
            href = await new_task(
                client,
                name=attack,
                instruction=attack,
                tags=attack,
                schema=json.dumps(schema),
            )
            await page.goto(href)
            await page.evaluate("for (const folded of document.querySelectorAll('details')) folded.open = true")
    await page.goto("/grading")

    await expect(page.locator(".tasks > li").nth(len(ATTACKS) - 1)).to_be_visible()


@in_browser
async def test_everybody_can_use_the_pages_of_tasks(browser, stand):
    await stand.put(tagged("graded", id="graded-1"))
    async with httpx.AsyncClient(base_url=stand.url) as client:
        href = await new_task(client, tags="graded", instruction="Be strict.")
        call = (await post(client, f"{href}/next")).headers["location"]
        await post(client, call, q0="1", q1="1", comment="Well.")

    await check_usable(browser, stand.url, ["/grading", "/grading/new", href, f"{href}?ended", call])
