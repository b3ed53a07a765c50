"""``llm-proxy delete``: remove records for good, whether or not anything else runs, and print a receipt.

Says first how many there are; on a terminal it asks, elsewhere it wants to be told ``--yes``. What has not reached the
store yet, in the journal or in Redis, is not looked at: it comes later, and can be deleted then.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from llm_proxy.errors import ConfigError
from llm_proxy.model.query import CompletionQuery, parse_time
from llm_proxy.settings.table import Settings
from llm_proxy.store.base import Blobs
from llm_proxy.store.deletion import Receipt
from llm_proxy.store.sql_removal import SqlRemoval
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.wiring.export import records
from llm_proxy.wiring.owners import check_owners, of_each, owners
from llm_proxy.wiring.stores import open_store, place_of
from llm_proxy.wiring.uploads import open_blobs


@dataclass(frozen=True, slots=True)
class _Wanted:
    query: CompletionQuery
    #: If these are named, no others.
    ids: Sequence[str]
    bodies_only: bool


def run_delete(
    settings: Settings,
    *,
    ids: Sequence[str],
    session: str | None,
    user: str | None,
    before: str | None,
    organization: str | None,
    everywhere: bool = False,
    bodies_only: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Delete what meets all conditions; the exit status, 1 if there was nothing. Raises ConfigError."""
    if not (ids or session or user or before):
        raise ConfigError("delete: say what: --id, --session, --user or --before")
    if ids and (session or user or before):
        raise ConfigError("delete: calls are named by --id or by conditions; choose one")
    check_owners(organization, everywhere=everywhere)
    if not yes and not sys.stdin.isatty():
        raise ConfigError("delete: there is no terminal to ask at; say --yes")
    query = CompletionQuery(session_id=session, user_id=user, until=_time(before), limit=None)

    async def act() -> Receipt | None:
        async with _opened(settings) as store:
            if await store.schema_step() is None:  # who has nothing to delete shall not make a store
                return Receipt()
            await store.migrate()
            whose = await owners(store, organization, everywhere=everywhere)
            wanted = [_Wanted(one, ids, bodies_only) for one in of_each(query, whose)]
            count = sum([await _count(store, each) for each in wanted])
            # Also if there is no record: something may have been told that is of none.
            agreed = yes or _agreed(settings, count, bodies_only=bodies_only)
            return (
                sum([await _delete(store, open_blobs(settings), each) for each in wanted], Receipt())
                if agreed
                else None
            )

    receipt = asyncio.run(act())
    if receipt is None:
        _say("nothing was deleted")
        return 1
    _print(receipt, as_json=as_json)
    return 1 if receipt == Receipt() else 0


def _print(receipt: Receipt, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(asdict(receipt)) + "\n")
    elif receipt == Receipt():
        _say("no recorded call meets these conditions")
    else:
        sys.stdout.write(
            f"deleted {receipt.rows} records, {receipt.bodies} bodies, {receipt.pieces} pieces of bodies that no other"
            f" record has, {receipt.entities} things that were told of; {receipt.bytes:,} bytes, compressed\n"
        )


def _time(before: str | None) -> datetime | None:
    try:
        return None if before is None else parse_time(before, now=datetime.now(UTC))
    except ValueError as exc:
        raise ConfigError(f"--before: {exc}") from exc


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[SqlStore]:
    store = open_store(settings)
    try:
        yield store
    finally:
        await asyncio.shield(store.close())


async def _count(store: SqlStore, wanted: _Wanted) -> int:
    if wanted.ids:
        found = [await store.get(one, wanted.query.organization_id) for one in dict.fromkeys(wanted.ids)]
        return sum(completion is not None for completion in found)
    count = 0
    async for _ in records(store, wanted.query, with_bodies=False):
        count += 1
    return count


async def _delete(store: SqlStore, blobs: Blobs, wanted: _Wanted) -> Receipt:
    owner, ids = wanted.query.organization_id, list(dict.fromkeys(wanted.ids))
    if wanted.bodies_only:
        if ids:
            return await store.delete(ids, owner, bodies_only=True)
        return await store.delete_matching(wanted.query, bodies_only=True)
    removal = SqlRemoval(store, blobs)
    if not ids:
        return await removal.remove(wanted.query)
    receipt = Receipt()
    for one in ids:
        receipt += await removal.remove_one(one, owner)
    return receipt


def _agreed(settings: Settings, count: int, *, bodies_only: bool) -> bool:
    what = f"{'what was said in ' if bodies_only else ''}{count} {'record' if count == 1 else 'records'}"
    sys.stderr.write(f"llm-proxy: delete {what} from {place_of(settings)} for good? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _say(line: str) -> None:
    print(f"llm-proxy: {line}", file=sys.stderr)  # noqa: T201 - this is what the command says
