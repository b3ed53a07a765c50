"""A key of one project sees on the pages what is of that, and nothing that says that there is more."""

import re
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from starlette.applications import Starlette

from grading import SCHEMA, new_task, post
from keyring import added_key
from llm_proxy.api.auth import Gate
from llm_proxy.api.seal import Seal
from llm_proxy.attribution.context import attribute
from llm_proxy.decode.generation import completion_of
from llm_proxy.model.account import Principal, Project
from llm_proxy.model.completion import Context
from llm_proxy.model.exchange import new_id
from llm_proxy.model.feedback import Feedback, FeedbackTask
from llm_proxy.model.filters import parse
from llm_proxy.model.keepsake import SavedView, Share, Shared
from llm_proxy.model.trace import Kind
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_feedback import SqlFeedback
from llm_proxy.store.sql_grading import SqlGrading
from llm_proxy.store.sql_keepsakes import SqlKeepsakes
from llm_proxy.store.sql_series import SqlSeries
from llm_proxy.store.sql_traces import SqlTraces
from llm_proxy.ui import dashboard, grading_about, grading_queue, settings
from llm_proxy.ui import grading as grading_pages
from llm_proxy.ui.desk import Desk
from llm_proxy.ui.pages import routes
from llm_proxy.ui.reach import asked, call_of, calls_of
from llm_proxy.ui.settings import House, ShownUpstream
from llm_proxy.ui.sharing import Sharing
from llm_proxy.wiring.calls_rooms import rooms_of_calls
from reading import read
from records import record
from tellings import said

#: Numbers are of the time before now.
NOW = datetime.now(UTC)
SEAL = Seal(b"secret", b"share")


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
        more = {"started_at": NOW, "model": secret, "preview": f"said {secret}", "context": context}
        return record(id=name, organization_id=owner, project_id=project_id, **more)

    await store.put([call("mine", project.id, "open"), call("theirs", "p-2", "zebra"), call("nobodys", None, "zebra")])
    traces = SqlTraces(store, completion_of)
    told = [said(Kind.SESSION, "told-zebra", name="zebra"), said(Kind.TRACE, "t-zebra", name="zebra")]
    await traces.put(owner, "p-2", [*told, said(Kind.SPAN, "s", name="zebra", traceId="t")])
    await traces.put(
        owner, project.id, [said(Kind.SESSION, "told-open"), said(Kind.SPAN, "s2", name="ours", traceId="t")]
    )
    await kept(store, owner, project.id, "open")
    await kept(store, owner, "p-2", "zebra")
    await kept(store, owner, None, "zebra")
    await added_key(store, "acme", "read", project_id="p-2")
    return await added_key(store, "acme", "read,write,admin", project_id=project.id)


async def kept(store, owner, project_id, word):
    """What people of a project made: a view, a task with an answer, and a link."""
    whose = {"organization_id": owner, "project_id": project_id, "created_at": NOW}
    keepsakes, feedback, name = SqlKeepsakes(store), SqlFeedback(store), f"{word} of {project_id}"
    await keepsakes.save_view(SavedView(name=word, filter=f"tag:{word}", **whose))
    far = NOW + timedelta(days=10_000)
    call = {"open": "mine", "zebra": "theirs"}[word]
    for kind, target in ((Shared.CALL, call), (Shared.SESSION, "both")):
        await keepsakes.add_share(Share(id=f"{kind} {name}", kind=kind, target=target, expires_at=far, **whose))
    task = FeedbackTask(id=f"task {name}", name=f"Rate {name}", json_schema=SCHEMA, tags=(word,), **whose)
    await feedback.add_task(task)
    said = {"json_values": {"quality": 1, "correct": True}, "comment": f"I say {word}", "given_by": word}
    about = {"task_id": task.id, "session_id": "both", "completion_ids": (call,)}
    await feedback.add(Feedback(id=f"feedback {name}", **about, **said, **whose))


@pytest.fixture
async def theirs(store, key):
    """The pages for whoever has that key."""
    async with pages_for(store, key) as client:
        yield client


