"""The records over HTTP, from a real store."""

import json
from datetime import timedelta

import httpx
import pytest
from starlette.applications import Starlette

from empty_stores import empty_store
from llm_proxy.api.auth import Gate
from llm_proxy.api.operation import MAX_LIMIT
from llm_proxy.api.query import table
from llm_proxy.api.resource import routes
from llm_proxy.model.completion import Bodies, Context, Status
from llm_proxy.model.record import record_json
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sqlite import SqliteStore
from records import NOON, bare, record, tagged

LIST = "/api/v1/completions"


@pytest.fixture
async def store(tmp_path):
    store = SqliteStore(empty_store(tmp_path / "store.sqlite3"))
    yield store
    await store.close()


@pytest.fixture
async def client(store):
    transport = httpx.ASGITransport(Starlette(routes=routes(Gate(SqlAccounts(store)), table(store))))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


def ids(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [completion["id"] for completion in response.json()["completions"]]


async def test_an_empty_store_is_an_empty_list(client):
    response = await client.get(LIST)

    assert response.json() == {"completions": [], "next": None}
    assert response.headers["content-type"] == "application/json"


async def test_a_list_has_the_records_without_their_bodies_newest_first(client, store):
    older, newer = record(started_at=NOON), record(started_at=NOON + timedelta(seconds=1))
    await store.put([older, newer])

    response = await client.get(LIST)

    assert response.json()["completions"] == [record_json(one, with_bodies=False) for one in (newer, older)]


async def test_a_list_has_the_bodies_if_asked(client, store):
    completion = record()
    await store.put([completion])

    response = await client.get(LIST, params={"fields": "bodies"})

    assert response.json()["completions"] == [record_json(completion, with_bodies=True)]


async def test_one_record_comes_with_its_bodies(client, store):
    completion = record()
    await store.put([completion])

    response = await client.get(f"{LIST}/{completion.id}")

    assert response.json() == record_json(completion, with_bodies=True)


async def test_a_record_that_is_not_there_is_not_found(client):
    response = await client.get(f"{LIST}/none")

    assert response.status_code == 404
    assert response.json() == {
        "error": {
            "message": "there is no completion 'none'",
            "type": "invalid_request_error",
            "code": "not_found",
            "param": "id",
        }
    }


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"tag": "a"}, ["2", "1"]),
        ({"tag": ["a", "b"]}, ["1"]),
        ({"session": "s"}, ["2"]),
        ({"user": "u"}, ["1"]),
        ({"model": "m"}, ["2"]),
        ({"status": "failed"}, ["2"]),
        ({"since": "2026-11-24T12:00:01Z"}, ["2"]),
        ({"until": "2026-11-24T12:00:01Z"}, ["1"]),
        ({"since": "1w", "until": "2020-01-01"}, []),
        ({"search": "PARIS"}, ["1"]),
        ({"latency": "<1h", "tokens": [">1", "<1k"], "provider": "openai"}, ["2", "1"]),
        ({"cost": ">0"}, []),
        ({"where": "-model:m tag:a"}, ["1"]),
        ({"tag": "a", "where": "tag:b"}, ["1"]),
        ({"limit": "1"}, ["2"]),
    ],
)
async def test_every_filter_filters(client, store, params, expected):
    await store.put(
        [
            record(id="1", context=Context(tags=("a", "b"), user_id="u")),
            record(
                id="2",
                started_at=NOON + timedelta(seconds=1),
                status=Status.FAILED,
                model="m",
                context=Context(tags=("a",), session_id="s"),
                bodies=Bodies(),
            ),
        ]
    )

    assert ids(await client.get(LIST, params=params)) == expected


async def test_following_next_gives_every_record_once(client, store):
    await store.put([tagged("t", id=f"{number}-é") for number in range(7)])
    params, seen, pages = {"tag": "t", "limit": 3}, [], 0

    while True:
        response = await client.get(LIST, params=params)
        seen += ids(response)
        pages += 1
        if response.json()["next"] is None:
            break
        params["cursor"] = response.json()["next"]

    assert seen == [f"{number}-é" for number in reversed(range(7))]
    assert pages == 3


