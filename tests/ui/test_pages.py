"""What all pages have in common, from a real store: who gets in, what they may load, and that nothing recorded runs."""

import re
from datetime import timedelta
from urllib.parse import urlencode

import httpx
import pytest
import pytest_asyncio
from msgspec.structs import replace
from playwright.async_api import expect
from starlette.applications import Starlette

from browsing import hindrances, in_browser, watched
from keyring import added_key
from llm_proxy.api.auth import Gate
from llm_proxy.model.completion import Bodies, Context, Status
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.ui.assets import script, scripts
from llm_proxy.ui.calls import again_href, call_href, session_href, trace_href
from llm_proxy.ui.pages import routes
from reading import ATTACKS, HOSTILE, attacked, read
from records import BODIES, NOON, record, tagged

#: Scripts that some pages have and others do not.
OWN = {script(name).url for name in ("calls.js", "call.js")}
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACw="
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


async def test_nothing_that_was_recorded_becomes_anything_but_text(client, store):
    hostile = record(
        id="1",
        status=Status.FAILED,
        failure_kind=HOSTILE,
        failure_reason=HOSTILE,
        model=HOSTILE,
        preview=HOSTILE,
        path=HOSTILE,
        context=Context(
            tags=(HOSTILE,), session_id=HOSTILE, session_name=HOSTILE, metadata={HOSTILE: HOSTILE}, notes=(HOSTILE,)
        ),
        bodies=Bodies(
            request_headers=((HOSTILE, HOSTILE),),
            request={"messages": [{"role": HOSTILE, "content": HOSTILE}], HOSTILE: [HOSTILE]},
            response_body=HOSTILE.encode(),
        ),
    )
    harmless = record(id="2", status=Status.FAILED, failure_reason="why", bodies=BODIES)
    await store.put([hostile])
    hostile_list, hostile_call = await read(client, "/"), await read(client, "/calls/1")
    await store.put([harmless])
    harmless_call = await read(client, "/calls/2")

    for page in (hostile_list, hostile_call):
        assert "b" not in {tag for tag, _ in page.elements}
        loaded = page.attributes("script", "src")
        assert [source for source in loaded if source not in OWN] == [script.url for script in scripts()]
        assert len([tag for tag, _ in page.elements if tag == "script"]) == len(loaded)
        assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
        assert "{{ 7*7 }}" in page.text
        assert "\x1b" not in page.text
        assert "\u202e" not in page.text
    assert {tag for tag, _ in hostile_call.elements} <= {tag for tag, _ in harmless_call.elements}


async def test_lone_surrogates_do_not_break_a_page(client, store):
    strange = "\ud800 \x00"
    await store.put([record(id="1", preview=strange, model=strange, bodies=Bodies(request=[strange]))])

    assert "\ufffd" in (await read(client, "/")).text
    assert "\ufffd" in (await read(client, "/calls/1")).text


async def test_a_store_that_is_away_is_said_on_the_page(tmp_path):
    (tmp_path / "store.sqlite3").write_bytes(b"this is no database " * 100)
    store = SqliteStore(tmp_path / "store.sqlite3", read_only=True)
    transport = httpx.ASGITransport(Starlette(routes=routes(store, Gate(SqlAccounts(store), is_open=True).admit)))

    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        response = await client.get("/")

    assert response.status_code == 503
    assert "The store is not available" in response.text
    await store.close()


@pytest.mark.parametrize(
    "path", ["/", "/?q=x:", "/calls/none", "/sessions/none", "/static/style.css", "/static/page.js"]
)
async def test_every_answer_forbids_what_the_pages_do_not_need(client, path):
    headers = (await client.get(path)).headers

    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == ("no-cache" if path.startswith("/static") else "no-store")


async def test_pages_load_only_what_is_served_beside_them(client, store):
    await store.put([record(id="1")])

    for path in ("/", "/calls/1"):
        page = await read(client, path)

        assert page.attributes("link", "href") == ["/static/icon.svg", "/static/style.css"]
        assert set(page.attributes("img", "src")) == {"/static/icon.svg"}
        assert not [attributes for _, attributes in page.elements if "style" in attributes]
        for asset in ("/static/icon.svg", "/static/style.css", *page.attributes("script", "src")):
            assert (await client.get(asset)).status_code == 200


