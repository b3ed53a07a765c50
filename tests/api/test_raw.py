"""The bytes of a call over HTTP, from a real store."""

import gzip
import json
from array import array

import pytest
from websockets.frames import Frame, Opcode

from llm_proxy.api.raw import NAMED, TRUNCATED
from llm_proxy.model.completion import Bodies
from llm_proxy.model.exchange import Chunks, Endpoint
from records import record

PATH = "/api/v1/completions"
#: An answer in a coding that it does not even have to its end.
ANSWER = gzip.compress(b"<script>alert(1)</script>" * 10)[:-9]


def call(**different):
    bodies = Bodies(
        request_headers=(("Content-Type", "application/json"), ("Authorization", None)),
        response_headers=(("content-type", "text/html; charset=é\r\nx: y"), ("content-encoding", "gzip")),
        request_body=b'{"model":\x00 "\xff"}',
        response_body=ANSWER,
    )
    return record(**({"id": "1", "bodies": bodies} | different))


async def test_the_bytes_are_those_of_the_wire_to_the_last_one(api, database):
    await database.put([call()])

    sent, answered = await api.get(f"{PATH}/1/request"), await api.get(f"{PATH}/1/response")

    assert sent.content == b'{"model":\x00 "\xff"}'
    assert answered.content == ANSWER


async def test_nobody_takes_them_for_a_page(api, database):
    await database.put([call(id='../a"b é')])

    answer = await api.get(f"{PATH}/..%2fa%22b%20%C3%A9/response")
    assert answer.status_code == 404  # an id with a slash has no path of its own
    await database.put([call(id='a"b é')])
    answer = await api.get(f"{PATH}/a%22b%20%C3%A9/response")

    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == 'attachment; filename="a_b__.response"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "content-encoding" not in answer.headers


async def test_their_type_and_coding_are_named(api, database):
    await database.put([call(), call(id="2", truncated=True)])

    answer = await api.get(f"{PATH}/1/response")

    assert answer.headers[NAMED["content-type"]] == "text/html; charset=???x: y"
    assert answer.headers[NAMED["content-encoding"]] == "gzip"
    assert TRUNCATED not in answer.headers
    cut = await api.get(f"{PATH}/2/request")
    assert (cut.headers[TRUNCATED], NAMED["content-encoding"] in cut.headers) == ("true", False)


@pytest.mark.parametrize(("bodies", "status"), [(None, 404), (Bodies(), 404), (Bodies(request_body=b""), 200)])
async def test_what_is_not_kept_is_not_found_and_what_is_empty_is_empty(api, database, bodies, status):
    await database.put([call(bodies=bodies)])

    answer = await api.get(f"{PATH}/1/request")

    assert answer.status_code == status
    assert status == 200 or answer.json()["error"]["code"] == "not_kept"


def session(**different):
    said = Frame(Opcode.TEXT, b'{"type":"response.create"}').serialize(mask=True)
    heard = Frame(Opcode.TEXT, b'{"type":"response.done"}').serialize(mask=False)
    bodies = Bodies(
        request_body=said,
        response_body=heard,
        sent=Chunks(times_us=array("Q", [1000]), sizes=array("Q", [len(said)])),
        chunks=Chunks(times_us=array("Q", [2000]), sizes=array("Q", [len(heard)])),
    )
    return call(**({"endpoint": Endpoint.REALTIME, "http_status": 101, "bodies": bodies} | different))


async def test_the_events_of_a_session_are_a_file_of_json_lines(api, database):
    await database.put([session()])

    answer = await api.get(f"{PATH}/1/events")

    assert [json.loads(line) for line in answer.text.splitlines()] == [
        {"at_s": 0.001, "by": "client", "type": "response.create", "bytes": 26, "event": {"type": "response.create"}},
        {"at_s": 0.002, "by": "upstream", "type": "response.done", "bytes": 24, "event": {"type": "response.done"}},
    ]
    assert answer.headers["content-disposition"] == 'attachment; filename="1.events.jsonl"'
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("different", [{"endpoint": Endpoint.CHAT}, {"http_status": 401}, {"bodies": Bodies()}])
async def test_what_is_no_session_or_was_not_kept_has_no_events(api, database, different):
    await database.put([session(**different)])

    answer = await api.get(f"{PATH}/1/events")

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_kept")


async def test_a_call_that_is_not_there_is_not_found(api):
    answer = await api.get(f"{PATH}/none/request")

    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "there is no completion 'none'")
