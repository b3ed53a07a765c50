"""Put the frames of one exchange together.

Never fails on what frames say: a payload that cannot be read leaves its part of the exchange unknown.
"""

from array import array
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

import msgspec

from llm_proxy.journal.format import (
    Answer,
    Closing,
    Frame,
    Kind,
    Opening,
    decode_answer,
    decode_closing,
    decode_opening,
)
from llm_proxy.model.exchange import Chunks, Ending, Endpoint, Exchange, RecordedHeaders

_Payload = TypeVar("_Payload")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNREADABLE = Opening(method="", target=b"", endpoint=Endpoint.OTHER, headers=[], bodies=False)


class Assembly:
    """One exchange, as far as its frames were read."""

    def __init__(self, opening: Frame) -> None:
        #: Whether it was delivered while it still ran.
        self.announced = False
        self._id = str(UUID(bytes=opening.exchange_id))
        self._started_at = _EPOCH + timedelta(microseconds=opening.time_us)
        try:
            self._opening = decode_opening(opening.payload)
        except msgspec.MsgspecError:
            self._opening = _UNREADABLE
        self._request = bytearray()
        self._answer: Answer | None = None
        self._first_byte_us: int | None = None
        self._response = bytearray()
        self._response_bytes = 0
        self._times_us, self._sizes = array("Q"), array("Q")
        self._closing: Closing | None = None
        self._last_us = 0

    def add(self, frame: Frame) -> None:
        """Take the next frame of this exchange."""
        self._last_us = frame.time_us
        match frame.kind:
            case Kind.REQUEST:
                self._request += frame.payload
            case Kind.RESPONSE:
                self._first_byte_us = frame.time_us
                self._answer = _or_none(decode_answer, frame.payload)
            case Kind.CHUNK:
                self._response += frame.payload
                self._arrived(frame.time_us, len(frame.payload))
            case Kind.SKIPPED:
                self._arrived(frame.time_us, int.from_bytes(frame.payload, "little"))
            case Kind.CLOSE:
                self._closing = _or_none(decode_closing, frame.payload) or _ABORTED

    def abort(self) -> None:
        """The writer died before it could say how this ended."""
        self._closing = _ABORTED

    def exchange(self) -> Exchange:
        """What is known by now."""
        opening, answer, closing = self._opening, self._answer, self._closing
        kept = opening.bodies
        return Exchange(
            id=self._id,
            started_at=self._started_at,
            method=opening.method,
            target=_text(opening.target),
            path_context=opening.path_context,
            endpoint=Endpoint(opening.endpoint),
            upstream=opening.upstream,
            provider=opening.provider,
            client=opening.client,
            key_fingerprint=opening.key_fingerprint,
            request_headers=_headers(opening.headers),
            request_body=bytes(self._request) if kept else None,
            request_bytes=closing.request_bytes if closing else None,
            http_status=answer.status if answer else None,
            response_headers=_headers(answer.headers) if answer else (),
            response_body=bytes(self._response) if answer and (kept or self._response) else None,
            response_bytes=self._response_bytes if answer else None,
            chunks=Chunks(times_us=self._times_us, sizes=self._sizes),
            ending=Ending(closing.ending) if closing else None,
            reason=closing.reason if closing else None,
            truncated=closing.truncated if closing else False,
            connect_s=_seconds(answer.connect_us) if answer else None,
            first_byte_s=_seconds(self._first_byte_us),
            ended_s=_seconds(self._last_us) if closing else None,
        )

    def _arrived(self, time_us: int, size: int) -> None:
        self._times_us.append(time_us)
        self._sizes.append(size)
        self._response_bytes += size


_ABORTED = Closing(ending=Ending.ABORTED, reason="the proxy process ended while the call ran")


def _or_none(decode: Callable[[bytes], _Payload], payload: bytes) -> _Payload | None:
    try:
        return decode(payload)
    except msgspec.MsgspecError:
        return None


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")  # what HTTP says of bytes that are no ASCII (RFC 9110 section 5.5)


def _headers(headers: list[tuple[bytes, bytes | None]]) -> RecordedHeaders:
    return tuple((_text(name), None if value is None else _text(value)) for name, value in headers)


def _seconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1e6
