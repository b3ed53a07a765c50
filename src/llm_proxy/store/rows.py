"""A record as rows of the tables in sql.py, and back. The way there and back changes nothing.

What is empty or unknown is NULL. Lists and objects are compact JSON. What not every database takes in a text, U+0000
and lone surrogates, is escaped.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Any, TypeAlias, cast

import msgspec
from msgspec.structs import replace

from llm_proxy.errors import StoreRejected
from llm_proxy.model.completion import DEFAULT_ORGANIZATION, Completion, Context, Cost, JsonObject, Status, Turns, Usage
from llm_proxy.model.cost_json import cost_from_json, cost_json, decimal_text
from llm_proxy.model.exchange import Ending, Endpoint
from llm_proxy.model.json_text import decode_json, encode_json
from llm_proxy.store.bodies import Packer, unpack
from llm_proxy.store.content import Link

SqlValue: TypeAlias = "str | int | float | bool | bytes | None"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: U+001A, "substitute", and the four hexadecimal digits of the character that it stands for.
_SUBSTITUTE = "\x1a"
_UNSTORABLE = re.compile("[\x00\x1a\ud800-\udfff]")
_ESCAPED = re.compile("\x1a([0-9a-f]{4})")
#: Between the id of a record and its organisation; text that is escaped never holds it.
ORGANIZATION_MARK = f"{_SUBSTITUTE}/"
#: Named alike in the record and in its row.
_STEPS = ("sent_s", "overhead_s", "queued_s", "dns_s", "tcp_s", "tls_s")


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """What one record is in the tables; each row has the order of the columns of its table."""

    #: That of the tables, ``row_id``.
    id: str
    #: As it stands in the tables.
    organization_id: str
    status: Status
    completion: tuple[SqlValue, ...]
    tags: tuple[tuple[SqlValue, ...], ...]
    bodies: tuple[SqlValue, ...] | None
    #: What the bodies share with others.
    links: tuple[Link, ...]
    #: By which the session can be inferred; None if it is not to be.
    turns: Turns | None = None

    @property
    def started_at_us(self) -> int:
        """When the call began."""
        return cast("int", self.completion[_STARTED_AT_US])

    def within(self, session_id: str) -> "Rows":
        """The same, of an inferred session, as it stands in the tables."""
        columns = list(self.completion)
        columns[_SESSION_ID], columns[_SESSION_INFERRED] = session_id, True
        return replace(self, completion=tuple(columns))


#: Places in the row of a completion; its columns are those of sql.py behind the first one, the number of the change.
_STARTED_AT_US, _SESSION_ID, _SESSION_INFERRED = 2, 18, 52


def to_rows(completion: Completion, packer: Packer) -> Rows:
    """The rows of ``completion``, without the number of the change. Raises StoreRejected."""
    try:
        columns = _stored(_columns(completion))
        bodies = completion.bodies
        packed = None if bodies is None else packer.pack(bodies, completion.organization_id)
    except RecursionError as exc:
        raise StoreRejected(f"{completion.id}: its JSON is nested too deep to be stored") from exc
    key, (organization_id, started_at_us) = row_id(completion.id, completion.organization_id), columns[1:3]
    tags = dict.fromkeys(completion.context.tags)
    return Rows(
        id=key,
        organization_id=str(organization_id),
        status=completion.status,
        completion=(key, *columns[1:]),
        tags=tuple((key, storable(tag), organization_id, started_at_us) for tag in tags),
        bodies=None if packed is None else (key, packed.blob, packed.tip),
        links=() if packed is None else packed.links,
        turns=_scoped(completion),
    )


def _scoped(completion: Completion) -> Turns | None:
    """The turns of a call, so that they equal only those of the same organisation and key."""
    turns = completion.turns
    if turns is None or completion.context.session_id is not None:
        return None
    key = completion.key_id or completion.key_fingerprint or f"from {completion.client}"
    scope = _scope(completion.organization_id, key)

    def within(hashes: tuple[bytes, ...]) -> tuple[bytes, ...]:
        return tuple(blake2b(scope + one, digest_size=16).digest() for one in hashes)

    return Turns(said=within(turns.said), prior=within(turns.prior))


@lru_cache(maxsize=1024)
def _scope(organization_id: str, key: str) -> bytes:
    return blake2b(encode_json([organization_id, key]), digest_size=16).digest()


def to_completion(row: Mapping[Any, Any], pieces: Sequence[bytes] | None = None) -> Completion:
    """The record of a row of ``completions``; with its bodies if the row has their ``content``.

    ``pieces`` are those of their links; None if the bodies are not wanted.
    """
    row = {name: restored(value) if isinstance(value, str) else value for name, value in row.items()}
    blob = row.get("content")
    bodies = None if blob is None or pieces is None else unpack(blob, pieces)
    return Completion(
        id=_id(row["id"], row["organization_id"]),
        organization_id=row["organization_id"],
        status=Status(row["status"]),
        ending=None if row["ending"] is None else Ending(row["ending"]),
        failure_kind=row["failure_kind"],
        failure_reason=row["failure_reason"],
        http_status=row["http_status"],
        provider=row["provider"],
        upstream=row["upstream"],
        method=row["method"],
        path=row["path"],
        endpoint=Endpoint(row["endpoint"]),
        kind=row["kind"],
        model=row["model"],
        response_model=row["response_model"],
        stream=row["stream"],
        context=_context(row),
        client=row["client"],
        key_fingerprint=row["key_fingerprint"],
        started_at=from_micros(row["started_at_us"]),
        duration_s=row["duration_s"],
        ttfb_s=row["ttfb_s"],
        ttft_s=row["ttft_s"],
        connect_s=row["connect_s"],
        longest_gap_s=row["longest_gap_s"],
        **{name: row[name] for name in _STEPS},
        chunk_count=row["chunk_count"],
        usage=_usage(row),
        cost=_cost(row),
        finish_reasons=_texts(row["finish_reasons"]),
        preview=row["preview"],
        request_bytes=row["request_bytes"],
        response_bytes=row["response_bytes"],
        truncated=row["truncated"],
        decode_problem=row["decode_problem"],
        project_id=row["project_id"],
        key_id=row["key_id"],
        tags_edited=bool(row["tags_edited"]),
        bodies=bodies,
    )


def latest(batch: Iterable[Rows]) -> list[Rows]:
    """One of each id: the last one, or the last one that has ended."""
    chosen: dict[str, Rows] = {}
    for rows in batch:
        if rows.id not in chosen or rows.status is not Status.STARTED or chosen[rows.id].status is Status.STARTED:
            chosen[rows.id] = rows
    return list(chosen.values())


def to_micros(time: datetime) -> int:
    """An aware time as it stands in the tables."""
    return (time - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The way back, in UTC."""
    return _EPOCH + timedelta(microseconds=micros)