async def test_a_list_has_fifty_records_unless_told_otherwise(client, store):
    await store.put([bare() for _ in range(60)])

    assert len(ids(await client.get(LIST))) == 50
    assert len(ids(await client.get(LIST, params={"limit": MAX_LIMIT}))) == 60


@pytest.mark.parametrize(
    ("query", "param", "message"),
    [
        ("tags=a", "tags", "tags is no parameter; there are tag, session, user"),
        ("limit=0", "limit", "limit: '0' is no number from 1 to 1000"),
        ("limit=1001", "limit", "limit: '1001' is no number"),
        ("limit=-1", "limit", "limit: '-1' is no number"),
        ("limit=%D9%A1", "limit", "is no number"),
        ("limit=" + "9" * 5000, "limit", "is no number"),
        ("status=done", "status", "status: 'done' is no status; there are started, finished, failed"),
        ("since=yesterday", "since", "since: 'yesterday' is no time; write 15m"),
        ("until=2026-11-24T12:00:00+01:00", "until", "is no time"),  # + is a space in a query
        ("fields=all", "fields", "fields: 'all' is unknown; there are head, context, timings, outcome, bodies"),
        ("fields=head,", "fields", "fields: '' is unknown"),
        ("cursor=x", "cursor", "cursor: 'x' is not the next of a list"),
        ("cursor=!!!!", "cursor", "is not the next of a list"),
        ("cursor=gICA", "cursor", "is not the next of a list"),
        ("cursor=MDAwMS0wMS0wMVQwMDowMCsxNDowMCB4", "cursor", "is not the next of a list"),
        ("session=a&session=b", "session", "session is given more than once"),
        ("model=", "model", "model is empty; leave it out"),
        ("tag", "tag", "tag is empty"),
    ],
)
async def test_a_parameter_that_makes_no_sense_is_refused_and_named(client, query, param, message):
    response = await client.get(f"{LIST}?{query}")

    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["type"]) == (param, "invalid_request_error")
    assert message in error["message"]


async def test_one_record_takes_no_parameters(client, store):
    await store.put([record(id="1")])

    response = await client.get(f"{LIST}/1?fields=bodies")

    assert response.status_code == 400
    assert response.json()["error"]["message"] == "fields is no parameter; there are none"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", [LIST, f"{LIST}/1"])
async def test_other_methods_are_not_allowed(client, method, path):
    response = await client.request(method, path)

    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
    assert response.json()["error"]["code"] == "method_not_allowed"


async def test_head_has_the_head_of_get(client, store):
    await store.put([record(id="1")])

    for path in (LIST, f"{LIST}/1"):
        get, head = await client.get(path), await client.head(path)

        assert (head.status_code, head.headers) == (200, get.headers)


async def test_answers_are_not_for_caches(client):
    for path in (LIST, f"{LIST}/none"):
        headers = (await client.get(path)).headers

        assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


async def test_strange_text_is_answered_as_json(client, store):
    strange = "\x00 \ud800 \u202e </script>"
    await store.put([record(id="1", preview=strange, bodies=Bodies(request=strange))])

    response = await client.get(f"{LIST}/1")

    assert json.loads(response.content)["request"] == strange


async def test_a_store_that_is_away_is_503_and_says_when_to_try_again(tmp_path):
    (tmp_path / "store.sqlite3").write_bytes(b"this is no database " * 100)
    store = SqliteStore(tmp_path / "store.sqlite3", read_only=True)
    transport = httpx.ASGITransport(Starlette(routes=routes(Gate(SqlAccounts(store)), table(store))))

    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        response = await client.get(LIST)

    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.json()["error"]["code"] == "store_unavailable"
    await store.close()
