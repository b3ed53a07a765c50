"""The pages, from a real store; what is in them is read back with a parser."""

import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import httpx
import pytest
from starlette.applications import Starlette

from keyring import added_key
from llm_proxy.api.auth import Gate
from llm_proxy.model.completion import Bodies, Context, Status
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.ui.pages import LATEST, SHOWN_CHARACTERS, routes
from llm_proxy.ui.present import DASH
from records import BODIES, NOON, bare, record

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
HOSTILE = "</title></pre><script>alert(1)</script><img src=x onerror=alert(2)>\"'><b>&amp;{{ 7*7 }} \u202e\x1b[2J"


class Page(HTMLParser):
    """Text and elements of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.pieces.append(" ")

    def handle_data(self, data):
        self.pieces.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.pieces))

    def attributes(self, tag: str, name: str) -> list[str]:
        return [value for element, attrs in self.elements if element == tag and (value := attrs.get(name))]


@pytest.fixture
async def store(tmp_path):
    store = SqliteStore(tmp_path / "store.sqlite3")
    await store.migrate()
    yield store
    await store.close()


@pytest.fixture
async def client(store):
    transport = httpx.ASGITransport(Starlette(routes=routes(store, Gate(SqlAccounts(store), is_open=True).admit)))
    async with httpx.AsyncClient(transport=transport, base_url="http://proxy.test:9000") as client:
        yield client


async def read(client: httpx.AsyncClient, path: str, **headers: str) -> Page:
    response = await client.get(path, headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    return Page(response.text)


async def test_the_first_page_lists_the_latest_calls_and_links_to_each(client, store):
    await store.put(
        [record(id=f"call-{number:02}", started_at=NOON + timedelta(seconds=number)) for number in range(60)]
    )

    page = await read(client, "/")

    links = [href for href in page.attributes("a", "href") if href.startswith("/calls/")]
    assert links == [f"/calls/call-{number:02}" for number in reversed(range(60 - LATEST, 60))]
    assert "These are the latest 50." in page.text


async def test_a_call_in_the_list_says_what_it_was(client, store):
    await store.put([record()])

    page = await read(client, "/")

    for part in ("finished", "24 Nov", "gpt-4o", "What is the capital of France? → Paris.", "nightly", "evening run"):
        assert part in page.text
    assert "14 3 410 ms 1.25 s" in page.text
    assert "These are the latest" not in page.text


async def test_a_failed_call_says_why_and_unknown_numbers_are_dashes(client, store):
    failed = bare(status=Status.FAILED, failure_kind="upstream_timeout", failure_reason="no byte for 600 s")
    await store.put([failed])

    page = await read(client, "/")

    assert "upstream_timeout: no byte for 600 s" in page.text
    assert " ".join(DASH * 5) in page.text


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("localhost:8080", "localhost:8080"),
        ("proxy.example.com", "proxy.example.com"),
        ("[::1]:8080", "[::1]:8080"),
        ("127.0.0.1:8080/x", "127.0.0.1:8080"),
        ("a b", "127.0.0.1:8080"),
        ("evil'; rm -rf ~", "127.0.0.1:8080"),
        ("$(id)", "127.0.0.1:8080"),
        ("-x", "127.0.0.1:8080"),
        ("", "127.0.0.1:8080"),
    ],
)
async def test_an_empty_store_says_what_to_do_next_with_the_host_if_it_is_sane(client, host, shown):
    page = await read(client, "/", host=host)

    assert f"export OPENAI_BASE_URL=http://{shown}/v1" in page.text
    assert f"export OPENAI_BASE_URL=http://{shown}/~tags=nightly,ci/v1" in page.text


async def test_the_page_of_a_call_has_its_facts_its_headers_and_its_bodies(client, store):
    await store.put([record(id="1")])

    page = await read(client, "/calls/1")

    for part in ("POST /v1/chat/completions", "u-1", "0af7651916cd43dd8448eb211c80319c", "team=search", "110 ms"):
        assert part in page.text
    assert "x-request-id req_1 x-request-id req_2" in page.text
    assert '"content": "Paris."' in page.text
    assert "/api/v1/completions/1" in page.attributes("a", "href")


async def test_a_call_without_bodies_says_so(client, store):
    await store.put([bare(id="1")])

    page = await read(client, "/calls/1")

    assert page.text.count("No body was recorded.") == 2


async def test_of_a_huge_body_the_beginning_is_shown_and_where_the_rest_is(client, store):
    huge = replace(BODIES, request=["x" * 1000] * 10_000)
    await store.put([record(id="1", bodies=huge)])

    response = await client.get("/calls/1")

    assert len(response.content) < 2 * SHOWN_CHARACTERS
    assert "This is its beginning; the whole is in the JSON of this call." in Page(response.text).text


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
            request_headers=((HOSTILE, HOSTILE),), request={HOSTILE: [HOSTILE]}, response_body=HOSTILE.encode()
        ),
    )
    harmless = record(id="2", status=Status.FAILED, failure_reason="why", bodies=BODIES)
    await store.put([hostile])
    hostile_list, hostile_call = await read(client, "/"), await read(client, "/calls/1")
    await store.put([harmless])
    harmless_call = await read(client, "/calls/2")

    for page in (hostile_list, hostile_call):
        assert not {tag for tag, _ in page.elements} & {"script", "b"}
        assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
        assert "{{ 7*7 }}" in page.text
        assert "\x1b" not in page.text
        assert "\u202e" not in page.text
    assert {tag for tag, _ in hostile_call.elements} == {tag for tag, _ in harmless_call.elements}


async def test_lone_surrogates_do_not_break_a_page(client, store):
    strange = "\ud800 \x00"
    await store.put([record(id="1", preview=strange, model=strange, bodies=Bodies(request=[strange]))])

    assert "\ufffd" in (await read(client, "/")).text
    assert "\ufffd" in (await read(client, "/calls/1")).text


async def test_a_call_that_is_not_there_is_not_found(client):
    response = await client.get("/calls/%3Cscript%3E")

    assert response.status_code == 404
    assert "There is no call <script>." in Page(response.text).text


async def test_a_store_that_is_away_is_said_on_the_page(tmp_path):
    (tmp_path / "store.sqlite3").write_bytes(b"this is no database " * 100)
    store = SqliteStore(tmp_path / "store.sqlite3", read_only=True)
    transport = httpx.ASGITransport(Starlette(routes=routes(store, Gate(SqlAccounts(store), is_open=True).admit)))

    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        response = await client.get("/")

    assert response.status_code == 503
    assert "The store is not available" in response.text
    await store.close()


@pytest.mark.parametrize("path", ["/", "/calls/none", "/static/style.css"])
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
        for asset in ("/static/icon.svg", "/static/style.css"):
            assert (await client.get(asset)).status_code == 200


async def test_what_is_static_is_asked_for_again_and_answered_in_short(client):
    first = await client.get("/static/style.css")

    second = await client.get("/static/style.css", headers={"if-none-match": first.headers["etag"]})

    assert (second.status_code, second.content) == (304, b"")


@pytest.mark.parametrize("path", ["/", "/calls/1"])
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