@asynccontextmanager
async def pages_for(store, key):
    gate, desk = Gate(SqlAccounts(store)), Desk(store, SqlFeedback(store), SqlGrading(store))
    house = House(
        accounts=SqlAccounts(store),
        statistics=SqlSeries(store),
        upstreams=(ShownUpstream(name="default", base_url="https://a.example", provider=None, has_key=False),),
        left_alone=dict,
        forget=gate.forget,
        keep_in=lambda request, response: response,
        attribute=lambda headers: attribute(tuple(headers), None, None),
        passage=lambda headers: (),
    )
    app = Starlette(
        routes=routes(
            store,
            gate.admit,
            *rooms_of_calls(store, calls_url="http://127.0.0.1:1"),
            dashboard.table(SqlSeries(store)),
            grading_pages.table(desk),
            grading_queue.table(desk),
            grading_about.table(desk),
            settings.table(house),
            sharing=Sharing(store, SqlKeepsakes(store), SEAL),
        )
    )
    headers = {**key.bearer, "origin": "http://proxy.test"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://proxy.test", headers=headers) as client:
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
        ("/export?q=text:France", "1 call:"),
        ("/dashboard?period=90d&by=tag", "open"),
        ("/dashboard?period=90d&by=user", "open"),
        ("/dashboard?period=90d", "&#34;calls&#34;"),
        ("/views", "tag:open"),
        ("/views?short", "open"),
        ("/shares", "/calls/mine"),
        ("/grading", "Rate open"),
        ("/feedback?session=both", "I say open"),
        ("/playground/mine", "Send"),
        ("/settings", "acme"),
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
        "/playground/theirs",
    ],
)
async def test_what_is_of_another_project_is_answered_like_what_is_not_there(theirs, path):
    answer = await theirs.get(path)

    none = await theirs.get(path.replace("theirs", "none").replace("nobodys", "none").replace("zebra", "none"))
    assert (answer.status_code, none.status_code) == (404, 404)
    wrong = path.partition("?")[0].rpartition("/")[2] if "compare" not in path else "theirs"
    other = wrong.replace("theirs", "none").replace("nobodys", "none").replace("zebra", "none")
    assert answer.text == none.text.replace(f" {other}.", f" {wrong}.")


async def test_what_a_project_is_asked_and_has_answered_is_its_own(theirs, key):
    ours, other, whole = ("task open of " + await project_of(theirs), "task zebra of p-2", "task zebra of None")

    page = await theirs.get(f"/grading/{ours}")
    refused = [(await theirs.get(f"/grading/{task}")).status_code for task in (other, whole)]
    graded = await theirs.get(f"/grading/{ours}/calls/mine")
    not_asked = await theirs.get(f"/grading/{ours}/calls/theirs")
    asked_about = [(await theirs.get(f"/feedback/{task}?session=both")).status_code for task in (ours, other, whole)]

    assert (page.status_code, graded.status_code) == (200, 409)
    assert "I say open" in page.text
    assert "zebra" not in page.text
    assert refused == [404, 404]
    assert not_asked.status_code == 404
    assert asked_about == [200, 404, 404]


async def test_what_a_key_of_a_project_makes_is_of_that_project(theirs, store, key):
    project = await project_of(theirs)

    view = await post(theirs, "/views", name="Mine", q="tag:open")
    task = await new_task(theirs, tags="open")
    link = await post(theirs, "/shares", kind="session", target="both", hours="1")
    not_there = await post(theirs, "/shares", kind="call", target="theirs", hours="1")
    made = await post(theirs, "/settings/keys", label="another", scope="read")
    other_project = await post(theirs, "/settings/keys", label="another", scope="read", project="p-2")
    await post(theirs, "/views/drop", name="zebra")
    await post(theirs, "/shares/drop", id="call zebra of p-2")

    keepsakes, owner = SqlKeepsakes(store), key.organization_id
    views = [one.name for one in await keepsakes.views(owner, project_id=project)]
    shares = await keepsakes.shares(owner, at=NOW)
    (new,) = [one for one in await SqlAccounts(store).keys(owner) if one.label == "another"]
    made_task = await SqlFeedback(store).task(owner, task.rpartition("/")[2])
    assert (view.status_code, link.status_code, not_there.status_code) == (303, 303, 404)
    assert (made.status_code, other_project.status_code, new.project_id) == (200, 422, project)
    assert views == ["Mine", "open"]
    assert [one.name for one in await keepsakes.views(owner)] == ["zebra"]
    assert made_task is not None
    assert made_task.project_id == project
    assert (shares[0].project_id, "call zebra of p-2" in [one.id for one in shares]) == (project, True)


async def test_a_link_of_a_project_shows_only_what_is_of_it(theirs):
    project = await project_of(theirs)
    tokens = [SEAL.close(f"{kind} open of {project}".encode()) for kind in ("session", "call")]

    session, call = [await theirs.get(f"/shared/{token}") for token in tokens]
    other = await theirs.get(f"/shared/{tokens[0]}/theirs")

    assert (session.status_code, call.status_code, other.status_code) == (200, 200, 404)
    assert "said open" in session.text
    assert "zebra" not in session.text + call.text


async def test_a_key_of_a_project_changes_no_key_of_another(theirs, store, key):
    (other,) = [one for one in await SqlAccounts(store).keys(key.organization_id) if one.project_id == "p-2"]

    answers = [await post(theirs, f"/settings/keys/{act}", id=other.id, grace="0") for act in ("revoke", "rotate")]
    project = await post(theirs, "/settings/projects", name="third")

    assert [one.status_code for one in (*answers, project)] == [422, 422, 422]
    assert other in await SqlAccounts(store).keys(key.organization_id)
    assert [one.name for one in await SqlAccounts(store).projects(key.organization_id)] == ["mine"]


async def test_the_account_of_the_whole_is_not_for_a_key_of_a_project(theirs):
    assert "/pipeline" not in (await theirs.get("/")).text


async def project_of(client):
    """The id of the only project that somebody has to do with."""
    return re.search(r'<option value="([0-9a-f-]+)">mine', (await client.get("/settings")).text)[1]


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
