"""Put the frames of one exchange together.

Never fails on what frames say: a payload that cannot be read leaves its part of the exchange unknown.
"""

import contextlib
from array import array
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypedDict, TypeVar

import msgspec

from llm_proxy.journal.format import (
    Answer,
    Closing,
    Frame,
    Kind,
    Opening,
    Timing,
    Tried,
    decode_answer,
    decode_closing,
    decode_opening,
    decode_tried,
)
from llm_proxy.model.exchange import Attempt, Chunks, Ending, Endpoint, Exchange, RecordedHeaders, id_text

_Payload = TypeVar("_Payload")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Length of the number in a SKIPPED frame.
_SKIPPED_BYTES = 4
_ENDPOINTS = {endpoint.value: endpoint for endpoint in Endpoint}
_ENDINGS = {ending.value: ending for ending in Ending}
_UNREADABLE = Opening(method="", target=b"", endpoint=Endpoint.OTHER, headers=[], bodies=False)


class Assembly:
    """One exchange, as far as its frames were read."""

    def __init__(self, opening: Frame, *, seen_at: float = 0.0) -> None:
        #: When its opening was read, on the monotonic clock of this process.
        self.seen_at = seen_at
        #: Whether it was delivered while it still ran.
        self.announced = False
        self._id = id_text(opening.exchange_id)
        self._started_at = _wall_time(opening.time_us)
        self._opening = _or_none(decode_opening, opening.payload) or _UNREADABLE
        #: Pieces of bodies; joined only in the end, since a body is mostly one piece, which need not be copied then.
        self._request: list[bytes] = []
        self._attempts: list[Attempt] = []
        self._answer: Answer | None = None
        self._first_byte_us: int | None = None
        self._response: list[bytes] = []
        self._response_bytes = 0
        self._times_us, self._sizes = array("Q"), array("Q")
        self._sent_times_us, self._sent_sizes = array("Q"), array("Q")
        self._closing: Closing | None = None
        self._last_us = 0
        self._damaged = False

    def add(self, frame: Frame) -> None:
        """Take the next frame of this exchange."""
        self._last_us = frame.time_us
        match frame.kind:
            case Kind.CHUNK:  # first, since a stream is made of them
                self._response.append(frame.payload)
                self._arrived(frame.time_us, len(frame.payload))
            case Kind.REQUEST:
                self._request.append(frame.payload)
            case Kind.ATTEMPT:
                if (tried := _or_none(decode_tried, frame.payload)) is not None:
                    self._attempts.append(_attempt(tried, frame.time_us))
            case Kind.RESPONSE:
                self._first_byte_us = frame.time_us
                self._answer = _or_none(decode_answer, frame.payload)
            case Kind.SKIPPED:
                self._arrived(frame.time_us, int.from_bytes(frame.payload[:_SKIPPED_BYTES], "little"))
            case Kind.SENT:
                self._request.append(frame.payload)
                self._went(frame.time_us, len(frame.payload))
            case Kind.SENT_SKIPPED:
                self._went(frame.time_us, int.from_bytes(frame.payload[:_SKIPPED_BYTES], "little"))
            case Kind.CLOSE:
                self._closing = _or_none(decode_closing, frame.payload) or _ABORTED

    def abort(self) -> None:
        """The writer died before it could say how this ended."""
        self._closing = _ABORTED

    def suffer(self) -> None:
        """A frame was damaged while this ran, and may have been its own: nobody knows."""
        self._damaged = True

    def exchange(self) -> Exchange:
        """What is known by now."""
        opening, answer, closing = self._opening, self._answer, self._closing
        answered = answer is not None or len(self._sizes) > 0
        timed = answer or closing
        elsewhere = answer if answer is not None and answer.upstream is not None else None
        return Exchange(
            id=self._id,
            started_at=self._started_at,
            method=opening.method,
            target=_text(opening.target),
            path_context=opening.path_context,
            endpoint=_ENDPOINTS.get(opening.endpoint, Endpoint.OTHER),  # else one of a newer version
            upstream=elsewhere.upstream if elsewhere else opening.upstream,
            provider=elsewhere.provider if elsewhere else opening.provider,
            client=opening.client,
            key_fingerprint=opening.key_fingerprint,
            organization_id=opening.organization_id,
            project_id=opening.project_id,
            key_id=opening.key_id,
            tags=opening.tags,
            attempts=tuple(self._attempts),
            request_headers=_headers(opening.headers),
            request_body=b"".join(self._request) if opening.bodies and opening.request_body else None,
            request_bytes=closing.request_bytes if closing else None,
            http_status=answer.status if answer else None,
            response_headers=_headers(answer.headers) if answer else (),
            response_body=b"".join(self._response) if answered and (self._keeps_response() or self._response) else None,
            response_bytes=self._response_bytes if answered else None,
            # Copies: of a call that still runs, more are to come.
            chunks=Chunks(times_us=self._times_us[:], sizes=self._sizes[:]),
            sent=Chunks(times_us=self._sent_times_us[:], sizes=self._sent_sizes[:]),
            ending=_ENDINGS.get(closing.ending, Ending.ABORTED) if closing else None,
            reason=closing.reason if closing else None,
            truncated=self._damaged or (closing is not None and closing.truncated),
            **_timings(timed.timing if timed else None, answer.connect_us if answer else None),
            first_byte_s=_seconds(self._first_byte_us),
            ended_s=_seconds(self._last_us) if closing else None,
        )

    def _keeps_response(self) -> bool:
        return self._opening.bodies and self._opening.response_body

    def _went(self, time_us: int, size: int) -> None:
        self._sent_times_us.append(time_us)
        self._sent_sizes.append(size)

    def _arrived(self, time_us: int, size: int) -> None:
        self._times_us.append(time_us)
        self._sizes.append(size)
        self._response_bytes += size


