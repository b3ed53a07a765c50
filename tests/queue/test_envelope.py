import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_proxy.errors import EnvelopeUnreadable
from llm_proxy.model.exchange import Exchange
from llm_proxy.queue import envelope
from llm_proxy.queue.envelope import Fields, pack, unpack, unpacked_bytes
from queue_exchanges import any_exchange, exchange, incompressible


@given(any_exchange())
@settings(max_examples=200)
def test_any_exchange_comes_out_as_it_went_in(sent):
    assert unpack(pack(sent)) == sent


def test_the_envelope_has_every_field_of_an_exchange():
    fields = set(Exchange.__struct_fields__)

    assert set(Fields.__struct_fields__) | {"chunks", "sent"} == fields


def test_a_body_that_says_the_same_again_and_again_is_small():
    sent = exchange(response_body=b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n' * 1000)

    assert len(pack(sent)) < 1500


def test_a_body_of_fifty_megabytes_passes():
    sent = exchange(request_body=incompressible(50 * 2**20))

    packed = pack(sent)

    assert unpacked_bytes(packed[:32]) > 50 * 2**20
    assert unpack(packed) == sent


def test_an_envelope_with_fields_that_are_newer_than_this_program_is_read():
    now = envelope._Packed(envelope._PackedFields(**_fields(exchange(method="PUT"))), [], [])
    later = msgspec.msgpack.encode(
        [[*msgspec.to_builtins(now.fields, builtin_types=(bytes,)), "newer"], [], [], [], [], "newer"]
    )

    read = unpack(bytes([envelope.VERSION]) + envelope.zstd.compress(later))

    assert read.method == "PUT"


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (b"", "version none"),
        (b"\x02" + pack(exchange())[1:], "version 2"),
        (pack(exchange())[:40], "damaged"),
        (pack(exchange())[:-1] + b"\0", "damaged"),
        (b"\x01not compressed at all", "damaged"),
        (b"\x01" + envelope.zstd.compress(b"\x93\x01\x02\x03"), "damaged"),
    ],
    ids=["empty", "of another version", "cut off", "with a wrong end", "not compressed", "of another shape"],
)
def test_what_is_no_envelope_is_said_to_be_unreadable(damaged, reason):
    with pytest.raises(EnvelopeUnreadable, match=reason):
        unpack(damaged)


@given(st.binary(max_size=200))
def test_no_bytes_at_all_raise_anything_else(damaged):
    with pytest.raises(EnvelopeUnreadable):
        unpack(bytes([envelope.VERSION]) + damaged)


def test_a_small_envelope_that_claims_to_be_huge_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(envelope, "MAX_UNPACKED_BYTES", 1000)
    bomb = pack(exchange(response_body=bytes(10_000)))

    with pytest.raises(EnvelopeUnreadable, match="claims"):
        unpack(bomb)


def _fields(sent):
    return {name: getattr(sent, name) for name in Fields.__struct_fields__}