def row_id(completion_id: str, organization_id: str) -> str:
    """The id that a record has in the tables, where those of all organisations stand.

    The caller may choose the id of a record, and what one organisation chooses must not get in the way of another:
    beyond the default one, the organisation is part of it. Behind it, so that ids sort as before.
    """
    if organization_id == DEFAULT_ORGANIZATION:
        return storable(completion_id)
    return f"{storable(completion_id)}{ORGANIZATION_MARK}{storable(organization_id)}"


def owner(id_of_row: str) -> str:
    """Whose record has this id in the tables, as it stands there."""
    return id_of_row.rpartition(ORGANIZATION_MARK)[2] if ORGANIZATION_MARK in id_of_row else DEFAULT_ORGANIZATION


def original_id(id_of_row: str, organization_id: str) -> str:
    """The id that ``row_id`` made it of."""
    return _id(restored(id_of_row), organization_id)


def _id(restored_id: str, organization_id: str) -> str:
    if organization_id == DEFAULT_ORGANIZATION:
        return restored_id
    return restored_id.removesuffix(f"{ORGANIZATION_MARK}{organization_id}")


def storable(text: str) -> str:
    """``text`` as it stands in the tables."""
    return _UNSTORABLE.sub(lambda match: f"{_SUBSTITUTE}{ord(match[0]):04x}", text)


