"""The pipeline: whether the account balances, how far behind it is, what could not be stored, and what all of it takes.

Everybody who may look sees the account. What could not be stored is of any organisation, so only who runs the proxy
looks at it, tries it again or drops it.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from llm_proxy.errors import Refused
from llm_proxy.model.account import Principal, Scope
from llm_proxy.ui import present
from llm_proxy.ui.room import Table, changes, first, looks, read_form
from llm_proxy.ui.templating import page

#: Dead letters on the page; the command has all.
LETTERS = 100
_LETTER_CHARACTERS = 100_000
#: How long one look at the account serves everybody who asks, in seconds; less than pages wait before they ask again.
LOOK_HOLDS_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What went in and where it is now."""

    title: str
    #: Name, number, and what it does to the sum: 1 is what went in, -1 is where it is, 0 is told beside.
    lines: tuple[tuple[str, int, int], ...] = ()
    #: In, and nowhere.
    missing: int = 0
    #: How old the oldest of what waits is, in seconds; None if nothing waits, or nobody knows.
    oldest_s: float | None = None
    #: Within what the proxies' own part was for half of the calls and for 99 of 100, in seconds; None if nobody knows.
    overheads_s: tuple[float | None, float | None] = (None, None)
    #: Why there are no numbers.
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A call that could not be stored."""

    call_id: str
    reason: str
    buried_at: datetime
    deliveries: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """What it takes, in bytes."""

    disk_bytes: int
    #: Name, records, bytes of records, bytes of bodies; empty unless measured.
    organizations: tuple[tuple[str, int, int, int], ...] = ()
    #: Name and bytes, the largest first.
    tables: tuple[tuple[str, int], ...] = ()


class Works(Protocol):
    """What the page is about. Every method may raise QueueUnavailable or StoreUnavailable."""

    async def accounts(self) -> Sequence[Account]:
        """Of this host, and of the queue that it shares with others if there is one."""

    async def letters(self, limit: int) -> Sequence[Letter]:
        """Calls that could not be stored, oldest first."""

    async def letter(self, call_id: str) -> str | None:
        """All that is known of one, as JSON; None if there is none."""

    async def retry(self, call_ids: Sequence[str]) -> Sequence[str]:
        """Try them again; what became of each, in a sentence."""

    async def drop(self, call_ids: Sequence[str]) -> Sequence[str]:
        """Delete them for good; what became of each, in a sentence."""

    async def storage(self, *, measured: bool) -> Storage:
        """What the store takes; ``measured`` reads all of it for that."""

    def retention(self) -> Sequence[tuple[str, str]]:
        """What is deleted by itself, as label and value."""


class _Shared:
    """One look at the account for all who ask at about the same time: it reads journals and asks Redis."""

    def __init__(self, works: Works, holds_s: float) -> None:
        self._works = works
        self._holds_s = holds_s
        self._looking = asyncio.Lock()
        self._looked = float("-inf")
        self._seen: Sequence[Account] = ()

    async def accounts(self) -> Sequence[Account]:
        """As they were a moment ago."""
        async with self._looking:
            if time.monotonic() - self._looked >= self._holds_s:
                self._seen = await self._works.accounts()
                self._looked = time.monotonic()
            return self._seen

    def forget(self) -> None:
        """Look again: something was changed."""
        self._looked = float("-inf")


def table(works: Works, *, look_holds_s: float = LOOK_HOLDS_S) -> Table:
    """What can be asked for."""
    shared = _Shared(works, look_holds_s)
    return {
        "/pipeline": looks(partial(_pipeline, works, shared)),
        "/pipeline/letters": changes(partial(_act, works, shared), Scope.ADMIN),
        "/pipeline/letters/{call_id:path}": looks(partial(_letter, works), Scope.ADMIN),
    }


async def _pipeline(works: Works, shared: _Shared, request: Request, principal: Principal) -> Response:
    return await _shown(works, shared, principal, measured="measured" in request.query_params)


async def _letter(works: Works, request: Request, principal: Principal) -> Response:
    _check_operator(principal)
    call_id: str = request.path_params["call_id"]
    found = await works.letter(call_id)
    if found is None:
        raise Refused(f"There is no dead letter of {present.visible(call_id)}.", status=404, code="not_found")
    shown = present.visible(found[:_LETTER_CHARACTERS], lines=True)
    return page("letter.html", id=present.visible(call_id), shown=shown, cut=len(found) > _LETTER_CHARACTERS)


async def _act(works: Works, shared: _Shared, request: Request, principal: Principal) -> Response:
    _check_operator(principal)
    fields = await read_form(request)
    ids, act = fields.get("id", []), first(fields, "act")
    if act not in ("retry", "drop") or not ids:
        said: Sequence[str] = ("Nothing was chosen.",)
    else:
        said = await (works.retry(ids) if act == "retry" else works.drop(ids))
        shared.forget()
    return await _shown(works, shared, principal, said=said)


def _is_operator(principal: Principal) -> bool:
    return principal.everywhere and Scope.ADMIN in principal.scopes


def _check_operator(principal: Principal) -> None:
    if not _is_operator(principal):
        raise Refused("only who runs the proxy sees what could not be stored", status=403, code="insufficient_scope")


async def _shown(
    works: Works, shared: _Shared, principal: Principal, *, said: Sequence[str] = (), measured: bool = False
) -> Response:
    is_operator = _is_operator(principal)
    letters = await works.letters(LETTERS) if is_operator else ()
    storage = await works.storage(measured=measured) if is_operator else None
    return page(
        "pipeline.html",
        accounts=[_account(one) for one in await shared.accounts()],
        is_operator=is_operator,
        said=[present.visible(one) for one in said],
        letters=[
            {
                "id": one.call_id,
                "shown": present.text(one.call_id),
                "time": present.time(one.buried_at),
                "reason": present.visible(one.reason[:300]),
                "deliveries": present.count(one.deliveries),
            }
            for one in letters
        ],
        most=LETTERS,
        retention=works.retention(),
        disk=None if storage is None else present.size(storage.disk_bytes),
        measured=measured,
        tables=[] if storage is None else [(name, present.size(size)) for name, size in storage.tables],
        organizations=[]
        if storage is None
        else [
            (present.visible(name), present.count(records), present.size(rows), present.size(bodies))
            for name, records, rows, bodies in storage.organizations
        ],
    )


def _account(account: Account) -> dict[str, object]:
    signs = {1: "+", -1: "\u2212", 0: ""}
    return {
        "title": account.title,
        "lines": [(label, signs[sign], present.count(number)) for label, number, sign in account.lines],
        "missing": account.missing,
        "shown_missing": present.count(account.missing),
        "lag": present.duration(account.oldest_s),
        "overheads": [None if bound is None else f"{bound * 1000:g} ms" for bound in account.overheads_s],
        "problem": account.problem and present.visible(account.problem),
    }
