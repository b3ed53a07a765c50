"""Records as people read them, on pages and on terminals.

Unknown is an en dash, never 0. Every text that comes from a record has gone through ``visible``: it holds no control
character, so it can neither steer a terminal nor turn the reading direction of what stands beside it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal

from llm_proxy.model.completion import Completion, Context, Cost, JsonValue, Status, Usage
from llm_proxy.model.cost_json import decimal_text
from llm_proxy.model.exchange import Attempt, RecordedHeaders

DASH = "\u2013"
_REPLACEMENT = "\ufffd"
#: Control characters of ASCII as their pictures; the rest that steers and is not seen as U+FFFD: C1, the marks that
#: embed, override and isolate directions (Unicode Standard Annex 9), line and paragraph separators, lone surrogates.
_PICTURES = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}
_STEERING = (
    *range(0x80, 0xA0),
    0x061C,
    *range(0x200E, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
    *range(0xD800, 0xE000),
)
_ONE_LINE = _PICTURES | dict.fromkeys(_STEERING, _REPLACEMENT)
_LINES = {code: shown for code, shown in _ONE_LINE.items() if code not in (0x09, 0x0A)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A record in a list."""

    id: str
    time: str
    #: For machines.
    iso_time: str
    status: Status
    #: What failed, and why; None unless something did.
    failure: str | None
    model: str
    tags: tuple[str, ...]
    #: Its name, or else its id.
    session: str
    session_id: str | None
    input_tokens: str
    output_tokens: str
    ttft: str
    duration: str
    cost: str
    user: str
    provider: str
    upstream: str
    endpoint: str
    trace: str
    key: str
    http_status: str
    speed: str
    #: What was said, or else which call it was.
    preview: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Facts of one record that belong together, as label and value."""

    title: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One direction of a call."""

    headers: tuple[tuple[str, str], ...]
    #: None if there is nothing to show.
    text: str | None
    #: Whether ``text`` is only the beginning.
    cut: bool


def row(completion: Completion, *, zone: tzinfo | None = None) -> Row:
    """``completion`` in a list; times are those of ``zone``, or else of this machine."""
    usage = completion.usage or Usage()
    context = completion.context
    return Row(
        id=completion.id,
        time=time(completion.started_at, zone=zone),
        iso_time=completion.started_at.isoformat(),
        status=completion.status,
        failure=failure(completion),
        model=text(completion.model or completion.response_model),
        tags=tuple(map(visible, context.tags)),
        session=text(context.session_name or context.session_id),
        session_id=context.session_id and visible(context.session_id),
        input_tokens=count(usage.input_tokens),
        output_tokens=count(usage.output_tokens),
        ttft=duration(completion.ttft_s),
        duration=duration(completion.duration_s),
        cost=dollars_about(completion.cost.usd if completion.cost else None),
        user=text(context.user_id),
        provider=text(completion.provider or completion.upstream),
        upstream=text(completion.upstream),
        endpoint=text(completion.endpoint.value),
        trace=text(context.trace_id),
        key=text(completion.key_fingerprint),
        http_status=DASH if completion.http_status is None else str(completion.http_status),
        speed=DASH if completion.tokens_per_s is None else f"{completion.tokens_per_s:,.1f}",
        preview=visible(completion.preview or f"{completion.method} {completion.path}"),
    )


def sections(completion: Completion, *, zone: tzinfo | None = None) -> tuple[Section, ...]:
    """All that is known of ``completion`` but its bodies."""
    attempts = () if completion.bodies is None else completion.bodies.attempts
    return (
        Section(title="Call", facts=_call(completion, zone)),
        Section(title="Belongs to", facts=_context(completion.context)),
        Section(title="Timing", facts=_timing(completion)),
        *([Section(title="Attempts", facts=_attempts(attempts))] if attempts else []),
        Section(title="Tokens", facts=_tokens(completion)),
        Section(title="Cost", facts=_cost(completion.cost or Cost())),
        Section(title="Recorded", facts=_recorded(completion)),
    )


