"""The document of our own API, held against what answers: requests made up from it, and the page that shows it."""

import asyncio
import base64
import hashlib
import re
from collections import Counter

import pytest
import schemathesis
from starlette.testclient import TestClient

from fuzzing import Fuzzer
from llm_proxy.api import openapi, own
from llm_proxy.api.operation import Operation, written_place
from llm_proxy.model.account import Project, Scope
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sqlite import SqliteStore
from records import NOON, record
from whole_app import ADMIN_KEY, described, whole_app

TABLES = own.tables(own.Sources(store=None, accounts=None, overviews=None, removal=None, traces=None), None)
DOCUMENT = openapi.document(*TABLES)
OPERATIONS = [(path, method) for path, method, _ in described(DOCUMENT)]
#: Of each kind, for each operation.
EXAMPLES = 12
KNOWN = {
    "organization_id": ["default"],
    "completion_id": ["1", "2", "3"],
    "session_id": ["s-1"],
    "user_id": ["u-1"],
    "trace_id": ["0af7651916cd43dd8448eb211c80319c"],
    "since": ["1w", "2020-01-01"],
    "until": ["2099-12-31T23:59:59Z"],
    "before": ["2020-01-01"],
    "by": ["day", "tag,model", "session,day"],
    "cursor": [written_place(NOON.isoformat(), "2"), written_place("ci"), written_place("2026-11-24")],
    "scopes": [["read"], ["read", "write"]],
    "label": ["laptop"],
    "project_id": ["project"],
    "name": ["some"],
    "fields": ["bodies", "head", "head,timings,bodies"],
}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The whole application over a store that has some records."""
    there = tmp_path_factory.mktemp("app")
    store = SqliteStore(there / "store.sqlite3")
    asyncio.run(store.migrate())
    asyncio.run(store.put([record(id=str(number)) for number in range(10)]))
    project = Project(id="project", organization_id="default", name="some", created_at=NOON)
    asyncio.run(SqlAccounts(store).add_project(project))
    yield whole_app(store, there)
    asyncio.run(store.close())


@pytest.fixture
def client(app):
    return TestClient(app, base_url="http://localhost")


def test_what_is_served_is_what_the_tables_say(client):
    assert client.get(openapi.DOCUMENT_PATH).json() == DOCUMENT


def test_it_is_an_openapi_document():
    schemathesis.openapi.from_dict(DOCUMENT).validate()

    assert DOCUMENT["openapi"] == "3.1.0"
    names = [operation["operationId"] for _, _, operation in described(DOCUMENT)]
    assert len(names) == len(set(names))


def test_every_operation_of_our_own_is_described():
    there_are = {
        (re.sub(r":path\}", "}", path), name): method
        for table in TABLES
        for path, methods in table.items()
        for name, method in methods.items()
    }

    assert set(there_are) == set(OPERATIONS)
    assert all(isinstance(method, Operation) for method in there_are.values())


def test_whoever_changes_or_removes_needs_more_than_to_read():
    scopes = {
        (name, method.scope) for table in TABLES for methods in table.values() for name, method in methods.items()
    }

    assert {scope for name, scope in scopes if name in ("POST", "DELETE")} == {Scope.ADMIN}
    assert {scope for name, scope in scopes if name == "PATCH"} == {Scope.WRITE}


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_fits_the_document_whatever_is_asked(app, path, method):
    statuses = Counter()
    fuzzer = Fuzzer(DOCUMENT, app, {"authorization": f"Bearer {ADMIN_KEY}"})

    fuzzer.fuzz(path, method, examples=EXAMPLES, known=KNOWN, seen=lambda answer: statuses.update([answer.status_code]))

    assert sum(statuses.values()) >= EXAMPLES
    assert max(statuses) < 500
    assert statuses.keys() - {400, 401, 403} or method == "PATCH"


def test_the_page_shows_every_operation_and_every_shape(client):
    page = client.get(openapi.PAGE_PATH).text

    for path, method in OPERATIONS:
        assert f"<b>{method}</b> {path}</h3>" in page
    for name in DOCUMENT["components"]["schemas"]:
        assert f'id="shape-{name}"' in page
    for target in re.findall('href="#([^"]+)"', page):
        assert f'id="{target}"' in page


def test_the_page_needs_no_script_and_nothing_of_anybody_else(client):
    answer = client.get(openapi.PAGE_PATH)

    (style,) = re.findall("<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert f"style-src 'sha256-{digest}'" in policy
    assert not re.search(r"<script|<link|<img|\son\w+=|src=|https?://", answer.text)


def test_both_are_open_to_who_has_no_key_and_under_every_name(client):
    for path in (openapi.DOCUMENT_PATH, openapi.PAGE_PATH):
        answer = client.get(path, headers={"host": "proxy.test"})

        assert (answer.status_code, answer.headers["x-content-type-options"]) == (200, "nosniff")


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"$ref": "#/components/schemas/Record"}, "Record"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string or null"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, "list of a | b"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "object of string"),
        ({"type": "object"}, "object"),
        ({}, "any JSON"),
    ],
)
def test_a_schema_is_told_in_a_few_words(schema, words):
    assert openapi.type_of(schema) == words
