"""One call as it is understood and stored.

Unknown is None, never 0. ``request`` and ``response`` are in the provider's own JSON shape; a streamed answer is put
together into the shape that the same endpoint has without streaming. Unknown members are kept.
"""

import math
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

import msgspec
from msgspec import field

from llm_proxy.model.exchange import Attempt, Chunks, Ending, Endpoint, RecordedHeaders

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = dict[str, JsonValue]

#: The one organisation of a store on which no keys were made.
DEFAULT_ORGANIZATION = "default"
#: Characters of the text that lists show.
PREVIEW_CHARACTERS = 200


#: Member of the raw usage that says that nobody has counted the tokens, and how they were estimated.
ESTIMATED = "llm_proxy_estimated_by"


class Status(StrEnum):
    """The three states of the Log10 API."""

    STARTED = "started"
    FINISHED = "finished"
    FAILED = "failed"


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens as the provider counted them.

    ``input_tokens`` includes those that were read from a cache, those that were written to one and those of audio;
    ``output_tokens`` includes those of reasoning and of audio. A provider that counts them apart is brought to this.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_input_tokens: int | None = None
    reasoning_output_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    #: The provider's own object, untouched; for an estimate, ``ESTIMATED`` and its method.
    raw: JsonObject = field(default_factory=dict)

    @property
    def is_estimated(self) -> bool:
        """Whether nobody has counted these tokens."""
        return ESTIMATED in self.raw


class CostSource(StrEnum):
    """Where a price comes from."""

    #: Who made the call said so in a header.
    CALLER = "caller"
    #: The operator's own table.
    OVERRIDE = "override"
    #: The answer itself said what it cost, or the program that a record was imported from.
    REPORTED = "reported"
    #: The list prices of the package of that name.
    LIST = "genai-prices"
    #: One of the prices, of tokens that were estimated.
    ESTIMATE = "estimate"


