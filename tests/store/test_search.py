"""Text is found wherever it is, and each piece of it is read once."""

import pytest
from msgspec.structs import replace

from llm_proxy.model.completion import Bodies
from llm_proxy.model.json_text import encode_json
from llm_proxy.store.bodies import Packer
from llm_proxy.store.search import Searcher, readable
from records import BODIES

LONG = {"messages": [{"role": "user", "content": "Where is the Straße? " + "x" * 600}]}


def found(original: Bodies | None, text: str) -> bool:
    searcher, packer = Searcher(text), Packer()
    if original is None:
        return searcher.matches(None, ())
    packed = packer.pack(original, "default")
    for link in packed.links:
        searcher.learn(link.piece_hash, packer.compress(link.piece))
    return searcher.matches(packed.blob, [link.piece_hash for link in packed.links])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("paris", True), ("capital of FRANCE", True), ("gpt-4o-2024", True), ("x-request-id", False), ("", True)],
)
def test_the_decoded_request_and_response_are_read_and_nothing_else(text, expected):
    assert found(BODIES, text) is expected


@pytest.mark.parametrize(("text", "expected"), [("STRASSE", True), ("is the\\", False), ("xxx", True), ("Lyon", False)])
def test_text_in_a_piece_is_found_in_whatever_way_it_was_written(text, expected):
    for body in (encode_json(LONG), encode_json(LONG).replace("ß".encode(), b"\\u00df"), b"coded"):
        assert found(Bodies(request_body=body, request=LONG), text) is expected


@pytest.mark.parametrize("text", ["", "text"])
def test_nothing_is_found_where_nothing_was_decoded(text):
    assert not found(Bodies(request_body=b"text", response_body=b"text"), text)
    assert not found(Bodies(request_body=encode_json(LONG)), "xxx")
    assert not found(None, text)


def test_a_lone_surrogate_is_found():
    assert found(Bodies(request="before \udfff after"), "BEFORE \udfff")


def test_a_gap_is_not_found():
    original = Bodies(request_body=encode_json(LONG), request=LONG)

    assert not found(original, '"')
    assert not found(original, "null")
    assert found(replace(original, response=None), "messages")


def test_a_piece_that_was_read_is_not_asked_for_again():
    searcher = Searcher("x")
    assert searcher.unknown([b"1", b"1"]) == [b"1"]

    searcher.learn(b"1", Packer().compress(b'{"a":"x"}'))

    assert searcher.unknown([b"1", b"2"]) == [b"2"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a " + "QUJD+/=" * 3 + "Z" * 1000 + " é", "a qujd+/=qujd+/=qujd+/=  é"),
        ("a " + "z" * 999 + "é" + "z" * 999, "a " + "z" * 999 + "é" + "z" * 999),
        ("\ud800" + "f0" * 500 + "\ud800", "\ud800 \ud800"),
    ],
)
def test_what_is_encoded_and_long_is_left_out_and_nothing_else(text, expected):
    assert readable(text) == expected
