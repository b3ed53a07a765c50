"""Two organisations on one store: to each, what is the other's is as if it were not there, in every route that exists.

Every route of the whole application is asked with ids of the other organisation, in path, query and body, and once more
with ids that nobody has. Both answers are the same to the last byte, but for the ids; and nothing of the other changes.
"""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from empty_stores import empty_store
from keyring import added_key
from llm_proxy.api import own
from llm_proxy.api.resource import _Resource
from llm_proxy.decode.generation import completion_of
from llm_proxy.model.account import Project
from llm_proxy.model.completion import Context
from llm_proxy.model.exchange import Endpoint
from llm_proxy.model.feedback import Feedback, FeedbackTask
from llm_proxy.model.trace import Kind, Upload
from llm_proxy.store.blobs import DirectoryOfBlobs
from llm_proxy.store.sql import metadata
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_feedback import SqlFeedback
from llm_proxy.store.sql_traces import SqlTraces
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.wiring.layout import DataDir
from records import NOON, record
from tellings import generation, said
from whole_app import whole_app, whole_app_client

ROW = {"kind": "chat", "status": "finished", "request": {"messages": [], "model": "m"}, "tags": ["t"]}
#: What differs from one answer to the next anyway: ids that were made for it, times, keys, and signatures.
MADE = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|20\d\d-\d\d-\d\d[T ][\d:.]+|\b1[789]\d{11}\b"
    r"|llmp_[\w…-]+|attachments/[\w.-]+"
)


@dataclass(frozen=True)
class Ids:
    """Of everything that an organisation has."""

    organization_id: str = "nobody-organization"
    completion_id: str = "nobody-completion"
    session_id: str = "nobody-session"
    user_id: str = "nobody-user"
    trace_id: str = "nobody-trace"
    tag: str = "nobody-tag"
    key_id: str = "nobody-key"
    project_id: str = "nobody-project"
    task_id: str = "nobody-task"
    feedback_id: str = "nobody-feedback"
    upload: str = "nobody-upload"
    text: str = "nobody-text"

    def hidden(self, text: str) -> str:
        """``text`` without these ids, and without what is never the same."""
        for name in self.__dataclass_fields__:
            text = text.replace(getattr(self, name), f"<{name}>")
        return MADE.sub("<made>", text)


@dataclass(frozen=True)
class Ask:
    """What is sent beside method and path."""

    params: dict = field(default_factory=dict)
    json: object = None
    content: bytes | None = None


def batch(ids: Ids) -> list[dict]:
    """Entities that name those of the other."""
    return [
        {"type": "trace", "id": ids.trace_id, "sessionId": ids.session_id, "output": "changed"},
        {"type": "event", "id": "e", "name": "e", "traceId": ids.trace_id},
    ]


def calls(ids: Ids) -> dict:
    """Conditions on calls."""
    return {"session": ids.session_id, "user": ids.user_id, "tag": ids.tag}


