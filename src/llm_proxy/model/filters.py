r"""The query language of the filter bar: words like ``model:gpt-4o -tag:nightly latency:>2s``, all of which must hold.

A value with spaces stands in quotation marks, in which ``\"`` and ``\\`` are what they look like; ``-`` before a word
turns it round. A word that is not understood is refused and named: a filter that is not applied would be a wrong
answer. Lists of sessions, users and traces have the same words: one call must be what they say, the same for all of
them, none what a word with ``-`` says, and all together what the words about sums say. Pure functions.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from llm_proxy.model.completion import DEFAULT_ORGANIZATION
from llm_proxy.model.filter_words import GROUP_WORDS, NOT, STATUSES, SUMMED, WORDS, Known, condition_of
from llm_proxy.model.query import CompletionQuery, Condition, Cursor, Grouping, GroupQuery, parse_time

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
_TIMES = ("since", "until")
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

    def group_query(
        self,
        by: Grouping,
        organization_id: str = DEFAULT_ORGANIZATION,
        *,
        project_id: str | None = None,
        now: datetime,
        after: Cursor | None = None,
    ) -> GroupQuery:
        """Which sessions, users or traces to ask the store for; see ``query``."""
        times = self.query(now=now, after=None, limit=None)
        of_calls = [(key, value) for key, value in self.words if key.removeprefix(NOT) not in (*SUMMED, *_TIMES)]
        some = Filter(tuple(word for word in of_calls if not word[0].startswith(NOT)))
        nots = ((key.removeprefix(NOT), value) for key, value in of_calls if key.startswith(NOT))
        return GroupQuery(
            organization_id=organization_id,
            project_id=project_id,
            by=by,
            since=times.since,
            until=times.until,
            some=some.query(now=now, after=None, limit=None) if some.words else None,
            none=tuple(condition_of(key, value) for key, value in nots),
            sums=tuple(condition_of(key, value) for key, value in self.words if key.removeprefix(NOT) in SUMMED),
            after=after,
        )

    def _conditions(self) -> Iterator[Condition]:
        for key, value in self.words:
            if key not in _LISTED and key not in ("tag", *_TIMES):
                yield condition_of(key, value)


def parse(written: str, *, now: datetime, words: Mapping[str, Known] = WORDS) -> Filter:
    """The filter that ``written`` is, of these words. Raises ValueError, with a message that names the wrong one."""
    if len(written) > MAX_CHARACTERS:
        raise ValueError(f"the filter is longer than {MAX_CHARACTERS} characters")
    found = Filter()
    for match in _WORD.finditer(written):
        key, value = _word(match, words)
        if not _is_repeated(key) and found.value(key) is not None:
            raise ValueError(f"{key}: is there twice, and a call has only one")
        check(key, value, now)
        found = replace(found, words=(*(word for word in found.words if word != (key, value)), (key, value)))
    return found


def _is_repeated(key: str) -> bool:
    return key.startswith(NOT) or GROUP_WORDS[key].repeated


def _word(match: re.Match[str], words: Mapping[str, Known]) -> tuple[str, str]:
    key, stray = match["key"], match["stray"]
    if stray is not None:
        raise ValueError(_about_stray(stray, words))
    bare = key.removeprefix(NOT)
    if bare not in words:
        raise ValueError(_about_unknown(key, bare, words))
    if bare != key and not words[bare].turns_round:
        raise ValueError(f"{key}: cannot be turned round; there is only {bare}:")
    quoted = match["quoted"]
    value = match["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
    if not value:
        raise ValueError(f"{key}: has no value; write {key.removesuffix(bare)}{words[bare].example}")
    return key, value


def check(key: str, value: str, now: datetime) -> None:
    """Raise ValueError, with a message that names the word, if it does not go with this value."""
    bare = key.removeprefix(NOT)
    if bare == "status" and value not in STATUSES:
        near = get_close_matches(value, STATUSES, n=1)
        hint = f"did you mean status:{near[0]}?" if near else f"there are {', '.join(STATUSES)}"
        raise ValueError(f"status: there is no {value!r}; {hint}")
    try:
        if bare in _TIMES:
            parse_time(value, now=now)
        elif bare != "text":
            condition_of(key, value)
    except ValueError as exc:
        raise ValueError(f"{key}: {exc}") from exc


def _about_stray(stray: str, words: Mapping[str, Known]) -> str:
    if '"' in stray:
        return f'in {stray!r} a quotation mark is not where a value begins or ends; within a value, write it as \\"'
    if measured := re.match(r"(\w+)([<>]=?)(\S+)", stray):
        bare, comparison, value = measured.groups()
        if bare in words:
            return f"{stray!r} lacks a colon; write {bare}:{comparison}{value}"
    return f"{stray!r} is no word of a filter; to look for it in prompts and answers, write text:{stray}"


def _about_unknown(key: str, bare: str, words: Mapping[str, Known]) -> str:
    bare = bare.lstrip("!")
    near = _ALSO.get(bare.lower()) or next(iter(get_close_matches(bare.lower(), words, n=1)), None)
    hint = f"did you mean {NOT if bare != key else ''}{near}:?" if near else _all_of(words)
    return f"{key}: is unknown; {hint}"


def _all_of(words: Mapping[str, Known]) -> str:
    return f"there are {', '.join(f'{word}:' for word in words)}"


def _quoted(value: str) -> str:
    if not re.search(r"\s", value) and not value.startswith('"'):
        return value
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