class CostPart(msgspec.Struct, frozen=True, kw_only=True):
    """What one kind of consumption costs."""

    #: ``input``, ``cache_read``, ``output`` and so on.
    name: str
    quantity: int | Decimal
    #: USD for one of it.
    rate: Decimal
    usd: Decimal


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a call costs, or why that is not known."""

    #: None if it is not known; never 0 for that.
    usd: Decimal | None = None
    source: CostSource | None = None
    #: Of the source: a package's version, or the beginning of a file's SHA-256.
    version: str | None = None
    #: The entry of the source that was applied.
    entry: str | None = None
    #: Its sum is ``usd``; empty if only the sum is known.
    parts: tuple[CostPart, ...] = ()
    #: Why ``usd`` is None, as a word or two: ``unknown_model``, ``no_price_for:input_audio``.
    reason: str | None = None


class ProviderError(msgspec.Struct, frozen=True, kw_only=True):
    """The error object of an answer, whatever its HTTP status."""

    #: ``type`` or ``code`` of the provider's error object.
    kind: str | None
    message: str | None


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """What a decoder read out of the bytes of one exchange."""

    #: ``chat`` or ``prompt`` as in the Log10 API; ``embedding``, ``moderation``, ``image``, ``speech``,
    #: ``transcription``, ``file``, ``batch`` or ``token_count``; None for what is not decoded.
    kind: str | None = None
    #: The model that was asked for, and the one that the answer names.
    model: str | None = None
    response_model: str | None = None
    #: Whether a stream was asked for; None if the request could not be read.
    stream: bool | None = None
    request: JsonValue = None
    response: JsonValue = None
    usage: Usage | None = None
    #: One per choice, in the order of their index.
    finish_reasons: tuple[str, ...] = ()
    #: Beginning of the last user input and of the answer, on one line, for lists.
    preview: str | None = None
    #: When the first piece of content arrived, as an offset from the start of the exchange.
    first_token_s: float | None = None
    error: ProviderError | None = None
    #: Whether a stream reached its own end mark ([DONE], response.completed ...); None for what is no stream.
    stream_ended: bool | None = None
    #: Why something could not be decoded, in a sentence; the raw bytes are stored in any case.
    problem: str | None = None


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """Who and what a call belongs to."""

    tags: tuple[str, ...] = ()
    session_id: str | None = None
    #: Whether nobody said so, and the session was told by what the call continues.
    session_inferred: bool = False
    session_name: str | None = None
    user_id: str | None = None
    trace_id: str | None = None
    metadata: JsonObject = field(default_factory=dict)
    #: What was sent but dropped or cut, and why; one sentence each.
    notes: tuple[str, ...] = ()


class Turns(msgspec.Struct, frozen=True, kw_only=True):
    """What a conversation is recognised by: hashes up to answers of the model; see attribution/conversation.py."""

    #: Where this call ends.
    said: tuple[bytes, ...] = ()
    #: Where the calls before it may have ended, the last one last.
    prior: tuple[bytes, ...] = ()


class Bodies(msgspec.Struct, frozen=True, kw_only=True):
    """The heavy part of a record, read for one record at a time."""

    request_headers: RecordedHeaders = ()
    response_headers: RecordedHeaders = ()
    #: The bytes of the wire, still in their content encoding; None if not kept.
    request_body: bytes | None = None
    response_body: bytes | None = None
    request: JsonValue = None
    response: JsonValue = None
    chunks: Chunks = field(default_factory=Chunks)
    #: Where in a program the call was made, as a client library tells it: a list of frames. None if nobody did.
    stacktrace: JsonValue = None
    #: If there was more than one, all of them.
    attempts: tuple[Attempt, ...] = ()
    #: The pieces of ``request_body`` that were sent after a 101.
    sent: Chunks = field(default_factory=Chunks)


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the store. Durations and offsets in seconds, sizes in bytes."""

    id: str
    organization_id: str = DEFAULT_ORGANIZATION
    status: Status
    ending: Ending | None = None
    #: The ending, or the provider's error type; None unless failed.
    failure_kind: str | None = None
    failure_reason: str | None = None
    http_status: int | None = None
    provider: str | None = None
    upstream: str | None = None
    method: str
    #: Path and query, secrets blanked.
    path: str
    endpoint: Endpoint
    kind: str | None = None
    model: str | None = None
    response_model: str | None = None
    stream: bool | None = None
    context: Context = Context()
    client: str | None = None
    key_fingerprint: str | None = None
    started_at: datetime
    duration_s: float | None = None
    ttfb_s: float | None = None
    ttft_s: float | None = None
    connect_s: float | None = None
    longest_gap_s: float | None = None
    chunk_count: int | None = None
    usage: Usage | None = None
    #: None if nothing was there to be priced, or nobody has priced it.
    cost: Cost | None = None
    finish_reasons: tuple[str, ...] = ()
    preview: str | None = None
    request_bytes: int | None = None
    response_bytes: int | None = None
    truncated: bool = False
    decode_problem: str | None = None
    #: Of the organisation; None for a call of no project.
    project_id: str | None = None
    #: Of the key by which the call was made; None without one.
    key_id: str | None = None
    #: Whether somebody has changed the tags by hand: what is told later of the call leaves them then.
    tags_edited: bool = False
    #: How the request went out, as Exchange tells it.
    sent_s: float | None = None
    overhead_s: float | None = None
    queued_s: float | None = None
    dns_s: float | None = None
    tcp_s: float | None = None
    tls_s: float | None = None
    #: For the store to infer the session with; not stored itself. None if the session is known, or cannot be.
    turns: Turns | None = None
    #: None in lists.
    bodies: Bodies | None = None

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens of the answer for each second in which it came; None if nobody knows how many, or how long."""
        tokens = None if self.usage is None else self.usage.output_tokens
        if tokens is None or not self.duration_s:
            return None
        is_known = self.ttft_s is not None and self.ttft_s < self.duration_s
        speed = tokens / (self.duration_s - (self.ttft_s or 0) if is_known else self.duration_s)
        return speed if math.isfinite(speed) else None