TASK = {"name": "n", "instruction": "", "json_schema": {"type": "object"}, "completion_tags_selector": ["x"]}
GIVEN = {"json_values": {}, "comment": "", "matched_completion_ids": []}
#: By method and path, where ids stand elsewhere than in the path, or something must be sent. Several are asked in turn.
ASKS: dict[tuple[str, str], list[Callable[[Ids], Ask]]] = {
    ("GET", "/api/v1/completions"): [
        lambda ids: Ask(params=calls(ids)),
        lambda ids: Ask(params={"trace": ids.trace_id}),
        lambda ids: Ask(params={"search": ids.text}),
        lambda ids: Ask(params={"tag": ids.tag, "fields": "bodies"}),
    ],
    ("POST", "/api/v1/completions"): [lambda ids: Ask(json=ROW | {"id": ids.completion_id, "organization_id": "a"})],
    ("DELETE", "/api/v1/completions"): [lambda _: Ask(params={"before": "2099-01-01"})],
    ("PATCH", "/api/v1/completions/{completion_id}"): [lambda _: Ask(json={"tags": ["changed"]})],
    ("POST", "/api/v1/completions/{completion_id}"): [lambda _: Ask(json=ROW | {"organization_id": "a"})],
    ("GET", "/api/v1/completions/ungraded"): [lambda _: Ask()],
    ("GET", "/api/v1/sessions"): [lambda _: Ask()],
    ("POST", "/api/v1/sessions"): [lambda _: Ask()],
    ("GET", "/api/v1/users"): [lambda _: Ask()],
    ("GET", "/api/v1/traces"): [lambda _: Ask()],
    ("GET", "/api/v1/tags"): [lambda _: Ask(), lambda ids: Ask(params={"prefix": ids.tag})],
    ("GET", "/api/v1/spend"): [
        lambda ids: Ask(params=calls(ids) | {"by": "session,user,tag", "since": "2020-01-01"}),
        lambda _: Ask(params={"by": "session,user,tag", "since": "2020-01-01"}),
    ],
    ("GET", "/api/v1/organizations"): [lambda _: Ask()],
    ("POST", "/api/v1/organizations"): [lambda ids: Ask(json={"name": ids.organization_id})],
    ("GET", "/api/v1/projects"): [lambda _: Ask(), lambda ids: Ask(params={"organization_id": ids.organization_id})],
    ("POST", "/api/v1/projects"): [lambda _: Ask(json={"name": "project"})],
    ("GET", "/api/v1/keys"): [lambda _: Ask()],
    ("POST", "/api/v1/keys"): [lambda ids: Ask(json={"scopes": ["read"], "project_id": ids.project_id})],
    ("GET", "/api/v1/feedback"): [
        lambda ids: Ask(params={"completion_id": ids.completion_id}),
        lambda ids: Ask(params={"task_id": ids.task_id}),
        lambda ids: Ask(json={"completion_id": ids.completion_id}),
        lambda _: Ask(),
    ],
    ("POST", "/api/v1/feedback"): [
        lambda ids: Ask(json=GIVEN | {"task_id": ids.task_id, "completion_ids": [ids.completion_id]}),
        lambda ids: Ask(json=GIVEN | {"task_id": "task-of-a", "completion_ids": [ids.completion_id]}),
        lambda ids: Ask(
            json=GIVEN
            | {"task_id": "task-of-a", "completion_tags_selector": [ids.tag], "allow_unmatched_feedback": False}
        ),
    ],
    ("GET", "/api/v1/feedback_task"): [lambda _: Ask()],
    ("POST", "/api/v1/feedback_task"): [lambda _: Ask(json=TASK)],
    ("GET", "/api/completions"): [lambda ids: Ask(params={"ids": ids.completion_id}), lambda _: Ask()],
    ("POST", "/api/completions"): [lambda _: Ask(json={})],
    ("POST", "/api/completions/{completion_id}"): [lambda _: Ask(json=ROW | {"request": "{}"})],
    ("POST", "/api/sessions"): [lambda _: Ask(json={})],
    ("GET", "/api/tags/search"): [lambda ids: Ask(params={"query": ids.tag})],
    ("POST", "/v1/logs/batch"): [lambda ids: Ask(json={"repoId": "r", "logs": batch(ids)})],
    ("POST", "/v1/logging"): [
        lambda ids: Ask(
            json={"repoId": "r", "entity": "trace", "action": "end", "entityId": ids.trace_id, "data": {"output": "x"}}
        )
    ],
    ("POST", "/api/sdk/v3/log"): [
        lambda ids: Ask(
            params={"id": "r"}, content=b'trace{id=%b,action=update,data={"output":"x"}}' % ids.trace_id.encode()
        )
    ],
    ("POST", "/api/sdk/v1/log-repositories/check-attach-evaluators"): [lambda _: Ask(json={"repoId": "r"})],
    ("GET", "/api/sdk/v3/log-repositories"): [lambda ids: Ask(params={"loggerId": ids.project_id})],
    ("GET", "/api/sdk/v1/log-repositories/attachments/upload-url"): [
        lambda ids: Ask(params={"key": f"r/{ids.upload}", "mimeType": "text/plain", "size": "1"})
    ],
    ("GET", "/api/sdk/v1/log-repositories/attachments"): [lambda ids: Ask(params={"key": f"r/{ids.upload}"})],
    ("POST", "/v1/log-repositories/logs/search"): [
        lambda ids: Ask(json={"id": "r", "type": "trace", "searchQuery": ids.text}),
        lambda ids: Ask(json={"id": "r", "type": "trace", "sessionId": ids.session_id}),
        lambda _: Ask(json={"id": "r", "type": "session"}),
    ],
    ("GET", "/v1/log-repositories/logs/traces"): [lambda ids: Ask(params={"id": ids.trace_id})],
}
#: Their URL is signed for one file and needs no key; an address of its own says so in their tests.
SIGNED = {"/api/sdk/v1/log-repositories/attachments/{word}"}


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def settled(store, name: str, data_dir: Path) -> tuple[Ids, dict[str, str]]:
    """An organisation that has one of everything, and the headers of a key that may do all in it."""
    key = await added_key(store, name, "read,write,admin")
    owner = key.organization_id
    made = {
        member: f"{member.removesuffix('_id')}-of-{name}"
        for member in Ids.__dataclass_fields__
        if member not in ("organization_id", "key_id")
    }
    ids = Ids(**made, organization_id=owner, key_id=key.id)
    now = datetime.now(UTC)
    await SqlAccounts(store).add_project(Project(id=ids.project_id, organization_id=owner, name=name, created_at=now))
    context = Context(tags=(ids.tag,), session_id=ids.session_id, user_id=ids.user_id, trace_id=ids.trace_id)
    # A session over a WebSocket, since of other calls there are no events.
    whose = {"id": ids.completion_id, "organization_id": owner, "context": context}
    await store.put([record(**whose, preview=ids.text, endpoint=Endpoint.REALTIME, http_status=101)])
    traces, feedback = SqlTraces(store, completion_of), SqlFeedback(store)
    told = [
        said(Kind.SESSION, ids.session_id, name=ids.text),
        said(Kind.TRACE, ids.trace_id, sessionId=ids.session_id, input=ids.text),
        generation(f"generation of {name}", traceId=ids.trace_id, messages=[{"role": "user", "content": ids.text}]),
    ]
    await traces.put(owner, "r", told)
    blob = await DirectoryOfBlobs(DataDir(data_dir).uploads).add(pieces(ids.text.encode()))
    file = {"hash": blob.hash, "size_bytes": blob.size_bytes, "mime_type": "text/plain"}
    await traces.add_upload(owner, Upload(key=f"r/{ids.upload}", created_at=NOON, **file))
    await feedback.add_task(
        FeedbackTask(id=ids.task_id, organization_id=owner, created_at=now, name=name, json_schema={}, tags=(ids.tag,))
    )
    given = Feedback(
        id=ids.feedback_id,
        organization_id=owner,
        created_at=now,
        task_id=ids.task_id,
        json_values={},
        completion_ids=(ids.completion_id,),
    )
    await feedback.add(given)
    return ids, key.bearer