def failure(completion: Completion) -> str | None:
    """What failed and why, in one line; None unless it did."""
    if completion.status is not Status.FAILED:
        return None
    return visible(": ".join(filter(None, (completion.failure_kind, completion.failure_reason)))) or "failed"


def body(decoded: JsonValue, raw: bytes | None, headers: RecordedHeaders, *, limit: int | None = None) -> Body:
    """A body as text of at most ``limit`` characters: its JSON, or else its bytes as UTF-8."""
    shown, cut = _beginning(decoded, raw, limit)
    return Body(
        headers=tuple((visible(name), text(value)) for name, value in headers),
        text=shown if shown is None else visible(shown, lines=True),
        cut=cut,
    )


def visible(recorded: str, *, lines: bool = False) -> str:
    """``recorded`` without anything that steers; with ``lines``, line feeds and tabs stay."""
    return recorded.translate(_LINES if lines else _ONE_LINE)


def text(value: str | None) -> str:
    """A text of one line."""
    return visible(value) if value else DASH


def count(number: int | None) -> str:
    """``12,345``."""
    return DASH if number is None else f"{number:,}"


def size(number: int | None) -> str:
    """``812 B``, ``1.2 kB``, ``50.0 MB``."""
    if number is None:
        return DASH
    if number < 1000:
        return f"{number} B"
    scaled, unit = number / 1000, 0
    while scaled >= 999.95:
        scaled, unit = scaled / 1000, unit + 1
    return f"{scaled:.1f} {('kB', 'MB', 'GB', 'TB', 'PB', 'EB')[unit]}"


def duration(seconds: float | None) -> str:
    """``0.4 ms``, ``412 ms``, ``1.25 s``, ``2 min 5 s``, ``1 h 2 min``."""
    if seconds is None:
        return DASH
    if seconds < 0.00995:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.995:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def dollars(amount: Decimal | None) -> str:
    """``$0.000065``, exactly."""
    if amount is None:
        return DASH
    digits = decimal_text(amount)
    return f"${digits.rstrip('0').rstrip('.') if '.' in digits else digits}"


def dollars_about(amount: Decimal | None) -> str:
    """``$1.25``, ``$0.0123``, ``$0.000065``: three digits that count, since a list is for comparing."""
    if amount is None or amount == 0 or amount >= 1:
        return DASH if amount is None else f"${amount:,.2f}"
    return dollars(amount.quantize(Decimal(1).scaleb(amount.adjusted() - 2)))


def time(at: datetime, *, zone: tzinfo | None = None) -> str:
    """``24 Nov 12:00:00`` in ``zone``, or else in the time zone of this machine."""
    return f"{at.astimezone(zone):%d %b %H:%M:%S}"


def _call(completion: Completion, zone: tzinfo | None) -> tuple[tuple[str, str], ...]:
    return (
        ("Status", completion.status.value),
        ("Ending", text(completion.ending)),
        ("Failure", failure(completion) or DASH),
        ("HTTP status", DASH if completion.http_status is None else str(completion.http_status)),
        ("Started", f"{completion.started_at.astimezone(zone):%Y-%m-%d %H:%M:%S.%f %Z}"),
        ("Request", visible(f"{completion.method} {completion.path}")),
        ("Model", text(completion.model)),
        ("Answered by", text(completion.response_model)),
        ("Streamed", _yes_or_no(completion.stream)),
        ("Provider", text(completion.provider)),
        ("Upstream", text(completion.upstream)),
        ("Client", text(completion.client)),
        ("Key", text(completion.key_fingerprint)),
        ("Id", text(completion.id)),
    )


def _context(context: Context) -> tuple[tuple[str, str], ...]:
    return (
        ("Tags", text(", ".join(context.tags))),
        (
            "Session, inferred" if context.session_inferred else "Session",
            text(" · ".join(filter(None, (context.session_name, context.session_id)))),
        ),
        ("User", text(context.user_id)),
        ("Trace", text(context.trace_id)),
        ("Metadata", text(", ".join(f"{name}={_scalar(value)}" for name, value in context.metadata.items()))),
        ("Notes", text("; ".join(context.notes))),
    )