async def test_what_is_static_is_asked_for_again_and_answered_in_short(client):
    first = await client.get("/static/style.css")

    second = await client.get("/static/style.css", headers={"if-none-match": first.headers["etag"]})

    assert (second.status_code, second.content) == (304, b"")


async def test_what_has_its_version_in_its_path_may_be_kept(client):
    first = await client.get(scripts()[0].url)

    assert first.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert first.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("path", ["/", "/live", "/calls/1", "/sessions/1"])
async def test_pages_are_only_read(client, path):
    response = await client.post(path)

    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_with_keys_the_pages_ask_for_one_and_show_what_its_organisation_has(client, store):
    key = await added_key(store, "acme", "read")
    await store.put([record(id="ours", organization_id=key.organization_id), record(id="theirs")])

    asked = await client.get("/")
    shown = await client.get("/", auth=("anybody", key.secret))
    theirs = await client.get("/calls/theirs", auth=("anybody", key.secret))
    none = await client.get("/calls/none", auth=("anybody", key.secret))

    assert asked.status_code == 401
    # Where nobody can log in, there is no form to do so either.
    assert "Not open to you" in asked.text
    assert "/calls/ours" in shown.text
    assert "theirs" not in shown.text
    assert (theirs.status_code, theirs.text) == (404, none.text.replace("none.", "theirs."))


async def test_a_key_that_is_not_for_reading_opens_no_page(client, store):
    key = await added_key(store, "acme", "write")

    page = await client.get("/", auth=("anybody", key.secret))

    assert page.status_code == 403
    assert "it has no scope read" in page.text


@in_browser
async def test_nothing_hostile_runs_on_any_page_nor_comes_in_live(page, stand):
    calls = [attacked(number, attack) for number, attack in enumerate(ATTACKS)]
    await page.goto("/?q=tag:attack")
    await expect(page.locator("#live-state")).to_have_text("live")
    asked = []
    page.on("request", lambda request: asked.append(request.url))

    await stand.put(*calls)
    await expect(page.locator("#rows tr")).to_have_count(len(ATTACKS))
    for call in calls:
        answer = await page.goto(call_href(call.id))
        assert answer.status == 200, call.id
        await page.evaluate("for (const folded of document.querySelectorAll('details')) folded.open = true")
        await expect(page.locator(".turn")).to_have_count(4)
    for call in calls[::4]:
        beside = urlencode({"a": call.id, "b": calls[1].id})
        for path in (again_href(call.id), trace_href(call.context.trace_id), f"/compare?{beside}"):
            await page.goto(path)
    lists = ("/sessions", "/traces", "/suggest?word=model:", "/export", "/views", "/shares")
    for path in (*lists, session_href(calls[0].context.session_id), f"{call_href(calls[3].id)}?view=raw&all=1"):
        await page.goto(path)
    for attack in ATTACKS[::5]:
        await page.goto(f"/?{urlencode({'q': attack})}")

    assert [url for url in asked if not url.startswith(stand.url) and not url.startswith("data:")] == []