async def rows_of(store, organization_id: str) -> dict[str, list]:
    """Everything that stands in the tables for an organisation, but for when its keys were used."""
    tables = [table for table in metadata.sorted_tables if "organization_id" in table.c]

    def read(connection):
        return {
            table.name: sorted(
                repr([value for name, value in row.items() if name != "last_used_at_us"])
                for row in connection.execute(
                    select(table).where(table.c.organization_id == organization_id)
                ).mappings()
            )
            for table in tables
        }

    return await store.reading(read, otherwise={})


def asks(app) -> list[tuple[str, str, Callable[[Ids], Ask]]]:
    """Everything to ask: what reads first, what removes last, and before that what makes calls of the same ids."""
    found = []
    for route in app.routes:
        if isinstance(getattr(route, "endpoint", None), _Resource):
            for method in route.endpoint._methods:
                asked = ASKS.get((method, route.path), [lambda _: Ask()] if "{" in route.path else [])
                if method != "HEAD":
                    found += [(method, route.path, ask) for ask in asked] or [(method, route.path, None)]
    return sorted(found, key=lambda one: (one[0] == "DELETE", one[0] != "GET", "completions" in one[1]))


async def answer(client, headers, method, path, ask, ids):
    for word in re.findall(r"\{(\w+)(?::path)?\}", path):
        path = re.sub(rf"\{{{word}(:path)?\}}", getattr(ids, word), path)
    asked = ask(ids)
    response = await client.request(
        method, path, params=asked.params, json=asked.json, content=asked.content, headers=headers
    )
    return response.status_code, ids.hidden(response.text)