def restored(text: str) -> str:
    """The text that ``storable`` stored."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if _SUBSTITUTE in text else text


def _stored(values: tuple[SqlValue, ...]) -> tuple[SqlValue, ...]:
    # Nearly never is there something to escape, so one look at all of them is the fastest way to know; and nothing
    # that is printable is.
    texts = "".join([value for value in values if isinstance(value, str)])
    if texts.isprintable() or not _UNSTORABLE.search(texts):
        return values
    return tuple(storable(value) if isinstance(value, str) else value for value in values)


def _columns(completion: Completion) -> tuple[SqlValue, ...]:
    context, usage = completion.context, completion.usage or Usage()
    return (
        completion.id,
        completion.organization_id,
        to_micros(completion.started_at),
        completion.status.value,
        completion.ending.value if completion.ending else None,
        completion.failure_kind,
        completion.failure_reason,
        completion.http_status,
        completion.provider,
        completion.upstream,
        completion.method,
        completion.path,
        completion.endpoint.value,
        completion.kind,
        completion.model,
        completion.response_model,
        completion.stream,
        _json(context.tags),
        context.session_id,
        context.session_name,
        context.user_id,
        context.trace_id,
        _json(context.metadata),
        _json(context.notes),
        completion.client,
        completion.key_fingerprint,
        completion.duration_s,
        completion.ttfb_s,
        completion.ttft_s,
        completion.connect_s,
        completion.longest_gap_s,
        completion.chunk_count,
        usage.input_tokens,
        usage.output_tokens,
        usage.total_tokens,
        usage.cached_input_tokens,
        usage.reasoning_output_tokens,
        None if completion.usage is None else encode_json(usage.raw).decode(),
        _json(completion.finish_reasons),
        completion.preview,
        completion.request_bytes,
        completion.response_bytes,
        completion.truncated,
        completion.decode_problem,
        *_charged(usage, completion.cost),
        *_owned(completion),
    )


def _charged(usage: Usage, cost: Cost | None) -> tuple[SqlValue, ...]:
    """The columns that came with prices."""
    return (
        usage.cache_write_input_tokens,
        usage.audio_input_tokens,
        usage.audio_output_tokens,
        None if cost is None or cost.usd is None else decimal_text(cost.usd),
        None if cost is None else encode_json(cost_json(cost)).decode(),
    )


def _owned(completion: Completion) -> tuple[SqlValue, ...]:
    """The columns that came with keys for calls, and later."""
    return (
        completion.project_id,
        completion.key_id,
        completion.tags_edited or None,
        completion.context.session_inferred or None,
        *_timed(completion),
    )


def _timed(completion: Completion) -> tuple[SqlValue, ...]:
    """The columns that came with what each step took."""
    return (
        completion.sent_s,
        completion.overhead_s,
        completion.queued_s,
        completion.dns_s,
        completion.tcp_s,
        completion.tls_s,
    )


def _json(value: tuple[str, ...] | JsonObject) -> str | None:
    return encode_json(value).decode() if value else None


def _context(row: Mapping[str, Any]) -> Context:
    return Context(
        tags=_texts(row["tags"]),
        session_id=row["session_id"],
        session_inferred=bool(row["session_inferred"]),
        session_name=row["session_name"],
        user_id=row["user_id"],
        trace_id=row["trace_id"],
        metadata=_object(row["metadata"]),
        notes=_texts(row["notes"]),
    )


def _usage(row: Mapping[str, Any]) -> Usage | None:
    if row["usage"] is None:
        return None
    return Usage(
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        total_tokens=row["total_tokens"],
        cached_input_tokens=row["cached_input_tokens"],
        reasoning_output_tokens=row["reasoning_output_tokens"],
        cache_write_input_tokens=row["cache_write_input_tokens"],
        audio_input_tokens=row["audio_input_tokens"],
        audio_output_tokens=row["audio_output_tokens"],
        raw=_object(row["usage"]),
    )


def _cost(row: Mapping[str, Any]) -> Cost | None:
    return None if row["cost"] is None else cost_from_json(decode_json(row["cost"].encode()))


def _texts(json: str | None) -> tuple[str, ...]:
    return tuple(cast("list[str]", decode_json(json.encode()))) if json else ()


def _object(json: str | None) -> JsonObject:
    return cast("JsonObject", decode_json(json.encode())) if json else {}
