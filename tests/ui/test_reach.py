"""A key of one project sees on the pages what is of that, and nothing that says that there is more."""

from datetime import UTC, datetime

import httpx
import pytest
from starlette.applications import Starlette

from keyring import added_key
from llm_proxy.api.auth import Gate
from llm_proxy.api.seal import Seal
from llm_proxy.decode.generation import completion_of
from llm_proxy.model.account import Principal, Project
from llm_proxy.model.completion import Context
from llm_proxy.model.exchange import new_id
from llm_proxy.model.filters import parse
from llm_proxy.model.trace import Kind
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_keepsakes import SqlKeepsakes
from llm_proxy.store.sql_traces import SqlTraces
from llm_proxy.ui.pages import routes
from llm_proxy.ui.reach import asked, call_of, calls_of
from llm_proxy.ui.sharing import Sharing
from llm_proxy.wiring.calls_rooms import rooms_of_calls
from reading import read
from records import record
from tellings import said

NOW = datetime(2026, 11, 24, 13, tzinfo=UTC)


@pytest.fixture
async def key(store):
    """One of a project, in whose session and trace other projects have calls, too."""
    owner = (await added_key(store, "acme", "read")).organization_id
    project = await SqlAccounts(store).add_project(
        Project(id=new_id(), organization_id=owner, name="mine", created_at=NOW)
    )

    def call(name, project_id, secret):
        context = Context(
            tags=(secret,), session_id="both", session_name=secret, trace_id="t", user_id=secret, metadata={"x": secret}
        )
        more = {"model": secret, "preview": f"said {secret}", "context": context}
        return record(id=name, organization_id=owner, project_id=project_id, **more)

    await store.put([call("mine", project.id, "open"), call("theirs", "p-2", "zebra"), call("nobodys", None, "zebra")])
    traces = SqlTraces(store, completion_of)
    told = [said(Kind.SESSION, "told-zebra", name="zebra"), said(Kind.TRACE, "t-zebra", name="zebra")]
    await traces.put(owner, "p-2", [*told, said(Kind.SPAN, "s", name="zebra", traceId="t")])
    await traces.put(
        owner, project.id, [said(Kind.SESSION, "told-open"), said(Kind.SPAN, "s2", name="ours", traceId="t")]
    )
    return await added_key(store, "acme", "read,write,admin", project_id=project.id)


@pytest.fixture
async def theirs(store, key):
    """The pages for whoever has that key."""
    sharing = Sharing(store, SqlKeepsakes(store), Seal(b"secret", b"share"))
    gate = Gate(SqlAccounts(store))
    transport = httpx.ASGITransport(
        Starlette(routes=routes(store, gate.admit, *rooms_of_calls(store), sharing=sharing))
    )
    async with httpx.AsyncClient(transport=transport, base_url="http://proxy.test", headers=key.bearer) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "said open"),
        ("/?q=session:both", "said open"),
        ("/calls/mine", "said open"),
        ("/sessions", "both"),
        ("/sessions", "told-open"),
        ("/sessions/both", "said open"),
        ("/sessions/told-open", "No calls in this session"),
        ("/traces", "t "),
        ("/traces/t", "ours"),
        ("/compare?a=mine&b=mine", "said open"),
        ("/export", "1 call"),
        ("/histogram", "all"),
        ("/suggest?word=model:", "model:open"),
        ("/suggest?word=tag:", "tag:open"),
        ("/suggest?word=user:", "user:open"),
        ("/export/file?format=jsonl", '"id":"mine"'),
        ("/export/file?format=csv", "mine"),
    ],
)
async def test_a_key_of_a_project_sees_what_is_of_it_and_nothing_else(theirs, path, expected):
    answer = await theirs.get(path)

    assert answer.status_code == 200
    assert expected in answer.text
    assert "zebra" not in answer.text
    assert "theirs" not in answer.text.replace("/theirs", "")


@pytest.mark.parametrize(
    "path",
    [
        "/calls/theirs",
        "/calls/nobodys",
        "/calls/theirs?download=request",
        "/calls/theirs?replay=1",
        "/compare?a=mine&b=theirs",
        "/sessions/told-zebra",
        "/traces/t-zebra",
    ],
)
async def test_what_is_of_another_project_is_answered_like_what_is_not_there(theirs, path):
    answer = await theirs.get(path)

    none = await theirs.get(path.replace("theirs", "none").replace("nobodys", "none").replace("zebra", "none"))
    assert (answer.status_code, none.status_code) == (404, 404)
    wrong = path.partition("?")[0].rpartition("/")[2] if "compare" not in path else "theirs"
    other = wrong.replace("theirs", "none").replace("nobodys", "none").replace("zebra", "none")
    assert answer.text == none.text.replace(f" {other}.", f" {wrong}.")


@pytest.mark.parametrize("path", ["/views", "/shares", "/playground/mine", "/playground/theirs"])
async def test_what_is_of_the_whole_organisation_is_not_for_a_key_of_a_project(theirs, path):
    assert (await theirs.get(path)).status_code == 403


async def test_pages_lead_a_key_of_a_project_nowhere_where_it_may_not_go(theirs):
    for path in ("/", "/calls/mine", "/sessions/both", "/traces/t"):
        page = await read(theirs, path)
        asked_for = [
            *page.attributes("a", "href"),
            *page.attributes("span", "hx-get"),
            *page.attributes("div", "hx-get"),
        ]
        for to in {
            one for one in asked_for if one.startswith("/") and not one.startswith("/api/") and one != "/?after=-"
        }:
            assert (await theirs.get(to)).status_code == 200, f"{path} leads to {to}"
        assert "/shares" not in page.attributes("form", "action")


async def test_an_id_that_is_pasted_opens_only_what_is_of_the_project(theirs):
    mine, other = [await theirs.get("/", params={"q": one}) for one in ("mine", "theirs")]

    assert (mine.status_code, mine.headers["location"]) == (303, "/calls/mine")
    assert other.status_code == 400


async def test_what_is_asked_of_the_store_names_the_project(store):
    project = Principal(organization_id="o", project_id="p", scopes=frozenset())
    await store.put([record(id="1", organization_id="o", project_id="q")])

    of_session = calls_of(project, session_id="s", limit=None)
    of_filter = asked(project, parse("tag:a", now=NOW), now=NOW)

    assert {(query.organization_id, query.project_id) for query in (of_session, of_filter)} == {("o", "p")}
    assert await call_of(store, "1", project) is None
    assert await call_of(store, "1", Principal(organization_id="o", scopes=frozenset())) is not None