def test_every_route_is_asked(database, tmp_path):
    app = whole_app(database, tmp_path)

    there_are = {(method, path) for method, path, ask in asks(app) if ask is not None}
    left_out = {(method, path) for method, path, ask in asks(app) if ask is None}

    assert left_out == set()
    assert set(ASKS) <= there_are
    assert len(there_are) > len(ASKS)


async def world(there: Path, wanted: Ids | None) -> tuple[list, list]:
    """What organisation a is answered, asking for ``wanted`` or else for what is b's; and what b had and has."""
    store = SqliteStore(empty_store(there / "store.sqlite3"))
    _, headers = await settled(store, "a", there)
    theirs, _ = await settled(store, "b", there)
    had = await rows_of(store, theirs.organization_id)
    async with whole_app_client(store, there) as client:
        answers = [
            (method, path, await answer(client, headers, method, path, ask, wanted or theirs))
            for method, path, ask in asks(whole_app(store, there))
        ]
    has = await rows_of(store, theirs.organization_id)
    await store.close()
    return answers, [had, has]


async def test_what_is_the_others_is_as_if_it_were_not_there(tmp_path):
    for name in ("theirs", "nobodys"):
        (tmp_path / name).mkdir()

    foreign, (had, has) = await world(tmp_path / "theirs", None)
    unknown, _ = await world(tmp_path / "nobodys", Ids())

    assert [(one, other) for one, other in zip(foreign, unknown, strict=True) if one != other] == []
    assert has == had
    assert {200, 201, 400, 404} <= {status for _, _, (status, _) in foreign}


async def test_what_is_ones_own_is_there_in_all_of_them(database, tmp_path):
    """Else the test before this one would say nothing."""
    mine, headers = await settled(database, "a", tmp_path)
    shown = []

    async with whole_app_client(database, tmp_path) as client:
        for method, path, ask in asks(whole_app(database, tmp_path)):
            if method == "GET":
                status, _ = await answer(client, headers, method, path, ask, mine)
                shown.append((path, status))

    assert [path for path, status in shown if status != 200] == []


@pytest.mark.parametrize("scope", ["read", "write", "admin"])
async def test_a_key_opens_only_what_is_for_its_scope(database, tmp_path, scope):
    key = await added_key(database, "a", scope)
    app = whole_app(database, tmp_path)
    wrong = {}

    async with whole_app_client(database, tmp_path) as client:
        for route in app.routes:
            for name, method in getattr(getattr(route, "endpoint", None), "_methods", {}).items():
                path = re.sub(r"\{\w+(:path)?\}", "x", route.path)
                status = (await client.request(name, path, headers=key.bearer)).status_code
                if (status == 403) == (method.scope == scope) and path != "/api/v1/organizations":
                    wrong[f"{name} {path}"] = status

    assert wrong == {}


def test_our_own_api_is_all_of_its_tables():
    sources = own.Sources(store=None, accounts=None, overviews=None, removal=None, traces=None)

    paths = {path for table in own.tables(sources, None) for path in table}

    assert {path.split("/")[3] for path in paths} == {
        "completions",
        "sessions",
        "users",
        "traces",
        "tags",
        "spend",
        "organizations",
        "projects",
        "keys",
    }