def counted(tag, number):
    """One of many calls."""
    started = NOON + timedelta(seconds=number)
    return tagged(tag, id=f"{tag}-{number:03}", preview=f"call {number}", started_at=started)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def seen(stand):
    """Calls of every kind for pages to show."""
    tool = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
    said = "# A\n\n| a |\n|---|\n| b |\n\n```python\ndef f(): return 'x'  # y\n```\n\n[link](https://a.example) `code`"
    messages = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": PIXEL}}, {"type": "text", "text": "?"}],
        },
        {"role": "assistant", "reasoning_content": "Hm.", "refusal": "No.", "tool_calls": [tool]},
        {"role": "tool", "tool_call_id": "c", "content": "sunny"},
        {"role": "user", "content": "x" * 30_000},
        *({"role": "user", "content": "y"} for _ in range(25)),
    ]
    answer = {"choices": [{"message": {"content": said}, "finish_reason": "stop"}]}
    bodies = replace(BODIES, request={"model": "gpt-4o", "messages": messages}, response=answer)
    context = Context(tags=("seen",), session_id="seen", session_name="what is seen")
    failure = {"status": Status.FAILED, "http_status": 429, "failure_kind": "quota", "failure_reason": "used up"}
    await stand.put(
        record(id="seen-1", bodies=bodies, context=context, started_at=NOON - timedelta(seconds=2)),
        record(id="seen-2", context=context, started_at=NOON - timedelta(seconds=1), **failure),
        record(id="seen-3", context=context, started_at=NOON, status=Status.STARTED, ending=None, bodies=None),
        *(
            tagged(
                "many", id=f"many-{number:03}", preview=f"call {number}", started_at=NOON + timedelta(seconds=number)
            )
            for number in range(120)
        ),
    )
    return [
        "/?q=tag:seen",
        "/?q=tag:none",
        "/?q=modl:x",
        "/?q=tag:many",
        "/calls/seen-1",
        "/calls/seen-1?view=raw&all=1",
        "/calls/seen-2",
        "/sessions/seen",
        "/calls/none",
        "/sessions",
        "/traces",
        "/compare?a=seen-1&b=seen-2",
        "/compare",
        "/playground/seen-1",
        "/export?q=tag:seen",
        "/views",
        "/shares",
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@in_browser
async def test_everybody_can_use_every_page(browser, stand, seen, theme):
    async with watched(browser, base_url=stand.url, color_scheme=theme) as page:
        for path in seen:
            await page.goto(path)
            await page.evaluate("for (const folded of document.querySelectorAll('details')) folded.open = true")
            assert await hindrances(page) == [], path
        await page.keyboard.press("?")
        assert await hindrances(page) == []


@pytest.mark.parametrize("width", [400, 2560])
@in_browser
async def test_nothing_is_wider_than_the_window(browser, stand, seen, width):
    async with watched(browser, base_url=stand.url, viewport={"width": width, "height": 900}) as page:
        for path in seen:
            await page.goto(path)
            await page.evaluate("for (const folded of document.querySelectorAll('details')) folded.open = true")

            assert await page.evaluate("document.documentElement.scrollWidth") <= width, path


@in_browser
async def test_everything_can_be_reached_with_the_keys(page, seen):
    await page.goto("/?q=tag:seen")

    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await page.keyboard.press("k")
    await expect(page.locator("#rows a.open").nth(0)).to_be_focused()
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile("/calls/seen-2$"))
    await page.keyboard.press("[")
    await page.wait_for_url(re.compile("/calls/seen-1$"))
    await page.keyboard.press("]")
    await page.wait_for_url(re.compile("/calls/seen-2$"))
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("u")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await page.keyboard.press("u")
    await page.wait_for_url(re.compile(r":\d+/$"))
    await page.keyboard.press("/")
    await page.keyboard.type("tag:many")
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile(r"/\?q=tag%3Amany$"))
    await page.keyboard.press("/")
    await page.keyboard.press("Escape")
    await page.keyboard.press("o")
    await page.wait_for_url(re.compile(r"/\?q=tag%3Amany&after="))
    await page.keyboard.press("o")
    await page.wait_for_url(re.compile(r"after=.*-many-020$"))
    await page.keyboard.press("i")
    await page.wait_for_url(re.compile(r"/\?q=tag%3Amany&before="))
    await page.keyboard.press("n")
    await page.wait_for_url(re.compile(r"/\?q=tag%3Amany$"))


@in_browser
async def test_reload_and_the_back_button_keep_filter_place_and_focus(page, seen):
    await page.goto("/?q=tag:many")
    await page.get_by_role("link", name="Older calls").click()
    await expect(page.locator("#rows a.open").nth(0)).to_have_text("call 69")
    await page.wait_for_load_state()
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile("/calls/many-068$"))

    await page.go_back()
    await expect(page.locator("#rows a.open").nth(1)).to_be_focused()
    await page.reload()
    await expect(page.locator("#rows a.open").nth(1)).to_be_focused()

    assert await page.locator("#filter").input_value() == "tag:many"
    assert await page.locator("#rows a.open").all_inner_texts() == [f"call {number}" for number in range(69, 19, -1)]


