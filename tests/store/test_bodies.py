"""Bodies come back from their blob as they went in, blobs are small, and search reads what is in them."""

import json
import random
from array import array
from dataclasses import replace

import pytest
from hypothesis import given

from llm_proxy.model.completion import Bodies
from llm_proxy.model.exchange import Chunks
from llm_proxy.model.json_text import encode_json
from llm_proxy.store.bodies import Packer, contains, search_needle, unpack
from records import BODIES, bodies

#: Text that does not compress to nothing.
PROSE = " ".join(random.Random(1).choices([f"word{number}" for number in range(1000)], k=1000))


@given(bodies)
def test_every_bodies_come_back_as_they_were(original):
    assert unpack(Packer().pack(original)) == original


def test_one_packer_packs_many():
    packer = Packer()

    blobs = [packer.pack(Bodies(request_body=PROSE.encode() * times)) for times in range(5)]

    assert [unpack(blob).request_body for blob in blobs] == [PROSE.encode() * times for times in range(5)]


def test_chunks_come_back_as_arrays_of_64_bits():
    chunks = Chunks(times_us=array("Q", [0, 2**64 - 1]), sizes=array("Q", [1, 2]))

    again = unpack(Packer().pack(Bodies(chunks=chunks))).chunks

    assert again == chunks
    assert (again.times_us.typecode, again.sizes.typecode) == ("Q", "Q")


@pytest.mark.parametrize("written", [encode_json, lambda value: json.dumps(value, indent=2).encode()])
def test_a_body_and_its_json_take_no_more_than_one_of_them(written):
    value = {"messages": [{"role": "user", "content": PROSE}]}
    alone = Packer().pack(Bodies(request_body=written(value)))

    both = Packer().pack(Bodies(request_body=written(value), request=value))

    assert len(both) < len(alone) + 100
    assert unpack(both).request == value


@pytest.mark.parametrize(
    ("text", "found"),
    [("paris", True), ("capital of FRANCE", True), ("gpt-4o-2024", True), ("x-request-id", False), ("", True)],
)
def test_search_reads_the_decoded_request_and_response_alone(text, found):
    assert contains(Packer().pack(BODIES), search_needle(text)) is found


def test_search_finds_a_request_that_is_byte_for_byte_its_own_body():
    same = replace(BODIES, request_body=encode_json(BODIES.request), response=None)

    assert contains(Packer().pack(same), search_needle("capital of france"))


@pytest.mark.parametrize("text", ["", "text"])
def test_search_finds_nothing_where_nothing_was_decoded(text):
    blob = Packer().pack(Bodies(request_body=b"text", response_body=b"text"))

    assert not contains(blob, search_needle(text))


def test_search_finds_a_lone_surrogate():
    blob = Packer().pack(Bodies(request="before \udfff after"))

    assert contains(blob, search_needle("BEFORE \udfff"))