_ABORTED = Closing(ending=Ending.ABORTED, reason="the proxy process ended while the call ran")


def _attempt(tried: Tried, ended_us: int) -> Attempt:
    return Attempt(
        upstream=tried.upstream,
        provider=tried.provider,
        model=tried.model,
        started_s=tried.started_us / 1e6,
        ended_s=ended_us / 1e6,
        http_status=tried.status,
        failure=tried.failure,
        reason=tried.reason,
        **_timings(tried.timing, tried.connect_us),
        headers=_headers(tried.headers),
        body=tried.body,
        wait_s=_seconds(tried.wait_us),
    )


class _Timings(TypedDict, total=False):
    connect_s: float | None
    sent_s: float | None
    overhead_s: float | None
    queued_s: float | None
    dns_s: float | None
    tcp_s: float | None
    tls_s: float | None


def _timings(timing: Timing | None, connect_us: int | None) -> _Timings:
    """How it went out; ``connect_us`` is what an older version knew of that."""
    if timing is None:
        return {"connect_s": _seconds(connect_us)}
    steps_us = [us for us in (timing.dns_us, timing.tcp_us, timing.tls_us) if us is not None]
    return {
        "connect_s": _seconds(sum(steps_us) if steps_us else None),
        "sent_s": _seconds(timing.sent_us),
        "overhead_s": _seconds(timing.overhead_us),
        "queued_s": _seconds(timing.queued_us),
        "dns_s": _seconds(timing.dns_us),
        "tcp_s": _seconds(timing.tcp_us),
        "tls_s": _seconds(timing.tls_us),
    }


def _or_none(decode: Callable[[bytes], _Payload], payload: bytes) -> _Payload | None:
    try:
        return decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):  # ValueError: text that is no UTF-8
        return None


def _wall_time(time_us: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=time_us)
    except OverflowError:
        return _EPOCH


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")  # what HTTP says of bytes that are no ASCII (RFC 9110 section 5.5)


def _headers(headers: list[tuple[bytes, bytes | None]]) -> RecordedHeaders:
    with contextlib.suppress(UnicodeDecodeError):  # nearly always all is ASCII
        return tuple([(name.decode(), None if value is None else value.decode()) for name, value in headers])
    return tuple((_text(name), None if value is None else _text(value)) for name, value in headers)


def _seconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1e6
