"""One call as the wire saw it: bytes and times, nothing understood.

Invariants: an exchange has at most one ending, and the first cause wins. Bodies are the bytes of the wire, still in
their content encoding. Times are offsets in seconds from ``started_at``, taken from one monotonic clock.
"""

from array import array
from datetime import datetime
from enum import StrEnum
from itertools import pairwise

import msgspec
import uuid_utils
from msgspec import field

#: Header names and values as recorded: order, case and duplicates of the wire; values that are not kept are None.
RecordedHeaders = tuple[tuple[str, str | None], ...]


class Ending(StrEnum):
    """How a call ended."""

    COMPLETE = "complete"
    #: A complete answer whose status is 400 or more.
    UPSTREAM_ERROR = "upstream_error"
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_BROKE_OFF = "upstream_broke_off"
    CLIENT_DISCONNECTED = "client_disconnected"
    #: The proxy answered by itself; nothing went upstream.
    REFUSED = "refused"
    #: The proxy died or was told to stop while the call ran.
    ABORTED = "aborted"


class Endpoint(StrEnum):
    """Which API was called; every one but ``OTHER`` has a decoder of its own."""

    CHAT = "chat.completions"
    TEXT = "completions"
    EMBEDDINGS = "embeddings"
    RESPONSES = "responses"
    MODERATIONS = "moderations"
    #: Generated, edited or varied.
    IMAGES = "images"
    SPEECH = "audio.speech"
    #: Also translations.
    TRANSCRIPTION = "audio.transcriptions"
    FILES = "files"
    BATCHES = "batches"
    #: Anthropic.
    MESSAGES = "messages"
    COUNT_TOKENS = "messages.count_tokens"
    #: Google, also streamed.
    GENERATE_CONTENT = "generate_content"
    #: AWS Bedrock, both also streamed.
    CONVERSE = "converse"
    INVOKE_MODEL = "invoke_model"
    #: Over a WebSocket, whoever's.
    REALTIME = "realtime"
    OTHER = "other"


class Chunks(msgspec.Struct, frozen=True, kw_only=True):
    """When each piece of a body arrived, and how long it was; the two arrays have one entry per piece."""

    #: Microseconds since the exchange began.
    times_us: "array[int]" = field(default_factory=lambda: array("Q"))
    #: Bytes.
    sizes: "array[int]" = field(default_factory=lambda: array("Q"))

    @property
    def longest_gap_s(self) -> float | None:
        """The longest wait between two pieces; None with fewer than two."""
        gaps = [after - before for before, after in pairwise(self.times_us)]
        return max(gaps) / 1e6 if gaps else None

    def arrival_s(self, offset: int) -> float | None:
        """When the byte at ``offset`` of the response body had arrived; None beyond its end."""
        end = 0
        for time_us, size in zip(self.times_us, self.sizes, strict=True):
            end += size
            if offset < end:
                return time_us / 1e6
        return None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One of several attempts to have a call answered. Offsets in seconds from the start of the exchange."""

    upstream: str
    provider: str | None = None
    #: That was asked for in place of the client's; None if it was left as it is.
    model: str | None = None
    started_s: float
    #: When the head of its answer had come, or it had failed.
    ended_s: float
    #: None if it had no answer.
    http_status: int | None = None
    #: ``upstream_unreachable``, ``upstream_timeout``, ``upstream_broke_off``, or ``left_alone`` if it was not made as
    #: the upstream had failed too often; None if it had an answer.
    failure: str | None = None
    reason: str | None = None
    connect_s: float | None = None
    headers: RecordedHeaders = ()
    #: Beginning of the body of a failure, in its content encoding; None if it was not kept, or is that of the exchange.
    body: bytes | None = None
    #: How long the next one was waited for; None if that was at once, or there was none.
    wait_s: float | None = None
    #: See Exchange; the overhead is that since this attempt began.
    sent_s: float | None = None
    overhead_s: float | None = None
    queued_s: float | None = None
    dns_s: float | None = None
    tcp_s: float | None = None
    tls_s: float | None = None


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One request and what became of it."""

    #: UUIDv7, made by the proxy; also the ``X-LLM-Proxy-Id`` of the answer.
    id: str
    #: Aware, UTC.
    started_at: datetime
    method: str
    #: Path and query as the client sent them, secrets in the query blanked.
    target: str
    #: What stood behind ``/~`` in the path, still percent-encoded; None without such a prefix.
    path_context: str | None = None
    endpoint: Endpoint = Endpoint.OTHER
    #: Name of the upstream in the configuration, and the provider it stands for.
    upstream: str | None = None
    provider: str | None = None
    #: Address of the client, without its port.
    client: str | None = None
    #: Keyed hash and last four characters of the client's credential.
    key_fingerprint: str | None = None
    request_headers: RecordedHeaders = ()
    #: None if bodies of this call are not kept.
    request_body: bytes | None = None
    #: Length on the wire, whether kept or not; None while the request is still arriving.
    request_bytes: int | None = None
    http_status: int | None = None
    response_headers: RecordedHeaders = ()
    response_body: bytes | None = None
    response_bytes: int | None = None
    chunks: Chunks = field(default_factory=Chunks)
    #: None while the call is in flight.
    ending: Ending | None = None
    #: What went wrong in a sentence, if something did.
    reason: str | None = None
    #: A kept body is shorter than what was relayed (size limit, or the journal could not be written).
    truncated: bool = False
    #: Name resolution, connect and TLS of the upstream connection; None if a pooled one was used or none was made.
    connect_s: float | None = None
    #: When the status line of the answer had arrived.
    first_byte_s: float | None = None
    #: When the ending was set.
    ended_s: float | None = None
    #: Whose key the call was made by; None without one.
    organization_id: str | None = None
    project_id: str | None = None
    key_id: str | None = None
    #: Those that the key gives to every call.
    tags: tuple[str, ...] = ()
    #: If there was more than one, all of them, the last one too; empty if there was only one.
    attempts: tuple[Attempt, ...] = ()
    #: The pieces of ``request_body`` that were sent after a 101, while the answer came.
    sent: Chunks = field(default_factory=Chunks)
    #: When the first byte of the request had left for the upstream; that of the last attempt, as all that follows.
    sent_s: float | None = None
    #: What the proxy needed for itself, from the last byte of the client's request to the first one that it sent:
    #: without the wait for a turn, the connection, and other attempts. None if it went out while it still came in.
    overhead_s: float | None = None
    #: The wait for a turn; None if it was at once.
    queued_s: float | None = None
    #: The parts of ``connect_s``: the name looked up (None for an address), TCP and the tunnel through an outgoing
    #: proxy, TLS. Over httpx the lookup is part of TCP.
    dns_s: float | None = None
    tcp_s: float | None = None
    tls_s: float | None = None


def new_id() -> str:
    """A fresh UUIDv7 in canonical text form: ids sort by the time they were made (RFC 9562 section 5.7)."""
    return str(uuid_utils.uuid7())


def id_text(id_bytes: bytes) -> str:
    """The text form of the 16 bytes of an id."""
    return str(uuid_utils.UUID(bytes=id_bytes))
