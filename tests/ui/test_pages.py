"""What all pages have in common, from a real store: who gets in, what they may load, and that nothing recorded runs."""

import httpx
import pytest
from starlette.applications import Starlette

from keyring import added_key
from llm_proxy.api.auth import Gate
from llm_proxy.model.completion import Bodies, Context, Status
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.ui.assets import scripts
from llm_proxy.ui.pages import routes
from reading import HOSTILE, read
from records import BODIES, record

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
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
        assert page.attributes("script", "src") == [script.url for script in scripts()]
        assert len([tag for tag, _ in page.elements if tag == "script"]) == len(scripts())
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
    assert headers["referrer-policy"] == "no-referrer"
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
    assert asked.headers["www-authenticate"].startswith("Basic ")
    assert "/calls/ours" in shown.text
    assert "theirs" not in shown.text
    assert (theirs.status_code, theirs.text) == (404, none.text.replace("none.", "theirs."))


async def test_a_key_that_is_not_for_reading_opens_no_page(client, store):
    key = await added_key(store, "acme", "write")

    page = await client.get("/", auth=("anybody", key.secret))

    assert page.status_code == 403
    assert "it has no scope read" in page.text
