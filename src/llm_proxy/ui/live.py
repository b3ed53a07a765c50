"""The live tail of a list: its first page, and then what is written, as server-sent events of rows.

What is written is watched before the page is read, so that nothing falls between the two; a client that lost its
connection asks anew and gets the page anew. At most so many are open at once, since each looks into the store
several times a second; and none for ever, since keys end.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from llm_proxy.errors import StoreUnavailable
from llm_proxy.model.account import Principal
from llm_proxy.model.completion import Completion
from llm_proxy.model.conditions import holds
from llm_proxy.model.filters import Filter, parse
from llm_proxy.model.query import CompletionQuery
from llm_proxy.store.base import Store
from llm_proxy.ui.calls import LATEST, lines, place
from llm_proxy.ui.columns import USUAL, Column, chosen
from llm_proxy.ui.reach import asked
from llm_proxy.ui.templating import fragment, problem

#: Lists that are live at once.
MAX_OPEN = 32
#: How often the store is asked what is new, and how long rows may wait for others to come along with, in seconds.
_POLL_S = 0.25
#: After so long without a row a comment is sent, so that whoever is in between sees that somebody is there.
_HEARTBEAT_S = 15.0
#: How long a connection lives; then the client asks anew, and is let in anew.
_LIFE_S = 300.0
#: Rows that wait; of more, the newest are sent: nobody can read the others.
_MAX_WAITING = 100
_FULL = b"event: full\nretry: 15000\ndata: full\n\n"


async def live(lists: "LiveLists", store: Store, request: Request, principal: Principal) -> ASGIApp:
    """The live tail of the list that the filter of the URL lets through."""
    now = datetime.now(UTC)
    try:
        found = parse(request.query_params.get("q", ""), now=now)
    except ValueError as exc:
        return problem(400, "No such list", str(exc))
    query = asked(principal, found, now=now, limit=LATEST)
    floor = request.query_params.get("floor", "")
    return LiveList(store, query, found, floor=floor, lists=lists, columns=chosen(request))


class LiveLists:
    """All live lists of a process."""

    def __init__(self, *, max_open: int = MAX_OPEN) -> None:
        self._max_open = max_open
        self._open = 0

    @contextlib.contextmanager
    def held(self) -> Iterator[bool]:
        """Hold a place during the block; it is False if there is none."""
        if self._open >= self._max_open:
            yield False
            return
        self._open += 1
        try:
            yield True
        finally:
            self._open -= 1


class LiveList:
    """One of them, as the answer to a request. Rows that come before ``floor`` are not of its page."""

    def __init__(
        self,
        store: Store,
        query: CompletionQuery,
        found: Filter,
        *,
        floor: str,
        lists: LiveLists,
        columns: tuple[Column, ...] = USUAL,
    ) -> None:
        self._store = store
        self._query = query
        self._found = found
        self._floor = floor
        self._lists = lists
        self._columns = columns
        #: By id, in the order in which they were written.
        self._waiting: dict[str, Completion] = {}
        self._new = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send rows until the client has gone."""
        headers = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        # A store that is away ends the stream; the client comes back for it.
        with self._lists.held() as is_free, contextlib.suppress(StoreUnavailable):
            if scope["method"] == "HEAD":
                pass  # whoever asks only for the head does not wait for rows
            elif is_free:
                await self._until_gone(receive, send)
            else:
                await send({"type": "http.response.body", "body": _FULL, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _until_gone(self, receive: Receive, send: Send) -> None:
        # Whatever changes with its end: a call that ends leaves the list of those that run.
        changes = self._store.changes(replace(self._query, status=None, conditions=()), poll_s=_POLL_S)
        tasks = [asyncio.ensure_future(work) for work in (_gone(receive), self._watch(changes), self._tell(send))]
        try:
            await asyncio.wait(tasks, timeout=_LIFE_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(outcome, Exception):
                    raise outcome

    async def _watch(self, changes: AsyncIterator[Completion]) -> None:
        self._add(*reversed((await self._store.find(self._query)).completions))
        async for completion in changes:
            self._add(completion)

    def _add(self, *completions: Completion) -> None:
        for completion in completions:
            if place(completion) >= self._floor:
                self._waiting.pop(completion.id, None)
                self._waiting[completion.id] = completion
        while len(self._waiting) > _MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]
        self._new.set()

    async def _tell(self, send: Send) -> None:
        while True:
            try:
                async with asyncio.timeout(_HEARTBEAT_S):
                    await self._new.wait()
            except TimeoutError:
                await send({"type": "http.response.body", "body": b": still here\n\n", "more_body": True})
                continue
            self._new.clear()
            waiting = list(self._waiting.values())
            self._waiting.clear()
            rows = [completion for completion in waiting if self._is_listed(completion)]
            gone = [completion.id for completion in waiting if not self._is_listed(completion)]
            html = fragment("rows.html", lines=lines(rows, self._found), gone=gone, columns=self._columns)
            await send({"type": "http.response.body", "body": _event(html), "more_body": True})
            # Many calls a second are one event, not many.
            await asyncio.sleep(_POLL_S)

    def _is_listed(self, completion: Completion) -> bool:
        met = (holds(condition, completion) for condition in self._query.conditions)
        return self._query.status in (None, completion.status) and all(met)


def _event(html: bytes) -> bytes:
    if not html.strip():
        return b": nothing yet\n\n"
    return b"".join(b"data: %b\n" % line for line in html.splitlines()) + b"\n"


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
