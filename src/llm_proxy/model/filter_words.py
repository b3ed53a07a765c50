"""The words of the query language, each with what it means, and what one of them with its value asks of a call."""

import math
import re
from dataclasses import dataclass

from llm_proxy.model.completion import Status
from llm_proxy.model.exchange import Ending, Endpoint
from llm_proxy.model.query import NUMBERS, Attribute, Comparison, Condition

#: Before a word that must not hold.
NOT = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A word of the language."""

    example: str
    #: What a call must be for it to hold, as the documentation and the help say it.
    meaning: str
    #: Whether it may be given more than once.
    repeated: bool = False
    #: Whether it may have a ``-`` before it.
    turns_round: bool = True


WORDS = {
    "model": Known(example="model:gpt-4o", meaning="asked for this model, or was answered by it"),
    "tag": Known(example="tag:nightly", meaning="has this tag; given more than once, all of them", repeated=True),
    "status": Known(example="status:failed", meaning="is `running`, `finished` or `failed`"),
    "user": Known(example="user:u-17", meaning="is of this user"),
    "session": Known(example="session:s-42", meaning="is of this session, by its id"),
    "trace": Known(example="trace:0af7651916cd43dd8448eb211c80319c", meaning="is of this trace"),
    "project": Known(example="project:0af76519", meaning="is of this project, by its id"),
    "provider": Known(example="provider:openai", meaning="went to this provider"),
    "upstream": Known(example="upstream:default", meaning="went to the upstream of this name"),
    "key": Known(example="key:a1b2", meaning="was made with this key, by its fingerprint or the end of it"),
    "endpoint": Known(example="endpoint:chat.completions", meaning="used this API"),
    "ending": Known(example="ending:client_disconnected", meaning="ended in this way"),
    "error": Known(example="error:rate_limit_exceeded", meaning="failed with this kind of error"),
    "http": Known(example="http:>=500", meaning="got this HTTP status; also `>`, `>=`, `<`, `<=`", repeated=True),
    "latency": Known(example="latency:>2s", meaning="took longer (`>`, `>=`) or shorter (`<`, `<=`)", repeated=True),
    "ttft": Known(example="ttft:>=800ms", meaning="had its first token after so long", repeated=True),
    "tokens": Known(example="tokens:>1000", meaning="took so many tokens, both ways together", repeated=True),
    "input": Known(example="input:>1000", meaning="took so many input tokens", repeated=True),
    "output": Known(example="output:<10", meaning="took so many output tokens", repeated=True),
    "cost": Known(example="cost:>0.01", meaning="cost so much, in USD", repeated=True),
    "since": Known(
        example="since:2h",
        meaning="started so long ago or later: `15m`, `2h`, `7d` or a time in ISO 8601",
        turns_round=False,
    ),
    "until": Known(example="until:2026-01-31", meaning="started before that, said in the same way", turns_round=False),
    "text": Known(
        example='text:"capital of France"',
        meaning="has this text in its request or answer, in any case",
        turns_round=False,
    ),
}
#: Words that are about a session, user or trace as a whole, where such are listed.
SUMMED = {
    "calls": Known(example="calls:>10", meaning="has so many calls", repeated=True),
    "tokens": Known(example="tokens:>1000", meaning="took so many tokens, both ways together", repeated=True),
    "input": Known(example="input:>1000", meaning="took so many input tokens", repeated=True),
    "output": Known(example="output:<10", meaning="took so many output tokens", repeated=True),
    "cost": Known(example="cost:>0.01", meaning="cost so much, in USD", repeated=True),
}
#: Those of the lists of sessions, users and traces; the others are about one call of it.
GROUP_WORDS = SUMMED | {word: known for word, known in WORDS.items() if word not in SUMMED}
STATUSES = {"running": Status.STARTED, **{status.value: status for status in Status}}
_COMPARED = re.compile(r"(?P<comparison>>=|<=|>|<|=)?(?P<number>[^<>=].*)", re.DOTALL)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "": 1.0}
_THOUSANDS = {"k": 1e3, "m": 1e6, "": 1.0}
_SCALED = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?P<unit>[a-z]*)", re.IGNORECASE)
_COUNTED = frozenset({Attribute.TOKENS, Attribute.INPUT, Attribute.OUTPUT, Attribute.CALLS})
_TIMES = frozenset({Attribute.LATENCY, Attribute.TTFT})
#: Of what there are only so many.
_CHOICES: dict[Attribute, frozenset[str]] = {
    Attribute.ENDPOINT: frozenset(Endpoint),
    Attribute.ENDING: frozenset(Ending),
}


def condition_of(word: str, value: str) -> Condition:
    """What ``word`` with this value asks of a call. Raises ValueError, with a message that does not name the word."""
    of = Attribute(word.removeprefix(NOT))
    is_not = word.startswith(NOT)
    if of not in NUMBERS:
        choices = _CHOICES.get(of, frozenset({value}))
        if value not in choices:
            raise ValueError(f"there is no {value!r}; there are {', '.join(sorted(choices))}")
        text = STATUSES[value].value if of is Attribute.STATUS and value in STATUSES else value
        return Condition(of=of, comparison=Comparison.IS_NOT if is_not else Comparison.IS, value=text)
    written = _COMPARED.fullmatch(value)
    number = None if written is None else _number(of, written["number"])
    if written is None or number is None:
        raise ValueError(f"{value!r} is not understood; write {GROUP_WORDS[of.value].example}")
    if written["comparison"] is None and (of in _TIMES or of is Attribute.COST):
        raise ValueError(f"{value!r} says neither more nor less; write {of.value}:>{value} or {of.value}:<{value}")
    comparison = Comparison(written["comparison"] or Comparison.IS)
    return Condition(of=of, comparison=_turned(comparison) if is_not else comparison, value=number)


def _number(of: Attribute, text: str) -> float | None:
    found = _SCALED.fullmatch(text.lstrip("$") if of is Attribute.COST else text)
    units = _SECONDS if of in _TIMES else _THOUSANDS if of in _COUNTED else {"": 1.0}
    if found is None or found["unit"].lower() not in units:
        return None
    number = float(found["number"]) * units[found["unit"].lower()]
    # A number that no column can hold is compared with nothing.
    return number if math.isfinite(number) and number < 2**62 else None


def _turned(comparison: Comparison) -> Comparison:
    """Of a number that is known: one that is unknown is neither above nor below."""
    return {
        Comparison.IS: Comparison.IS_NOT,
        Comparison.ABOVE: Comparison.AT_MOST,
        Comparison.AT_LEAST: Comparison.BELOW,
        Comparison.BELOW: Comparison.AT_LEAST,
        Comparison.AT_MOST: Comparison.ABOVE,
    }[comparison]
