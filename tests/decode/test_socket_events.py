"""Events of a session as a page or a file shows them."""

import base64
import json
import time
from array import array
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Close, Frame, Opcode

from llm_proxy.decode.socket_events import SocketEvent, json_lines, session_events
from llm_proxy.model.completion import Bodies
from llm_proxy.model.exchange import Chunks

GIVEN = b'{"type":"session.update",\r\n "session": {"n": 1.50, "s": "\\u00e9"}}'


def frame(payload, opcode=Opcode.TEXT, *, by_client, extensions=()):
    return Frame(opcode, payload).serialize(mask=by_client, extensions=list(extensions))


def pieces(frames, times_us):
    return Chunks(times_us=array("Q", times_us), sizes=array("Q", map(len, frames)))


def session(client, server, *, sent_us=(), received_us=(), headers=()):
    return Bodies(
        request_body=b"".join(client),
        response_body=b"".join(server),
        response_headers=headers,
        sent=pieces(client, sent_us),
        chunks=pieces(server, received_us),
    )


def lines(bodies):
    return [json.loads(line) for line in b"".join(json_lines(session_events(bodies))).splitlines()]


def test_the_events_of_both_sides_stand_in_the_order_in_which_they_came():
    client = [frame(b'{"type":"a"}', by_client=True), frame(b'{"type":"c"}', by_client=True)]
    server = [frame(b'{"type":"b"}', by_client=False), frame(b'{"setupComplete":{},"x":1}', by_client=False)]
    bodies = session(client, server, sent_us=[1000, 3000], received_us=[2000, 4000])

    events = list(session_events(bodies))

    assert [(event.type, event.by_client, event.at_s, event.size) for event in events] == [
        ("a", True, 0.001, 12),
        ("b", False, 0.002, 12),
        ("c", True, 0.003, 12),
        ("setupComplete, x", False, 0.004, 26),
    ]


def test_a_line_has_what_was_said_byte_for_byte_but_for_its_line_breaks():
    said = session([frame(GIVEN, by_client=True)], [], sent_us=[1000])

    (line,) = json_lines(session_events(said))

    assert b'"event":' + GIVEN.replace(b"\r\n", b"  ") + b"}\n" in line
    assert line.count(b"\n") == 1
    assert json.loads(line)["bytes"] == len(GIVEN)


def test_what_is_no_json_and_what_controls_the_session_has_a_line_too():
    server = [
        frame(b"plain \xff", by_client=False),
        frame(b"\x00\x01", Opcode.BINARY, by_client=False),
        frame(b'{"type":"x"}', Opcode.BINARY, by_client=False),
        frame(b"?", Opcode.PING, by_client=False),
        frame(Close(1011, "broken").serialize(), Opcode.CLOSE, by_client=False),
    ]

    text, binary, message, ping, close = lines(session([], server, received_us=range(5)))

    assert (text["type"], text["text"]) == ("text", "plain \ufffd")
    assert (binary["type"], base64.b64decode(binary["base64"])) == ("binary", b"\x00\x01")
    assert (message["type"], message["event"]) == ("x", {"type": "x"})
    assert (ping["type"], base64.b64decode(ping["base64"])) == ("ping", b"?")
    assert (close["type"], close["code"], close["reason"]) == ("close", 1011, "broken")
    assert {one["by"] for one in (text, binary, message, ping, close)} == {"upstream"}


def test_what_was_deflated_is_read_as_it_was_before():
    deflate = PerMessageDeflate(False, False, 15, 15)
    server = [frame(b'{"type":"same"}', by_client=False, extensions=[deflate]) for _ in range(3)]
    headers = (("Sec-WebSocket-Extensions", "permessage-deflate"),)

    events = lines(session([], server, received_us=[1, 2, 3], headers=headers))

    assert [event["event"] for event in events] == [{"type": "same"}] * 3


def test_a_part_of_a_huge_session_is_made_without_reading_the_rest():
    said = frame(json.dumps({"type": "input_audio_buffer.append", "audio": "A" * 16_000}).encode(), by_client=True)
    count = 100 * 2**20 // len(said)
    bodies = Bodies(
        request_body=said * count,
        sent=Chunks(times_us=array("Q", range(count)), sizes=array("Q", [len(said)] * count)),
    )

    began = time.process_time()
    events = list(session_events(bodies))
    last = [event.type for event in islice(events, count - 100, None)]
    took_s = time.process_time() - began

    assert len(events) == count
    assert last == ["input_audio_buffer.append"] * 100
    assert all(isinstance(event, SocketEvent) for event in events)
    assert took_s < 5  # some hundredths of a second, if no payload is touched that nobody asks for


@given(st.binary(), st.binary(), st.booleans())
def test_no_bytes_are_too_much(sent, received, deflated):
    headers = (("Sec-WebSocket-Extensions", "permessage-deflate"),) if deflated else ()
    bodies = session([sent], [received], sent_us=[1], received_us=[2], headers=headers)

    for line in json_lines(session_events(bodies)):
        assert json.loads(line)["bytes"] >= 0
