"""The binary event stream of AWS, in which Bedrock streams: frames with a length, headers and two checksums.

A frame is its length and that of its headers, 4 bytes each, the CRC-32 of those, headers, payload, and the CRC-32 of
all before it (https://smithy.io/2.0/aws/amazon-eventstream.html). Invariants: a frame whose checksum is wrong ends the
reading, since its length is no longer known; a frame that is cut off is left out and is no problem.
"""

import struct
from collections.abc import Iterable
from zlib import crc32

import msgspec

from llm_proxy.decode.body import media_type, parse_json, text_member
from llm_proxy.decode.sse import Event
from llm_proxy.model.exchange import RecordedHeaders

MEDIA_TYPE = "application/vnd.amazon.eventstream"
_PRELUDE = struct.Struct(">III")
_CRC = struct.Struct(">I")
_SHORT = struct.Struct(">H")
#: AWS allows 16 MiB of payload and 128 KiB of headers; a longer frame is none.
_MOST_BYTES = 24 * 2**20
#: Types of header values of a fixed length: true and false, integers, a timestamp, a UUID.
_FIXED_BYTES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_BYTES, _STRING = 6, 7


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One message of the stream."""

    #: Those that are strings; there are hardly others.
    headers: dict[str, str]
    payload: bytes
    #: Bytes of the stream up to and including this frame.
    end: int


def is_event_stream(headers: RecordedHeaders) -> bool:
    """Whether an answer is such a stream."""
    return media_type(headers) == MEDIA_TYPE


def parse_frames(stream: bytes) -> tuple[list[Frame], str | None]:
    """The frames of a stream, as far as they are whole, and what is wrong with the next one, if something is."""
    frames: list[Frame] = []
    start = 0
    while len(stream) - start >= _PRELUDE.size:
        length, headers_length, checksum = _PRELUDE.unpack_from(stream, start)
        headers_start, end = start + _PRELUDE.size, start + length
        if checksum != crc32(stream[start : headers_start - _CRC.size]):
            return frames, f"has a wrong checksum in the prelude of the frame at byte {start}"
        payload_start, payload_end = headers_start + headers_length, end - _CRC.size
        if length > _MOST_BYTES or payload_start > payload_end:
            return frames, f"has an impossible length in the frame at byte {start}"
        if end > len(stream):
            break
        if _CRC.unpack_from(stream, payload_end)[0] != crc32(stream[start:payload_end]):
            return frames, f"has a wrong checksum in the frame at byte {start}"
        headers = _headers(stream[headers_start:payload_start])
        if headers is None:
            return frames, f"has unreadable headers in the frame at byte {start}"
        frames.append(Frame(headers, stream[payload_start:payload_end], end))
        start = end
    return frames, None


def events_of(frames: Iterable[Frame]) -> list[Event]:
    """Each frame as an event of its type; an exception is an event called ``error`` with an error body."""
    return [_event(frame) for frame in frames]


def _event(frame: Frame) -> Event:
    headers = frame.headers
    match headers.get(":message-type"):
        case "exception":
            value, _ = parse_json(frame.payload, errors="replace")
            message = text_member(value, "message") or text_member(value, "Message")
            return _error(frame.end, headers.get(":exception-type"), message)
        case "error":
            return _error(frame.end, headers.get(":error-code"), headers.get(":error-message"))
    return Event(frame.payload, frame.end, headers.get(":event-type", ""))


def _error(end: int, kind: str | None, message: str | None) -> Event:
    return Event(msgspec.json.encode({"error": {"type": kind, "message": message}}), end, "error")


def _headers(raw: bytes) -> dict[str, str] | None:
    headers, at = {}, 0
    try:
        while at < len(raw):
            name_end = at + 1 + raw[at]
            name, kind, at = raw[at + 1 : name_end], raw[name_end], name_end + 1
            if kind in (_BYTES, _STRING):
                (length,) = _SHORT.unpack_from(raw, at)
                at += _SHORT.size
                if kind == _STRING:
                    headers[name.decode("utf-8", "replace")] = raw[at : at + length].decode("utf-8", "replace")
            else:
                length = _FIXED_BYTES[kind]
            at += length
    except (IndexError, KeyError, struct.error):
        return None
    return headers if at == len(raw) else None
