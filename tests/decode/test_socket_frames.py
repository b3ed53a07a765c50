import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Close, CloseCode, Frame, Opcode

from llm_proxy.decode.socket_frames import said_in

LIMIT = 2**20


def frame(opcode, payload=b"", *, mask=True, fin=True, extensions=()):
    return Frame(opcode, payload, fin).serialize(mask=mask, extensions=list(extensions))


@pytest.mark.parametrize("mask", [True, False])
def test_messages_are_put_together_of_their_fragments_and_pings_may_stand_between(mask):
    wire = (
        frame(Opcode.TEXT, b"one", mask=mask)
        + frame(Opcode.BINARY, b"t", mask=mask, fin=False)
        + frame(Opcode.PING, b"?", mask=mask)
        + frame(Opcode.CONT, b"w", mask=mask, fin=False)
        + frame(Opcode.CONT, b"o" * 70_000, mask=mask)
        + frame(Opcode.CLOSE, Close(CloseCode.NORMAL_CLOSURE, "bye").serialize(), mask=mask)
    )

    said = said_in(wire, [], by_client=mask, limit=LIMIT)

    assert [message.payload for message in said.messages] == [b"one", b"tw" + b"o" * 70_000]
    assert (said.close_code, said.close_reason) == (1000, "bye")


@pytest.mark.parametrize("forgets", [True, False])
def test_what_was_deflated_is_inflated_with_the_window_that_was_agreed_on(forgets):
    deflate = PerMessageDeflate(forgets, forgets, 15, 15)
    words = [b"the same again and again " * 40] * 3
    wire = b"".join(frame(Opcode.TEXT, word, mask=False, extensions=[deflate]) for word in words)
    agreed = ["permessage-deflate" + ("; server_no_context_takeover" if forgets else "")]

    said = said_in(wire, agreed, by_client=False, limit=LIMIT)

    assert [message.payload for message in said.messages] == words
    assert len(wire) < len(words[0])


def test_a_bomb_costs_no_more_than_the_limit_and_is_a_problem():
    wire = frame(Opcode.TEXT, bytes(10 * LIMIT), extensions=[PerMessageDeflate(False, False, 15, 15)])

    said = said_in(wire, ["permessage-deflate"], by_client=True, limit=1000)

    assert said.messages == []
    assert "longer than is read" in said.problem


def test_a_session_that_is_cut_off_anywhere_has_the_messages_that_were_whole():
    frames = [frame(Opcode.TEXT, b"x" * length) for length in (0, 5, 126, 200)]
    wire, ends = b"".join(frames), []
    for one in frames:
        ends.append((ends[-1] if ends else 0) + len(one))

    for cut in range(len(wire) + 1):
        said = said_in(wire[:cut], [], by_client=True, limit=LIMIT)
        assert [message.end for message in said.messages] == [end for end in ends if end <= cut]
        assert said.close_code is None


@given(st.binary(), st.booleans())
def test_no_bytes_raise(wire, deflated):
    said_in(wire, ["permessage-deflate"] if deflated else [], by_client=True, limit=LIMIT)


def test_a_close_without_a_code_is_one():
    said = said_in(frame(Opcode.CLOSE), [], by_client=True, limit=LIMIT)

    assert said.close_code == 1005


def test_masks_are_undone_whatever_the_length():
    for length in range(20):
        payload = random.Random(length).randbytes(length)
        said = said_in(frame(Opcode.BINARY, payload), [], by_client=True, limit=LIMIT)
        assert [message.payload for message in said.messages] == [payload]
