"""Bodies come back from their blob and links as they went in, and little of them is stored twice."""

import json
import random
from array import array

import msgspec
import pytest
from hypothesis import given
from msgspec.structs import replace

from llm_proxy.model.completion import Bodies
from llm_proxy.model.exchange import Chunks
from llm_proxy.model.json_text import encode_json
from llm_proxy.store.bodies import Packed, Packer, decompress, searched_text, searched_texts, unpack
from records import BODIES, bodies

#: Text that does not compress to nothing.
PROSE = " ".join(random.Random(1).choices([f"word{number}" for number in range(1000)], k=1000))
ASKED = {"model": "m", "messages": [{"role": "user", "content": PROSE}, {"role": "user", "content": "and é?"}]}
WRITINGS = {"compact": encode_json, "spaced": lambda value: json.dumps(value, indent=2).encode()}


def pack(original: Bodies) -> Packed:
    return Packer().pack(original, "default")


def again(packed: Packed) -> Bodies:
    return unpack(packed.blob, [link.piece for link in packed.links])


@given(bodies)
def test_every_bodies_come_back_as_they_were(original):
    assert again(pack(original)) == original


def test_one_packer_packs_many_long_and_short_ones():
    packer, lengths = Packer(), [0, 1, 2, 40, 3, 41]  # times 8 KB

    packed = [packer.pack(Bodies(request_body=PROSE.encode() * times), "default") for times in lengths]

    assert [again(one).request_body for one in packed] == [PROSE.encode() * times for times in lengths]


def test_chunks_come_back_as_arrays_of_64_bits():
    chunks = Chunks(times_us=array("Q", [5, 2**64 - 1, 0]), sizes=array("Q", [1, 2, 3]))

    found = again(pack(Bodies(chunks=chunks))).chunks

    assert found == chunks
    assert (found.times_us.typecode, found.sizes.typecode) == ("Q", "Q")


@pytest.mark.parametrize("how", WRITINGS)
def test_what_others_repeat_is_in_the_links_alone(how):
    original = Bodies(request_body=WRITINGS[how](ASKED), request=ASKED)

    packed = pack(original)

    assert len(packed.blob) < 250
    assert PROSE.encode() in packed.links[0].piece
    assert packed.tip == packed.links[-1].hash
    assert again(packed) == original


@pytest.mark.parametrize("how", WRITINGS)
def test_a_body_and_its_json_take_no_more_than_one_of_them(how):
    alone = pack(Bodies(response_body=WRITINGS[how](ASKED)))

    both = pack(Bodies(response_body=WRITINGS[how](ASKED), response=ASKED))

    assert len(both.blob) < len(alone.blob) + 20
    assert again(both).response == ASKED


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"1", True),
        (b"1.0", 1),
        (b'{"a":1,"b":2}', {"b": 2, "a": 1}),
        (b'{"a":NaN}', {"a": None}),
        (b'{"a":"\\ud800"}', {"a": "\ufffd"}),
        (b"[1, 2", [1]),
        (b"", ""),
    ],
)
def test_json_that_its_body_does_not_say_is_kept_beside_it(body, value):
    found = again(pack(Bodies(request_body=body, request=value, response_body=body, response=value)))

    assert encode_json(found.request) == encode_json(found.response) == encode_json(value)
    assert (found.request_body, found.response_body) == (body, body)


def test_a_body_with_a_content_coding_is_kept_whole_and_its_json_is_shared():
    coded = Packer().compress(encode_json(ASKED))
    original = Bodies(request_body=coded, request=ASKED)

    packed = pack(original)

    assert PROSE.encode() in packed.links[0].piece
    assert again(packed) == original


def test_bodies_without_anything_to_share_have_no_tip():
    assert pack(BODIES).tip is None


def test_a_blob_of_the_first_step_of_the_schema_is_still_read():
    """Eight members: bodies, JSON (empty if it is the body), headers as JSON, times and sizes as 64-bit integers."""
    members = [
        b'{"a":1}', b"data: x", b"", b'{"b":2}', b'[["A",null]]', b"[]",
        (1000).to_bytes(8, "little") + (4000).to_bytes(8, "little"), (7).to_bytes(8, "little") * 2,
    ]  # fmt: skip
    blob = Packer().compress(msgspec.msgpack.encode(members))

    assert unpack(blob, ()) == Bodies(
        request_headers=(("A", None),),
        request_body=b'{"a":1}',
        response_body=b"data: x",
        request={"a": 1},
        response={"b": 2},
        chunks=Chunks(times_us=array("Q", [1000, 4000]), sizes=array("Q", [7, 7])),
    )
    assert searched_texts(blob) == (['{"a":1}', '{"b":2}'], False)


def test_what_is_searched_is_the_same_in_whatever_way_it_was_written():
    texts = [searched_texts(pack(Bodies(request_body=how(ASKED), request=ASKED)).blob) for how in WRITINGS.values()]
    pieces = [pack(Bodies(request_body=how(ASKED), request=ASKED)).links[0].piece for how in WRITINGS.values()]

    rest = '{"model":"m","messages":["",{"role":"user","content":"and é?"}]}'
    assert texts == [([rest], True)] * 2
    assert {searched_text(piece) for piece in pieces} == {encode_json(ASKED["messages"][:1]).decode()}


def test_links_are_searched_only_if_the_request_was_read_from_them():
    elsewhere = pack(Bodies(request_body=encode_json(ASKED), request={"other": 1}))
    not_at_all = pack(Bodies(request_body=encode_json(ASKED)))
    decoded = pack(Bodies(request_body=b"coded", request=ASKED))

    assert searched_texts(elsewhere.blob) == (['{"other":1}'], False)
    assert searched_texts(not_at_all.blob) == ([], False)
    assert searched_texts(decoded.blob)[1] is True


def test_a_piece_that_is_no_json_is_searched_as_text():
    assert searched_text(b'{"a":"\xff"}') == '{"a":"\ufffd"}'


def test_a_piece_comes_back_from_its_frame():
    assert decompress(Packer().compress(PROSE.encode())) == PROSE.encode()


def test_the_answer_is_not_cut():
    packed = pack(replace(BODIES, response_body=encode_json(ASKED), response=ASKED))

    assert packed.links == ()
