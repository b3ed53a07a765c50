"""``llm-proxy logs``: reads the store by itself, so that it works whether or not anything else of ours runs.

Never writes. A list is printed piece by piece: however much is recorded, little of it is in memory. Standard output is
for records alone; whatever else there is to say goes to standard error, in one line.
"""

import asyncio
import os
import shlex
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

from llm_proxy.errors import ConfigError
from llm_proxy.journal.survey import survey
from llm_proxy.model.completion import Completion
from llm_proxy.model.filters import Filter, parse
from llm_proxy.model.json_text import encode_json
from llm_proxy.model.query import CompletionQuery, parse_time
from llm_proxy.model.record import record_json
from llm_proxy.settings.table import Settings
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.owners import check_owners, merged, of_each, owners
from llm_proxy.wiring.stores import open_store, place_of

#: Records read at a time without their bodies, and with them: a body may have megabytes.
_PAGE_RECORDS = {False: 200, True: 8}
#: How often to look for new records, in seconds: short enough to seem immediate, and a look takes microseconds.
_POLL_S = 0.2
#: Cells of a line if there is no terminal to ask: a pipe does not mind, and a grep finds more.
_WIDTH_WITHOUT_TERMINAL = 160


class _Output(Protocol):
    """One of the forms that records are printed in."""

    def one(self, completion: Completion) -> None:
        """Print a record by itself."""

    def several(self, completions: Sequence[Completion]) -> None:
        """Print records of a list, which goes on."""


class _Json:
    """One object a line, in UTF-8 whatever the locale says."""

    def one(self, completion: Completion) -> None:
        self.several([completion])

    def several(self, completions: Sequence[Completion]) -> None:
        for completion in completions:
            sys.stdout.buffer.write(encode_json(record_json(completion, with_bodies=True)) + b"\n")
        sys.stdout.buffer.flush()


class Table:
    """For people: as wide as the terminal, and in its colours unless NO_COLOR is set (no-color.org)."""

    def __init__(self) -> None:
        # Here and not above: it is as much to import as all the rest, and who wants JSON need not wait for it.
        from llm_proxy import tables  # noqa: PLC0415

        self._tables = tables
        self._header = True
        self._colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def one(self, completion: Completion) -> None:
        """Print a record by itself."""
        self._print(self._tables.render_record(completion, colour=self._colour))

    def several(self, completions: Sequence[Completion]) -> None:
        """Print records of a list, which goes on."""
        # Asked each time: while one follows, the window may get another size.
        width = shutil.get_terminal_size((_WIDTH_WITHOUT_TERMINAL, 24)).columns
        self._print(self._tables.render_table(completions, width=width, colour=self._colour, header=self._header))
        self._header = False

    def _print(self, text: str) -> None:
        # What the terminal's encoding does not have becomes a question mark, not the end of the list.
        sys.stdout.buffer.write(text.encode(sys.stdout.encoding, "replace"))
        sys.stdout.buffer.flush()


def show_logs(
    settings: Settings,
    *,
    completion_id: str | None,
    as_json: bool,
    follow: bool,
    organization: str | None = None,
    everywhere: bool = False,
    **conditions: Any,
) -> int:
    """Print the record ``completion_id``, or those that meet ``conditions``; the exit status. Raises ConfigError."""
    check_owners(organization, everywhere=everywhere)
    query = query_of(with_bodies=as_json, **conditions)
    output = _output(as_json=as_json)

    def run(show: Callable[[SqlStore, list[CompletionQuery]], Coroutine[Any, Any, int]]) -> int:
        async def shown(store: SqlStore) -> int:
            return await show(store, of_each(query, await owners(store, organization, everywhere=everywhere)))

        return _run(settings, shown)

    if completion_id is not None:
        if follow or replace(query, limit=None) != CompletionQuery(limit=None, with_bodies=as_json):
            raise ConfigError("logs: a call is shown by its id, others are listed by conditions; choose one")
        return run(lambda store, queries: _one(settings, store, completion_id, queries, output))
    if not follow:
        return run(lambda store, queries: _list(settings, store, queries, output))
    if everywhere:
        raise ConfigError("logs: --follow follows one organisation")
    try:
        return run(lambda store, queries: _follow(settings, store, queries[0], output))
    except KeyboardInterrupt:  # the one way to end it
        return 0


def _output(*, as_json: bool) -> _Output:
    return _Json() if as_json else Table()


