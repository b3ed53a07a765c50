r"""The query language of the filter bar: words like ``model:gpt-4o tag:nightly since:2h``, all of which must hold.

A value with spaces stands in quotation marks, in which ``\"`` and ``\\`` are what they look like. A word that is not
understood is refused and named: a filter that is not applied would be a wrong answer. Pure functions.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches

from llm_proxy.model.completion import Status
from llm_proxy.model.query import CompletionQuery, Cursor, parse_time

#: Longer ones are nobody's filter.
MAX_CHARACTERS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A word of the language."""

    example: str
    #: What a call must be for it to hold, as the documentation and the help say it.
    meaning: str
    #: Whether it may be given more than once.
    repeated: bool = False


WORDS = {
    "model": Known(example="model:gpt-4o", meaning="asked for this model, or was answered by it"),
    "tag": Known(example="tag:nightly", meaning="has this tag; given more than once, all of them", repeated=True),
    "status": Known(example="status:failed", meaning="is `running`, `finished` or `failed`"),
    "user": Known(example="user:u-17", meaning="is of this user"),
    "session": Known(example="session:s-42", meaning="is of this session, by its id"),
    "trace": Known(example="trace:0af7651916cd43dd8448eb211c80319c", meaning="is of this trace"),
    "since": Known(example="since:2h", meaning="started so long ago or later: `15m`, `2h`, `7d` or a time in ISO 8601"),
    "until": Known(example="until:2026-01-31", meaning="started before that, said in the same way"),
    "text": Known(example='text:"capital of France"', meaning="has this text in its request or answer, in any case"),
}
#: What other products, and our own command line, call these.
_ALSO = {"tags": "tag", "search": "text", "from": "since", "to": "until", "before": "until", "after": "since"}
_STATUSES = {"running": Status.STARTED, **{status.value: status for status in Status}}
_UNSUPPORTED = {
    "latency": "the store has no index by latency",
    "cost": "the store has no index by cost",
}
_WORD = re.compile(
    r"""(?P<key>[^\s:"]+):(?:"(?P<quoted>(?:[^"\\]|\\.)*)"(?=\s|\Z)|(?P<plain>[^\s"]\S*)?(?=\s|\Z)) | (?P<stray>\S+)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Filter:
    """Words that all must hold, as name and value, in the order in which they were written."""

    words: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """The filter as it is written in the bar."""
        return " ".join(f"{key}:{_quoted(value)}" for key, value in self.words)

    def also(self, key: str, value: str) -> "Filter":
        """The filter with one word more, in place of one that may not stand beside it."""
        others = (word for word in self.words if word != (key, value) and (WORDS[key].repeated or word[0] != key))
        return Filter((*others, (key, value)))

    def value(self, key: str) -> str | None:
        """What was given for a word that is there at most once."""
        return dict(self.words).get(key)

    def query(self, organization_id: str, *, now: datetime, after: Cursor | None, limit: int) -> CompletionQuery:
        """What to ask the store; times that are told by how long ago they were are of ``now``."""
        since, until, status = self.value("since"), self.value("until"), self.value("status")
        return CompletionQuery(
            organization_id=organization_id,
            tags=tuple(value for key, value in self.words if key == "tag"),
            session_id=self.value("session"),
            user_id=self.value("user"),
            trace_id=self.value("trace"),
            model=self.value("model"),
            status=None if status is None else _STATUSES[status],
            since=None if since is None else parse_time(since, now=now),
            until=None if until is None else parse_time(until, now=now),
            search=self.value("text"),
            after=after,
            limit=limit,
        )


def parse(written: str, *, now: datetime) -> Filter:
    """The filter that ``written`` is. Raises ValueError, with a message that names the wrong word."""
    if len(written) > MAX_CHARACTERS:
        raise ValueError(f"the filter is longer than {MAX_CHARACTERS} characters")
    found = Filter()
    for match in _WORD.finditer(written):
        key, value = _word(match)
        if not WORDS[key].repeated and found.value(key) is not None:
            raise ValueError(f"{key}: is there twice, and a call has only one")
        _check(key, value, now)
        found = replace(found, words=(*(word for word in found.words if word != (key, value)), (key, value)))
    return found


def _word(match: re.Match[str]) -> tuple[str, str]:
    key, stray = match["key"], match["stray"]
    if stray is not None:
        raise ValueError(_about_stray(stray))
    if key not in WORDS:
        raise ValueError(_about_unknown(key))
    quoted = match["quoted"]
    value = match["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
    if not value:
        raise ValueError(f"{key}: has no value; write {WORDS[key].example}")
    return key, value


def _check(key: str, value: str, now: datetime) -> None:
    if key == "status" and value not in _STATUSES:
        near = get_close_matches(value, _STATUSES, n=1)
        hint = f"did you mean status:{near[0]}?" if near else f"there are {', '.join(_STATUSES)}"
        raise ValueError(f"status: there is no {value!r}; {hint}")
    if key in ("since", "until"):
        try:
            parse_time(value, now=now)
        except ValueError as exc:
            raise ValueError(f"{key}: {exc}") from exc


def _about_stray(stray: str) -> str:
    if '"' in stray:
        return f'in {stray!r} a quotation mark is not where a value begins or ends; within a value, write it as \\"'
    return f"{stray!r} is no word of a filter; to look for it in prompts and answers, write text:{stray}"


def _about_unknown(key: str) -> str:
    bare = key.lstrip("-!")
    if bare != key and bare in WORDS:
        return f"{key}: a filter says what calls are, not what they are not; there is only {bare}:"
    if key in _UNSUPPORTED:
        return f"{key}: cannot be filtered by: {_UNSUPPORTED[key]}"
    near = _ALSO.get(key.lower()) or next(iter(get_close_matches(key.lower(), WORDS, n=1)), None)
    hint = f"did you mean {near}:?" if near else f"there are {', '.join(f'{word}:' for word in WORDS)}"
    return f"{key}: is unknown; {hint}"


def _quoted(value: str) -> str:
    if not re.search(r"\s", value) and not value.startswith('"'):
        return value
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
