r"""The query language of the filter bar: words like ``model:gpt-4o -tag:nightly latency:>2s``, all of which must hold.

A value with spaces stands in quotation marks, in which ``\"`` and ``\\`` are what they look like; ``-`` before a word
turns it round. A word that is not understood is refused and named: a filter that is not applied would be a wrong
answer. Pure functions.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from llm_proxy.model.completion import DEFAULT_ORGANIZATION
from llm_proxy.model.filter_words import NOT, STATUSES, WORDS, condition_of
from llm_proxy.model.query import CompletionQuery, Condition, Cursor, parse_time

#: Longer ones are nobody's filter.
MAX_CHARACTERS = 2000
#: What other products, and our own command line, call these.
_ALSO = {
    "tags": "tag", "search": "text", "from": "since", "to": "until", "before": "until", "after": "since",
    "duration": "latency", "price": "cost", "spend": "cost", "code": "http", "failure": "error", "host": "upstream",
}  # fmt: skip
#: Words by which the lists of the store are kept, if they stand for themselves.
_LISTED: dict[str, tuple[str, Callable[[str], Any]]] = {
    "model": ("model", str),
    "user": ("user_id", str),
    "session": ("session_id", str),
    "trace": ("trace_id", str),
    "status": ("status", lambda value: STATUSES[value]),
    "text": ("search", str),
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
        others = (word for word in self.words if word != (key, value) and (_is_repeated(key) or word[0] != key))
        return Filter((*others, (key, value)))

    def without(self, *keys: str) -> "Filter":
        """The filter but for these words."""
        return Filter(tuple(word for word in self.words if word[0] not in keys))

    def value(self, key: str) -> str | None:
        """What was given for a word that is there at most once."""
        return dict(self.words).get(key)

    def query(
        self,
        organization_id: str = DEFAULT_ORGANIZATION,
        *,
        project_id: str | None = None,
        now: datetime,
        after: Cursor | None,
        limit: int | None,
    ) -> CompletionQuery:
        """What to ask the store; times that are told by how long ago they were are of ``now``."""
        since, until = self.value("since"), self.value("until")
        listed = {
            name: read(value) for key, value in self.words for name, read in [_LISTED.get(key, ("", str))] if name
        }
        return CompletionQuery(
            organization_id=organization_id,
            project_id=project_id,
            tags=tuple(value for key, value in self.words if key == "tag"),
            since=None if since is None else parse_time(since, now=now),
            until=None if until is None else parse_time(until, now=now),
            conditions=tuple(self._conditions()),
            after=after,
            limit=limit,
            **listed,
        )

    def _conditions(self) -> Iterator[Condition]:
        for key, value in self.words:
            if key not in _LISTED and key not in ("tag", "since", "until"):
                yield condition_of(key, value)


def parse(written: str, *, now: datetime) -> Filter:
    """The filter that ``written`` is. Raises ValueError, with a message that names the wrong word."""
    if len(written) > MAX_CHARACTERS:
        raise ValueError(f"the filter is longer than {MAX_CHARACTERS} characters")
    found = Filter()
    for match in _WORD.finditer(written):
        key, value = _word(match)
        if not _is_repeated(key) and found.value(key) is not None:
            raise ValueError(f"{key}: is there twice, and a call has only one")
        _check(key, value, now)
        found = replace(found, words=(*(word for word in found.words if word != (key, value)), (key, value)))
    return found


def _is_repeated(key: str) -> bool:
    return key.startswith(NOT) or WORDS[key].repeated


def _word(match: re.Match[str]) -> tuple[str, str]:
    key, stray = match["key"], match["stray"]
    if stray is not None:
        raise ValueError(_about_stray(stray))
    bare = key.removeprefix(NOT)
    if bare not in WORDS:
        raise ValueError(_about_unknown(key, bare))
    if bare != key and not WORDS[bare].turns_round:
        raise ValueError(f"{key}: cannot be turned round; there is only {bare}:")
    quoted = match["quoted"]
    value = match["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
    if not value:
        raise ValueError(f"{key}: has no value; write {key.removesuffix(bare)}{WORDS[bare].example}")
    return key, value


def _check(key: str, value: str, now: datetime) -> None:
    bare = key.removeprefix(NOT)
    if bare == "status" and value not in STATUSES:
        near = get_close_matches(value, STATUSES, n=1)
        hint = f"did you mean status:{near[0]}?" if near else f"there are {', '.join(STATUSES)}"
        raise ValueError(f"status: there is no {value!r}; {hint}")
    try:
        if bare in ("since", "until"):
            parse_time(value, now=now)
        elif bare != "text":
            condition_of(key, value)
    except ValueError as exc:
        raise ValueError(f"{key}: {exc}") from exc


def _about_stray(stray: str) -> str:
    if '"' in stray:
        return f'in {stray!r} a quotation mark is not where a value begins or ends; within a value, write it as \\"'
    if measured := re.match(r"(\w+)([<>]=?)(\S+)", stray):
        bare, comparison, value = measured.groups()
        if bare in WORDS:
            return f"{stray!r} lacks a colon; write {bare}:{comparison}{value}"
    return f"{stray!r} is no word of a filter; to look for it in prompts and answers, write text:{stray}"


def _about_unknown(key: str, bare: str) -> str:
    bare = bare.lstrip("!")
    near = _ALSO.get(bare.lower()) or next(iter(get_close_matches(bare.lower(), WORDS, n=1)), None)
    hint = f"did you mean {NOT if bare != key else ''}{near}:?" if near else _all_words()
    return f"{key}: is unknown; {hint}"


def _all_words() -> str:
    return f"there are {', '.join(f'{word}:' for word in WORDS)}"


def _quoted(value: str) -> str:
    if not re.search(r"\s", value) and not value.startswith('"'):
        return value
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