def _timing(completion: Completion) -> tuple[tuple[str, str], ...]:
    return (
        ("Total", duration(completion.duration_s)),
        ("First token", duration(completion.ttft_s)),
        ("First byte", duration(completion.ttfb_s)),
        ("Connect", duration(completion.connect_s)),
        *_if_known(("… DNS", completion.dns_s), ("… TCP", completion.tcp_s), ("… TLS", completion.tls_s)),
        *_if_known(("Turn", completion.queued_s)),
        ("Our own part", duration(completion.overhead_s)),
        ("Longest gap", duration(completion.longest_gap_s)),
        ("Chunks", count(completion.chunk_count)),
        ("Tokens/s", DASH if completion.tokens_per_s is None else f"{completion.tokens_per_s:,.1f}"),
    )


def _if_known(*facts: tuple[str, float | None]) -> list[tuple[str, str]]:
    return [(label, duration(seconds)) for label, seconds in facts if seconds is not None]


def _attempts(attempts: Sequence[Attempt]) -> tuple[tuple[str, str], ...]:
    return tuple((f"{number}", _tried(attempt)) for number, attempt in enumerate(attempts, 1))


def _tried(attempt: Attempt) -> str:
    """``groq, llama-3: HTTP 429 after 300 ms, the next one 250 ms later``."""
    where = ", ".join(filter(None, (attempt.upstream, attempt.model)))
    took = duration(max(attempt.ended_s - attempt.started_s, 0))
    came = f"HTTP {attempt.http_status} after {took}" if attempt.failure is None else f"{attempt.failure} after {took}"
    if attempt.failure == "left_alone":
        came = "left alone"
    reason = f" ({attempt.reason})" if attempt.reason and attempt.failure != "left_alone" else ""
    later = "" if attempt.wait_s is None else f"; the next one {duration(attempt.wait_s)} later"
    return visible(f"{where}: {came}{reason}{later}")


def _tokens(completion: Completion) -> tuple[tuple[str, str], ...]:
    usage = completion.usage or Usage()
    return (
        ("Input", count(usage.input_tokens)),
        ("… cached", count(usage.cached_input_tokens)),
        ("… to cache", count(usage.cache_write_input_tokens)),
        ("… audio", count(usage.audio_input_tokens)),
        ("Output", count(usage.output_tokens)),
        ("… reasoning", count(usage.reasoning_output_tokens)),
        ("… spoken", count(usage.audio_output_tokens)),
        ("Total", count(usage.total_tokens)),
        *([("Counted by", "nobody: estimated by the text")] if usage.is_estimated else []),
        ("Finished by", text(", ".join(completion.finish_reasons))),
    )


def _cost(cost: Cost) -> tuple[tuple[str, str], ...]:
    parts = [
        (f"… {visible(part.name)}", f"{part.quantity:,} at {dollars(part.rate)} = {dollars(part.usd)}")
        for part in cost.parts
    ]
    prices = ": ".join(filter(None, (cost.version or cost.source, cost.entry)))
    return (
        ("Total", dollars(cost.usd)),
        *parts,
        ("By prices of", text(prices)),
        ("Unknown for", text(cost.reason)),
    )


def _recorded(completion: Completion) -> tuple[tuple[str, str], ...]:
    return (
        ("Request", size(completion.request_bytes)),
        ("Response", size(completion.response_bytes)),
        ("Truncated", _yes_or_no(completion.truncated)),
        ("Problem", text(completion.decode_problem)),
    )


def _yes_or_no(claim: bool | None) -> str:
    return DASH if claim is None else "yes" if claim else "no"


def _scalar(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _beginning(decoded: JsonValue, raw: bytes | None, limit: int | None) -> tuple[str | None, bool]:
    if decoded is None:
        whole = raw.decode(errors="replace") if raw else None
        return (whole, False) if whole is None or limit is None else (whole[:limit], len(whole) > limit)
    pieces: list[str] = []
    length = 0
    # Piece by piece, so that a page of a huge body costs no more than its beginning.
    for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(decoded):
        pieces.append(piece)
        length += len(piece)
        if limit is not None and length > limit:
            return "".join(pieces)[:limit], True
    return "".join(pieces), False