@pytest.mark.parametrize("path", ["/sessions", "/sessions/seen", "/?q=tag:seen&columns=user,cost"])
@in_browser
async def test_every_list_is_as_it_was_left_when_one_comes_back(page, seen, path):
    await page.goto(path)
    shown = await page.locator("#rows a.open, thead th").all_inner_texts()
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.locator("#rows")).to_have_count(1 if path == "/sessions" else 0)

    await page.go_back()
    await expect(page.locator("#rows a.open").nth(1)).to_be_focused()
    await page.reload()
    await expect(page.locator("#rows a.open").nth(1)).to_be_focused()

    assert page.url.endswith(path)
    assert await page.locator("#rows a.open, thead th").all_inner_texts() == shown


@in_browser
async def test_a_comparison_that_shows_only_what_differs_still_does_after_a_reload(page, seen):
    await page.goto("/compare?a=many-000&b=many-001")
    await expect(page.locator(".same").first).to_be_visible()
    await page.locator("#only-differences").check()

    await page.reload()
    await expect(page.locator(".same").first).to_be_hidden()
    await page.goto("/sessions")
    await page.go_back()

    await expect(page.locator(".same").first).to_be_hidden()
    assert page.url.endswith("/compare?a=many-000&b=many-001&only=differences")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/?q=tag:many", ["j", "k", "Enter", "/", "Esc", "p", "o", "i", "n", "x", "g", "?"]),
        ("/calls/many-001", ["Esc", "e", "u", "g", "?"]),
        ("/sessions", ["j", "k", "Enter", "/", "Esc", "g", "?"]),
        ("/compare", ["Esc", "u", "g", "?"]),
    ],
)
@in_browser
async def test_the_help_has_the_keys_of_the_page_and_no_others(page, seen, path, expected):
    await page.goto(path)

    await page.keyboard.press("?")

    assert await page.locator("#keys div:visible dt kbd").all_inner_texts() == expected


@in_browser
async def test_only_calls_are_marked_to_be_compared(page, seen):
    await page.goto("/sessions")

    for key in ("j", "x", "j", "x"):
        await page.keyboard.press(key)

    await expect(page.locator(".marked")).to_have_count(0)
    assert page.url.endswith("/sessions")


@in_browser
async def test_a_list_that_is_live_for_long_stays_short_and_goes_on_where_it_ends(page, stand):
    await page.goto("/?q=tag:long")
    await expect(page.locator("#live-state")).to_have_text("live")

    for start in range(0, 330, 66):
        await stand.put(*(counted("long", number) for number in range(start, start + 66)))
        await expect(page.locator("#rows a.open").first).to_have_text(f"call {start + 65}")

    await expect(page.locator("#rows tr")).to_have_count(300)
    await page.keyboard.press("o")
    await expect(page.locator("#rows a.open")).to_have_text([f"call {number}" for number in range(29, -1, -1)])


@in_browser
async def test_without_scripts_there_is_everything_but_what_is_live(browser, stand, seen):
    async with watched(browser, base_url=stand.url, java_script_enabled=False) as page:
        await page.goto("/")
        await page.locator("#filter").fill("tag:many")
        await page.get_by_role("button", name="Filter").click()
        await page.get_by_role("link", name="Older calls").click()
        await page.get_by_role("link", name="call 69").click()

        await expect(page.get_by_role("heading", name="call 69")).to_be_visible()
        await page.goto("/")
        await expect(page.get_by_role("button", name="Hold")).to_be_hidden()


@in_browser
async def test_a_snippet_is_copied(browser, stand, seen):
    options = {"base_url": stand.url, "permissions": ["clipboard-read", "clipboard-write"]}
    async with watched(browser, **options) as page:
        await page.goto("/calls/seen-2")
        await page.get_by_text("curl", exact=True).click()
        await page.get_by_role("button", name="Copy").click()
        await expect(page.get_by_role("button", name="Copied")).to_be_visible()

        copied = await page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith(f"curl {stand.url}/v1/chat/completions")
