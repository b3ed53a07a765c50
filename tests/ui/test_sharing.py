"""Links that show one call or session."""

import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from playwright.async_api import expect
from starlette.applications import Starlette

from browsing import check_usable, hindrances, in_browser, watched
from grading import post
from keyring import added_key
from llm_proxy.api.auth import Gate
from llm_proxy.api.seal import Seal
from llm_proxy.model.completion import Context
from llm_proxy.model.keepsake import Share, Shared
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_keepsakes import SqlKeepsakes
from llm_proxy.ui.pages import routes
from llm_proxy.ui.sharing import Sharing
from reading import ATTACKS, HOSTILE, Page, attacked, read
from records import record

SAME_SITE = {"origin": "http://proxy.test:9000", "sec-fetch-site": "same-origin"}


async def shared(client, kind, target, hours="24"):
    """The path of a fresh link."""
    fields = {"kind": kind, "target": target, "hours": hours}
    made = await client.post("/shares", data=fields, headers=SAME_SITE)
    assert made.status_code == 303
    text = (await read(client, made.headers["location"])).text
    return re.search(r"http://proxy\.test:9000(/shared/\S+)", text)[1]


async def test_a_call_is_shown_with_nothing_that_leads_elsewhere(client, store):
    await store.put([record(id="1"), record(id="2")])

    page = await read(client, await shared(client, "call", "1"))

    assert "What is the capital of France?" in page.text
    path = [to for to in page.attributes("a", "href") if not to.startswith(("/shared/", "#"))]
    assert path == ["/"]
    assert page.attributes("form", "action") == []


async def test_a_session_is_shown_with_its_calls_and_no_others(client, store):
    await store.put(
        [record(id="a/1", context=Context(session_id="s")), record(id="2", context=Context(session_id="x"))]
    )
    path = await shared(client, "session", "s")

    page = await read(client, path)
    (call,) = [to for to in page.attributes("a", "href") if to.startswith("/shared/")]

    assert "What is the capital of France?" in (await read(client, call)).text
    assert (await client.get(f"{call}?download=request")).status_code == 200
    await read(client, f"{path}/2", status=404)


async def test_a_link_that_was_taken_back_or_has_expired_or_is_wrong_shows_nothing(client, store):
    await store.put([record(id="1")])
    path = await shared(client, "call", "1")
    now = datetime.now(UTC)
    old = Share(
        id="old",
        organization_id="default",
        kind=Shared.CALL,
        target="1",
        created_at=now - timedelta(days=2),
        expires_at=now - timedelta(days=1),
    )
    await SqlKeepsakes(store).add_share(old)

    before = await client.get(path)
    (share,) = await SqlKeepsakes(store).shares("default", at=now)
    await client.post("/shares/drop", data={"id": share.id}, headers=SAME_SITE)
    answers = [
        await read(client, one, status=404)
        for one in (path, f"/shared/{Seal(b'secret', b'share').close(b'old')}", "/shared/x.y")
    ]

    assert before.status_code == 200
    assert {answer.text for answer in answers} == {answers[0].text}
    assert "Nothing is shared" in (await read(client, "/shares")).text


@pytest.mark.parametrize("fields", [{"kind": "x"}, {"hours": "9999"}, {"target": "none"}])
async def test_what_is_not_there_or_not_offered_is_not_shared(client, store, fields):
    await store.put([record(id="1")])

    made = await client.post("/shares", data={"kind": "call", "target": "1", "hours": "1"} | fields, headers=SAME_SITE)

    assert made.status_code in (400, 404)
    assert await SqlKeepsakes(store).shares("default", at=datetime.now(UTC)) == []


async def test_with_keys_a_link_needs_none_and_only_its_organisation_takes_it_back(client, store):
    await store.put([record(id="1")])
    path = await shared(client, "call", "1")
    other = await added_key(store, "acme", "read,write")
    sharing = Sharing(store, SqlKeepsakes(store), Seal(b"secret", b"share"))
    app = Starlette(routes=routes(store, Gate(SqlAccounts(store)).admit, sharing=sharing))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://proxy.test:9000") as anybody:
        seen = await anybody.get(path)
        closed = await anybody.get("/calls/1")
        (share,) = await SqlKeepsakes(store).shares("default", at=datetime.now(UTC))
        await anybody.post("/shares/drop", data={"id": share.id}, headers=SAME_SITE, auth=("x", other.secret))
        still = await anybody.get(path)

    assert (seen.status_code, closed.status_code, still.status_code) == (200, 401, 200)


async def test_nothing_that_was_recorded_becomes_anything_but_text(client, store):
    context = Context(session_id=HOSTILE, session_name=HOSTILE)
    await store.put([record(id="1", model=HOSTILE, preview=HOSTILE, context=context)])

    for path in (await shared(client, "call", "1"), await shared(client, "session", HOSTILE), "/shares"):
        page = Page((await client.get(path)).text)
        assert "b" not in {tag for tag, _ in page.elements}
        assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_link_is_made_on_the_page_of_a_call_and_opened(browser, stand, scheme):
    await stand.put(record(id="to-share", context=Context(session_id="to-share")))
    broken = []
    async with watched(browser, base_url=stand.url, color_scheme=scheme) as page:
        await page.goto("/calls/to-share")
        await page.locator(".share summary").click()
        await page.get_by_role("button", name="Make a link").click()
        link = await page.locator(".fresh code").text_content()
        broken += await hindrances(page)
        await page.goto(link)
        await expect(page.get_by_text("Somebody shared this call")).to_be_visible()
        broken += await hindrances(page)

    assert broken == []


async def linked(stand, *targets):
    """The paths of fresh links to these, each a kind and an id."""
    async with httpx.AsyncClient(base_url=stand.url, trust_env=False) as client:
        for kind, target in targets:
            assert (await post(client, "/shares", kind=kind, target=target, hours="1")).status_code == 303
        found = re.findall(r"/shared/[\w.-]+", (await client.get("/shares")).text)
    return list(dict.fromkeys(found))[: len(targets)][::-1]


@in_browser
async def test_everybody_can_use_what_is_shared(browser, stand):
    context = Context(session_id="usable", session_name="what is shared")
    await stand.put(*(record(id=f"usable-{number}", context=context) for number in range(3)))
    call, session = await linked(stand, ("call", "usable-1"), ("session", "usable"))

    await check_usable(
        browser, stand.url, [call, f"{call}?view=raw&all=1", session, f"{session}/usable-2", "/shared/wrong"]
    )


@in_browser
async def test_nothing_hostile_runs_where_it_is_shared(page, stand):
    calls = [attacked(number, attack) for number, attack in enumerate(ATTACKS)]
    await stand.put(*calls)
    targets = [("call", one.id) for one in calls] + [("session", one.context.session_id) for one in calls]
    asked = []
    page.on("request", lambda request: asked.append(request.url))

    for path in await linked(stand, *targets):
        answer = await page.goto(path)
        assert answer.status == 200
        await page.evaluate("for (const folded of document.querySelectorAll('details')) folded.open = true")

    assert [url for url in asked if not url.startswith(stand.url) and not url.startswith("data:")] == []
