"""What records of other programs need on their way in: an id of their own, typed values, tokens, a preview.

An id is made of the source, its own id and its time, so that the same row is the same record however often it comes. A
value of the wrong type is as unknown as one that is absent.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from uuid import UUID

from llm_proxy.model.completion import PREVIEW_CHARACTERS, Context, Cost, CostSource, JsonObject, JsonValue, Usage
from llm_proxy.model.cost_json import MAX_DIGITS_TOLD, is_writable
from llm_proxy.model.exchange import Endpoint

#: Where each endpoint is, of programs that do not tell; and as what the records show its calls.
PATHS = {
    Endpoint.CHAT: "/v1/chat/completions",
    Endpoint.TEXT: "/v1/completions",
    Endpoint.EMBEDDINGS: "/v1/embeddings",
    Endpoint.RESPONSES: "/v1/responses",
}
KINDS = {Endpoint.CHAT: "chat", Endpoint.RESPONSES: "chat", Endpoint.TEXT: "prompt", Endpoint.EMBEDDINGS: "embedding"}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: The largest number that every store takes.
_MOST = 2**63 - 1
_ARROW = " → "
#: Read of a text for the preview: enough for a line even with much white space in it.
_READ_CHARACTERS = 4 * PREVIEW_CHARACTERS
#: The escape sequences of a prompt must not reach the terminal that shows a list.
_CONTROL_CHARACTERS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a record comes from; it stays with the record, as a tag and in its metadata."""

    #: As the commands call it: ``llm``, ``helicone``, ``litellm``.
    source: str
    #: Its id there.
    source_id: str
    started_at: datetime

    def new_id(self) -> str:
        """A UUIDv7 (RFC 9562 section 5.7) whose time is ``started_at`` and whose random bits are not random."""
        key = f"{self.source}\0{self.source_id}".encode("utf-8", "surrogatepass")
        bits = int.from_bytes(blake2b(key, digest_size=10).digest())
        milliseconds = max(0, (self.started_at - _EPOCH) // timedelta(milliseconds=1))
        high = milliseconds << 16 | 0x7 << 12 | bits >> 62 & 0xFFF
        return str(UUID(int=high << 64 | 0b10 << 62 | bits & (2**62 - 1)))

    def context(
        self,
        *,
        facts: JsonObject,
        tags: Iterable[str] = (),
        session_id: str | None = None,
        session_name: str | None = None,
        user_id: str | None = None,
        metadata: JsonObject | None = None,
    ) -> Context:
        """Whose call it was; ``facts``, for which a record has no place, are in its metadata as ``imported``."""
        imported: JsonObject = {"from": self.source, "id": self.source_id}
        imported |= {name: value for name, value in facts.items() if value not in (None, "", [], {})}
        return Context(
            tags=tuple(dict.fromkeys([*tags, f"imported:{self.source}"])),
            session_id=session_id,
            session_name=session_name,
            user_id=user_id,
            metadata=(metadata or {}) | {"imported": imported},
        )


def text(value: JsonValue) -> str | None:
    """A string that is not empty."""
    return value if isinstance(value, str) and value else None


def count(value: JsonValue) -> int | None:
    """A whole number from 0 on, also as text."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST else None


def seconds(milliseconds: JsonValue) -> float | None:
    """A duration that is told in milliseconds, as a number or text."""
    if isinstance(milliseconds, str):
        try:
            milliseconds = float(milliseconds)
        except ValueError:
            return None
    is_number = isinstance(milliseconds, int | float) and not isinstance(milliseconds, bool)
    return milliseconds / 1000 if is_number and 0 <= milliseconds < float("inf") else None  # type: ignore[operator]


def moment(value: JsonValue) -> datetime | None:
    """A time in ISO 8601, with a T or a blank; without an offset it is UTC, as databases export it."""
    try:
        time = datetime.fromisoformat(value.strip()) if isinstance(value, str) else None
        return None if time is None else time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def parsed(value: JsonValue) -> JsonValue:
    """A value of a column that holds JSON: as it is, or written as text, once or twice over; None for an empty one."""
    for _ in range(2):
        if not isinstance(value, str):
            break
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value if value not in ({}, [], "") else None


def object_of(value: JsonValue) -> JsonObject:
    """The object of a column that holds JSON; empty if it holds another thing."""
    value = parsed(value)
    return value if isinstance(value, dict) else {}


def usage_of(raw: JsonObject) -> Usage | None:
    """The tokens of a provider's usage object, in the spelling of OpenAI or Anthropic; None if it is empty."""
    if not raw:
        return None
    of_input = object_of(raw.get("prompt_tokens_details")) or object_of(raw.get("input_tokens_details"))
    of_output = object_of(raw.get("completion_tokens_details")) or object_of(raw.get("output_tokens_details"))
    input_tokens = count(raw.get("prompt_tokens", raw.get("input_tokens")))
    cached = count(of_input.get("cached_tokens"))
    if "cache_read_input_tokens" in raw and "prompt_tokens" not in raw and input_tokens is not None:
        # Anthropic does not count cached ones among the input; here they are part of it.
        cached = count(raw["cache_read_input_tokens"])
        input_tokens += (cached or 0) + (count(raw.get("cache_creation_input_tokens")) or 0)
    return Usage(
        input_tokens=input_tokens,
        output_tokens=count(raw.get("completion_tokens", raw.get("output_tokens"))),
        total_tokens=count(raw.get("total_tokens")),
        cached_input_tokens=cached,
        reasoning_output_tokens=count(of_output.get("reasoning_tokens")),
        raw=raw,
    )


def cost_of(usd: JsonValue) -> Cost | None:
    """What the other program says that a call cost, as a number or text; 0 stands for unknown."""
    if isinstance(usd, bool) or not isinstance(usd, int | float | str):
        return None
    try:
        amount = Decimal(str(usd).strip())
    except InvalidOperation:
        return None
    if not amount or not is_writable(amount, digits=MAX_DIGITS_TOLD):
        return None
    return Cost(usd=amount, source=CostSource.REPORTED)


def preview_of(request: JsonValue, response: JsonValue) -> str | None:
    """The last question and the answer to it on one line, each with half of it if both are long; None without both."""
    question, reply = _one_line(_question(request)), _one_line(_reply(response))
    if not question or not reply:
        return _cut(question or reply, PREVIEW_CHARACTERS) or None
    room = PREVIEW_CHARACTERS - len(_ARROW)
    question = _cut(question, max(room // 2, room - len(reply)))
    return question + _ARROW + _cut(reply, room - len(question))


def finish_reasons_of(response: JsonValue) -> tuple[str, ...]:
    """One per choice that tells it."""
    return tuple(reason for choice in _choices(response) if (reason := text(choice.get("finish_reason"))))


def stream_of(request: JsonValue) -> bool | None:
    """Whether a stream was asked for; None if the request is unknown."""
    return request.get("stream") is True if isinstance(request, dict) else None


def _question(request: JsonValue) -> str:
    if not isinstance(request, dict):
        return ""
    messages = request.get("messages") or request.get("input") or request.get("prompt")
    if not isinstance(messages, list):
        return _content(messages)
    spoken = [message for message in reversed(messages) if isinstance(message, dict)]
    by_user = next((message for message in spoken if message.get("role") == "user"), spoken[0] if spoken else {})
    return _content(by_user.get("content"))


def _reply(response: JsonValue) -> str:
    if not isinstance(response, dict):
        return ""
    if not (choices := _choices(response)):
        return _content(response.get("content") or response.get("output_text"))  # Anthropic, and responses of OpenAI
    message = object_of(choices[0].get("message"))
    calls = message.get("tool_calls")
    called = ", ".join(map(_call, calls)) if isinstance(calls, list) else ""
    return _content(message.get("content") or choices[0].get("text")) or called


def _call(call: JsonValue) -> str:
    function = object_of(object_of(call).get("function"))
    return f"{text(function.get('name')) or ''}({text(function.get('arguments')) or ''})"


def _choices(response: JsonValue) -> list[JsonObject]:
    choices = response.get("choices") if isinstance(response, dict) else None
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def _content(content: JsonValue) -> str:
    if isinstance(content, str):
        return content
    parts = content[:100] if isinstance(content, list) else []
    return " ".join(said for part in parts if (said := text(part.get("text") if isinstance(part, dict) else part)))


def _one_line(long: str) -> str:
    return " ".join(long[:_READ_CHARACTERS].split()).translate(_CONTROL_CHARACTERS)


def _cut(line: str, characters: int) -> str:
    return line if len(line) <= characters else line[: characters - 1] + "…"