def _nothing_yet(settings: Settings) -> str:
    """What to say when there is no record at all."""
    found = survey(DataDir(settings.data_dir).journal)
    if on_their_way := found.waiting + found.in_flight:
        calls = "1 call is" if on_their_way == 1 else f"{on_their_way} calls are"
        return f"nothing is stored in {_place(settings)} yet, and {calls} on the way; `llm-proxy status` tells more"
    serve = "llm-proxy serve"
    if settings.data_dir != Settings().data_dir:
        serve += f" --data-dir {shlex.quote(str(settings.data_dir))}"
    return f"nothing is recorded in {_place(settings)} yet; start `{serve}` and point OPENAI_BASE_URL to it"


def _place(settings: Settings) -> str:
    return str(settings.data_dir) if settings.store.url is None else place_of(settings)


def query_of(
    *,
    tags: tuple[str, ...],
    session: str | None,
    user: str | None,
    model: str | None,
    status: str | None,
    since: str | None,
    search: str | None,
    where: str | None = None,
    limit: int,
    with_bodies: bool,
) -> CompletionQuery:
    """What the flags of a command ask for; a limit of 0 is none. Raises ConfigError."""
    now = datetime.now(UTC)
    flags = {"session": session, "user": user, "model": model, "status": status, "since": since, "text": search}
    given = [("tag", tag) for tag in tags] + [(word, value) for word, value in flags.items() if value is not None]
    try:
        if since is not None:
            parse_time(since, now=now)
    except ValueError as exc:
        raise ConfigError(f"--since: {exc}") from exc
    try:
        found = parse(where or "", now=now)
    except ValueError as exc:
        raise ConfigError(f"--where: {exc}") from exc
    if twice := next((word for word, _ in given if word != "tag" and found.value(word) is not None), None):
        raise ConfigError(f"--where: {twice}: is given by a flag as well; choose one")
    query = Filter((*given, *found.words)).query(now=now, after=None, limit=limit or None)
    return replace(query, with_bodies=with_bodies)


def _run(settings: Settings, show: Callable[[SqlStore], Coroutine[Any, Any, int]]) -> int:
    store = open_store(settings, read_only=True)
    with asyncio.Runner() as runner:
        try:
            return runner.run(show(store))
        finally:
            runner.run(store.close())


async def _one(
    settings: Settings, store: SqlStore, completion_id: str, queries: Sequence[CompletionQuery], output: _Output
) -> int:
    found = [await store.get(completion_id, query.organization_id) for query in queries]
    completions = [completion for completion in found if completion is not None]
    if not completions:
        _say(f"no call with the id {completion_id!r} is recorded in {_place(settings)}")
        return 1
    for completion in completions:
        output.one(completion)
    return 0


async def _list(settings: Settings, store: SqlStore, queries: Sequence[CompletionQuery], output: _Output) -> int:
    found = False
    async for completions in merged([_pages(store, query) for query in queries], queries[0]):
        output.several(completions)
        found = True
    if not found:
        anything = [
            one for query in queries for one in (await store.find(_newest_of(query.organization_id))).completions
        ]
        _say("no recorded call meets these conditions" if anything else _nothing_yet(settings))
    return 0


def _newest_of(organization_id: str) -> CompletionQuery:
    return CompletionQuery(organization_id=organization_id, limit=1)


async def _follow(settings: Settings, store: SqlStore, query: CompletionQuery, output: _Output) -> int:
    """Print the newest, oldest first, and then whatever is written; until interrupted."""
    # Begun before the list is read, so that nothing falls between the two.
    changes = store.changes(query, poll_s=_POLL_S)
    printed: dict[str, int] = {}
    async for completions in _pages(store, replace(query, with_bodies=False)):
        printed |= {completion.id: _state(completion) for completion in completions}
    if not printed and not (await store.find(_newest_of(query.organization_id))).completions:
        _say(_nothing_yet(settings))
    for completion_id in reversed(printed):
        completion = await store.get(completion_id, query.organization_id)
        # One that has changed since comes once more, by itself.
        if completion is not None and _state(completion) == printed[completion_id]:
            output.several([completion])
    async for completion in changes:
        if printed.pop(completion.id, None) != _state(completion):
            output.several([completion])
    raise AssertionError("changes never end")


async def _pages(store: SqlStore, query: CompletionQuery) -> AsyncIterator[Sequence[Completion]]:
    """What matches, newest first, in pieces that are not empty."""
    size, left = _PAGE_RECORDS[query.with_bodies], query.limit
    while left is None or left > 0:
        page = await store.find(replace(query, limit=size if left is None else min(size, left)))
        if page.completions:
            yield page.completions
        if page.next is None:
            return
        query = replace(query, after=page.next)
        left = None if left is None else left - len(page.completions)


def _state(completion: Completion) -> int:
    """A number that is another one when anything of the record has changed."""
    return hash(encode_json(record_json(completion, with_bodies=False)))


def _say(line: str) -> None:
    print(f"llm-proxy: {line}", file=sys.stderr)  # noqa: T201 - this is what the command says
