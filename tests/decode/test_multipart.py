import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decode.exchanges import exchange_of
from decode.forms import HEADERS, form
from llm_proxy.decode.body import read_call
from llm_proxy.decode.multipart import is_form, read_form, read_upload
from llm_proxy.model.exchange import Endpoint

AUDIO = bytes(range(256)) * 4
BODY = form(("model", "whisper-1"), ("file", AUDIO, "a b.mp3", "audio/mpeg"), ("language", "de"))


def read(body: bytes, headers=HEADERS):
    exchange = exchange_of(Endpoint.FILES, request=body, request_headers=headers)
    return read_form(read_call(exchange, 2**20, request_is_json=False))


def test_fields_are_read_and_of_a_file_what_is_said_of_it():
    assert read(BODY) == {
        "model": "whisper-1",
        "file": {"filename": "a b.mp3", "content_type": "audio/mpeg", "bytes": 1024},
        "language": "de",
    }


def test_what_httpx_sends_is_read():
    request = httpx.Request(
        "POST",
        "http://x/",
        data={"model": "gpt-4o-transcribe", "timestamp_granularities[]": ["word", "segment"]},
        files={"file": ('grüß "dich".wav', AUDIO, "audio/wav")},
    )

    found = read(request.read(), tuple(request.headers.items()))

    assert found["model"] == "gpt-4o-transcribe"
    assert found["timestamp_granularities[]"] == ["word", "segment"]
    assert (found["file"]["content_type"], found["file"]["bytes"]) == ("audio/wav", 1024)
    assert "dich" in found["file"]["filename"]


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=b",
        'Multipart/Form-Data; charset=utf-8; boundary="b"',
        "multipart/form-data;boundary=b",
    ],
)
def test_the_boundary_is_read_in_each_of_its_spellings(content_type):
    body = b'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nm\r\n--b--'

    assert read(body, (("content-type", content_type),)) == {"model": "m"}


@pytest.mark.parametrize("headers", [(), (("Content-Type", None),), (("Content-Type", "multipart/form-data"),)])
def test_without_a_boundary_there_is_no_form(headers):
    assert read(BODY, headers) is None


def test_a_form_that_broke_off_at_any_byte_keeps_its_whole_fields_and_the_name_of_its_file():
    whole = read(BODY)

    for cut in range(len(BODY)):
        found = read(BODY[:cut]) or {}
        file = found.pop("file", whole["file"])
        assert found.items() <= whole.items()
        assert file in (whole["file"], whole["file"] | {"bytes": None})
    torn = read(BODY[: BODY.index(AUDIO) + 9])
    assert torn == {"model": "whisper-1", "file": whole["file"] | {"bytes": None}}


def test_a_long_value_is_cut():
    assert len(read(form(("prompt", "x" * 100_000)))["prompt"]) == 2**16


def test_a_request_that_is_no_form_is_read_as_json():
    call = read_upload(exchange_of(Endpoint.IMAGES, b"{}", request={"model": "m"}), 2**20)

    assert (call.request, is_form(call.exchange.request_headers)) == ({"model": "m"}, False)


def test_a_form_is_no_problem():
    call = read_upload(exchange_of(Endpoint.IMAGES, b"{}", request=BODY, request_headers=HEADERS), 2**20)

    assert (call.request["model"], call.problems) == ("whisper-1", ())


@given(
    st.lists(
        st.sampled_from([b"------Boundary7MA4YWxk", b"\r\n", b"--", b"name=", b'"a"', b"\x00", b": "]), max_size=30
    )
)
def test_a_form_of_random_pieces_never_raises(pieces):
    read(b"".join(pieces))
