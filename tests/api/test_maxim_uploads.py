"""Files: a URL that allows one thing, what it takes in, and what it gives back."""

import time
from urllib.parse import urlsplit

import msgspec
import pytest

from keyring import added_key
from llm_proxy.api.maxim_uploads import MAX_FILE_BYTES, VALID_S, Permit, permitted
from llm_proxy.api.resource import Fault
from llm_proxy.api.seal import Seal
from maxim_app import SECRET, maxim_app

URLS = "/api/sdk/v1/log-repositories/attachments/upload-url"
FILES = "/api/sdk/v1/log-repositories/attachments"
PERMIT = Permit("o", "r/trace/t/files/original/a", "text/plain", 5, 1000)


@pytest.fixture
async def app(tmp_path):
    async with maxim_app(tmp_path) as app:
        yield app


async def url_for(app, *, key="r/trace/t/files/original/a", mime_type="text/plain", size=5, **headers):
    # As maxim-py writes it: nothing is encoded.
    answer = await app.client.get(f"{URLS}?key={key}&mimeType={mime_type}&size={size}", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["url"]


async def put(app, url, content=b"hello", mime_type="text/plain"):
    return await app.client.put(url, content=content, headers={"content-type": mime_type})


async def test_a_file_is_put_where_the_url_says_and_read_back_by_its_key(app):
    url = await url_for(app)

    answer = await put(app, url)

    assert (answer.status_code, answer.json()) == (200, {})
    back = await app.client.get(FILES, params={"key": "r/trace/t/files/original/a"})
    assert (back.content, back.headers["content-type"]) == (b"hello", "text/plain; charset=utf-8")
    assert back.headers["content-disposition"].startswith("attachment")


async def test_a_url_leads_back_the_way_the_caller_came(app):
    key = await added_key(app.store, "acme", "write")
    headers = {"host": "proxy.example:8443", "x-forwarded-proto": "https", "x-maxim-api-key": key.secret}

    url = await url_for(app, **headers)

    assert urlsplit(url)[:2] == ("https", "proxy.example:8443")


async def test_a_type_with_a_plus_needs_no_encoding(app):
    url = await url_for(app, mime_type="image/svg+xml")

    assert (await put(app, url, mime_type="image/svg+xml")).status_code == 200


@pytest.mark.parametrize(
    ("content", "mime_type", "status"),
    [(b"hello!", "text/plain", 413), (b"hello", "text/html", 415), (b"hi", "Text/Plain; charset=utf-8", 200)],
)
async def test_a_url_allows_only_what_it_was_given_out_for(app, content, mime_type, status):
    url = await url_for(app)

    assert (await put(app, url, content, mime_type)).status_code == status


async def test_a_url_that_was_changed_or_made_up_allows_nothing(app):
    url = await url_for(app)
    changed = url[:-1] + ("A" if url[-1] != "A" else "B")
    wanted = Permit("default", "r/a", "text/plain", 5, int(time.time()) + 9)
    made_up = Seal(b"another secret", b"uploads").close(msgspec.json.encode(wanted))

    assert (await put(app, changed)).status_code == 403
    assert (await put(app, f"{FILES}/{made_up}")).status_code == 403
    assert (await put(app, f"{FILES}/hello")).status_code == 403


async def test_a_url_takes_nothing_but_a_file(app):
    answer = await app.client.get(await url_for(app))

    assert (answer.status_code, answer.headers["allow"]) == (405, "PUT")


@pytest.mark.parametrize(
    ("query", "status", "path"),
    [
        ("mimeType=text/plain&size=5", 400, "key"),
        ("key=k&mimeType=text&size=5", 400, "mimeType"),
        ("key=k&mimeType=text/plain&size=-5", 400, "size"),
        ("key=k&mimeType=text/plain", 400, "size"),
        (f"key=k&mimeType=text/plain&size={MAX_FILE_BYTES + 1}", 413, "size"),
        (f"key={'k' * 2000}&mimeType=text/plain&size=5", 400, "key"),
    ],
)
async def test_what_makes_no_sense_is_named(app, query, status, path):
    answer = await app.client.get(f"{URLS}?{query}")

    assert answer.status_code == status
    assert answer.json()["error"]["details"][0]["path"] == path


async def test_a_file_of_another_organisation_is_unknown(app):
    ours, theirs = await added_key(app.store, "acme", "read,write"), await added_key(app.store, "umbrella", "read")
    await put(app, await url_for(app, key="r/a", **{"x-maxim-api-key": ours.secret}))

    read = [
        await app.client.get(FILES, params={"key": key}, headers={"x-maxim-api-key": who.secret})
        for who, key in ((ours, "r/a"), (theirs, "r/a"), (theirs, "r/b"))
    ]

    assert [answer.status_code for answer in read] == [200, 404, 404]
    assert read[1].text == read[2].text.replace("r/b", "r/a")


async def test_a_line_that_was_too_large_for_the_log_is_read_from_its_file(app):
    large = b'trace{id=t,action=create,data={"input":"%b"}}' % (b"x" * 1_000_000)
    await put(app, await url_for(app, key="r/large-logs/1", size=len(large)), large)

    answer = await app.client.post(
        "/api/sdk/v3/log?id=r", content=b'storage{id=1,action=process-large-log,data={"key":"r/large-logs/1"}}'
    )

    assert answer.status_code == 200
    assert len((await app.trace("t"))["input"]) == 1_000_000


@pytest.mark.parametrize("data", ['{"key":"r/unknown"}', "{}", "null", '{"key":5}'])
async def test_a_line_in_a_file_that_was_not_uploaded_is_refused(app, data):
    body = f"storage{{id=1,action=process-large-log,data={data}}}"

    answer = await app.client.post("/api/sdk/v3/log?id=r", content=body.encode())

    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["path"] == "line 1: data.key"


async def test_a_line_in_a_file_of_another_repository_is_refused(app):
    line = b"trace{id=t,action=create,data={}}"
    await put(app, await url_for(app, key="r/large-logs/1", size=len(line)), line)

    answer = await app.client.post(
        "/api/sdk/v3/log?id=q", content=b'storage{id=1,action=process-large-log,data={"key":"r/large-logs/1"}}'
    )

    assert answer.status_code == 400


def test_a_permit_holds_until_its_time_is_over():
    seal = Seal(SECRET, b"uploads")
    word = seal.close(msgspec.json.encode(PERMIT))

    assert permitted(seal, word, now=1000) == PERMIT
    with pytest.raises(Fault):
        permitted(seal, word, now=1001)


def test_a_url_holds_long_enough_for_an_sdk_to_try_again():
    assert VALID_S >= 600
