"""What all APIs share, over HTTP."""

import json

import httpx
import pytest
from starlette.applications import Starlette

from empty_stores import empty_store
from keyring import added_key
from llm_proxy.api.auth import Gate
from llm_proxy.api.resource import MAX_DEPTH, Method, answered, nothing_else, read_body, read_object, routes
from llm_proxy.errors import StoreRejected
from llm_proxy.model.account import Scope
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sqlite import SqliteStore


async def echo(request, principal):
    return answered({"body": await read_object(request)})


async def echo_if_any(request, principal):
    return answered({"body": await read_object(request, needed=False)})


async def short(request, principal):
    return answered({"bytes": len(await read_body(request, max_bytes=10))})


async def rejected(request, principal):
    raise StoreRejected("x: too deep")


async def placed(request, principal):
    return answered({"id": request.path_params.get("id")})


def write(answer, **others):
    return Method(scope=Scope.WRITE, answer=answer, **others)


@pytest.fixture
async def store(tmp_path):
    store = SqliteStore(empty_store(tmp_path / "store.sqlite3"))
    yield store
    await store.close()


@pytest.fixture
async def client(store):
    one = {
        "/things/{id}": {"GET": write(placed)},
        "/things/none": {"GET": write(placed)},
        "/echo": {"POST": write(echo)},
        "/maybe": {"POST": write(echo_if_any)},
        "/short": {"POST": write(short)},
    }
    other = {"/echo": {"PUT": write(echo)}, "/rejected": {"POST": write(rejected, shape=lambda fault: {"error": 1})}}
    gate = Gate(SqlAccounts(store))
    transport = httpx.ASGITransport(Starlette(routes=routes(gate, one, other)))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def test_two_apis_may_have_one_path(client):
    for method in ("POST", "PUT"):
        assert (await client.request(method, "/echo", json={"a": 1})).json() == {"body": {"a": 1}}

    refused = await client.get("/echo")

    assert (refused.status_code, refused.headers["allow"]) == (405, "POST, PUT")
    assert refused.json()["error"]["message"] == "GET is not possible here; use POST or PUT"


async def test_what_is_exact_goes_before_what_has_parameters(client):
    assert (await client.get("/things/none")).json() == {"id": None}
    assert (await client.get("/things/1")).json() == {"id": "1"}


async def test_json_keeps_what_others_lose(client):
    raw = '{"big": 123456789012345678901234567890, "lone": "\\ud800", "é": 1.5}'.encode()

    answer = await client.post("/echo", content=raw)

    assert json.loads(answer.content)["body"] == json.loads(raw)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "the body is no JSON"),
        (b"{", "the body is no JSON"),
        (b'{"a": NaN}', "NaN is no JSON"),
        (b'{"a": [-Infinity]}', "-Infinity is no JSON"),
        (b'{"a": "\xff"}', "the body is no JSON"),
        (b"\xff\xfe{\x00}\x00", "the body is no JSON"),
        (b"[1]", "the body must be a JSON object"),
        (b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", f"nested deeper than {MAX_DEPTH}"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, f"nested deeper than {MAX_DEPTH}"),
        (b'{"a":' + b"9" * 5000 + b"}", "the body is no JSON"),
    ],
)
async def test_what_is_no_json_is_refused(client, raw, message):
    answer = await client.post("/echo", content=raw)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")
    assert message in answer.json()["error"]["message"]


async def test_where_no_body_is_needed_an_empty_one_is_an_empty_object(client):
    assert (await client.post("/maybe", content=b" ")).json() == {"body": {}}


async def test_a_body_that_is_too_long_is_not_read_to_its_end(client):
    read = []

    async def hundred():
        for _ in range(100):
            read.append(1)
            yield b"1234"

    answer = await client.post("/short", content=hundred())

    assert (answer.status_code, len(read)) == (413, 3)
    assert (await client.post("/short", content=b"x" * 10)).json() == {"bytes": 10}


async def test_what_the_store_never_takes_is_422_in_the_shape_of_its_api(client):
    answer = await client.post("/rejected")

    assert (answer.status_code, answer.json()) == (422, {"error": 1})


async def test_a_body_is_not_read_before_its_sender_was_let_in(client, store):
    await added_key(store, "acme", "write")

    answer = await client.post("/echo", content=b"no JSON", headers={"x-log10-token": "wrong"})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="llm-proxy"'
    assert answer.json()["error"]["type"] == "authentication_error"


async def test_the_organisation_may_be_named_in_the_query(client, store):
    key = await added_key(store, "acme", "write")

    ours = await client.get("/things/1", params={"organization_id": key.organization_id}, headers=key.bearer)
    theirs = await client.get("/things/1", params={"organization_id": "default"}, headers=key.bearer)

    assert (ours.status_code, theirs.status_code) == (200, 403)


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("POST", "/chat/completions", "end with it, as in http://HOST:PORT/v1"),
        ("GET", "/models", "end with it"),
        ("POST", "/audio/speech", "end with it"),
        ("GET", "/api/v2/calls", "nothing at this path"),
    ],
)
async def test_a_client_is_told_what_is_wrong_with_its_base_url(method, path, said):
    transport = httpx.ASGITransport(Starlette(routes=nothing_else()))
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        answer = await client.request(method, path)

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert said in answer.json()["error"]["message"]
