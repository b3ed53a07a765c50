"""What the page of the pipeline shows and does, from the data directory, the queue and the store."""

import asyncio
import json
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from llm_proxy.errors import ConfigError, EnvelopeUnreadable
from llm_proxy.queue.redis_depth import RedisDepth
from llm_proxy.settings.table import Settings
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.ui.pipeline import Account, Letter, Storage
from llm_proxy.ui.present import size
from llm_proxy.wiring import deadletters
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.status import HostAccount, host_account, missing_in_redis, redis_account

_TABLES = {
    "postgresql": "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind IN ('r', 'm')"
    " AND relnamespace = current_schema()::regnamespace ORDER BY 2 DESC LIMIT 100",
    "sqlite": "SELECT name, SUM(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC LIMIT 100",
}


class PipelineWorks:
    """See ``Works``."""

    def __init__(self, settings: Settings, store: SqlStore) -> None:
        self._settings = settings
        self._store = store
        #: One hand at a time, as with the command.
        self._by_hand = asyncio.Lock()

    async def accounts(self) -> Sequence[Account]:
        """Of this host, and of Redis if there is one."""
        host = await asyncio.to_thread(host_account, DataDir(self._settings.data_dir))
        queue, problem = await redis_account(self._settings)
        accounts = [_of_host(host)]
        if problem is not None:
            accounts.append(Account(title="Redis", problem=problem))
        return [*accounts, _of_redis(queue)] if queue is not None else accounts

    async def letters(self, limit: int) -> Sequence[Letter]:
        """The oldest ones."""
        found: list[Letter] = []
        async with deadletters.open_places(self._settings) as places:
            async for each in deadletters.all_letters(places):
                kept = each.letter
                found.append(
                    Letter(
                        call_id=kept.call_id,
                        reason=kept.reason,
                        buried_at=kept.buried_at,
                        deliveries=kept.deliveries,
                    )
                )
                if len(found) == limit:
                    break
        return found

    async def letter(self, call_id: str) -> str | None:
        """All that is known of one."""
        async with deadletters.open_places(self._settings) as places:
            try:
                [found, *_] = await deadletters.find_letters(places, [call_id])
            except ConfigError:
                return None
            shown = deadletters.facts_of(found.letter)
            try:
                shown["exchange"] = await found.letters.read(found.letter)
            except EnvelopeUnreadable as exc:
                shown["unreadable"] = str(exc)
            return json.dumps(shown, default=deadletters.as_json_value, ensure_ascii=False, indent=2)

    async def retry(self, call_ids: Sequence[str]) -> Sequence[str]:
        """Try them again."""
        said: list[str] = []
        async with self._by_hand, deadletters.open_places(self._settings) as places:
            try:
                for found in await deadletters.find_letters(places, call_ids):
                    problem = await deadletters.retry_one(self._settings, found)
                    said.append(f"{found.letter.call_id} {problem or 'is tried again'}")
            except ConfigError as exc:
                said.append(str(exc))
        return said

    async def drop(self, call_ids: Sequence[str]) -> Sequence[str]:
        """Delete them for good."""
        said: list[str] = []
        async with self._by_hand, deadletters.open_places(self._settings) as places:
            try:
                for found in await deadletters.find_letters(places, call_ids):
                    dropped = await found.letters.drop(found.letter)
                    said.append(f"{found.letter.call_id} {'is deleted' if dropped else 'was not there any more'}")
            except ConfigError as exc:
                said.append(str(exc))
        return said

    async def storage(self, *, measured: bool) -> Storage:
        """What the store takes."""
        disk = await self._store.disk_bytes()
        if not measured:
            return Storage(disk_bytes=disk)
        owners = await SqlAccounts(self._store).organizations()
        sizes = [(one.name, await self._store.size(one.id)) for one in owners]
        nothing: tuple[tuple[str, int], ...] = ()
        return Storage(
            disk_bytes=disk,
            organizations=tuple((name, one.records, one.record_bytes, one.body_bytes) for name, one in sizes),
            tables=await self._store.reading(_tables, otherwise=nothing),
        )

    def retention(self) -> Sequence[tuple[str, str]]:
        """What is deleted by itself."""
        kept = self._settings.retention
        days: Callable[[float | None], str] = lambda age: "never" if age is None else f"after {age:g} days"  # noqa: E731
        most: Callable[[int | None], str] = lambda limit: "without limit" if limit is None else size(limit)  # noqa: E731
        return [
            ("Records go", days(kept.max_age_days)),
            ("Bodies go", days(kept.bodies_max_age_days)),
            ("Store", most(kept.max_bytes)),
            ("Store for bodies", most(kept.bodies_max_bytes)),
            *(
                (name, f"records {days(own.max_age_days)}, bodies {days(own.bodies_max_age_days)}")
                for name, own in kept.organizations.items()
            ),
        ]


def _tables(connection: Connection) -> tuple[tuple[str, int], ...]:
    try:
        found = connection.execute(text(_TABLES[connection.dialect.name]))
        return tuple((str(name), int(number)) for name, number in found)
    except SQLAlchemyError:  # a SQLite that was built without it cannot say
        return ()


def _of_host(host: HostAccount) -> Account:
    dropped = sum(host.dropped.values())
    lines = [
        ("Accepted", host.accepted, 1),
        *([("Handed over to Redis", host.shipped, -1)] if host.shipped else []),
        ("Stored", host.stored, -1),
        ("Waiting", host.waiting, -1),
        ("Dead letters", host.dead, -1),
        *([("Tried again", host.revived, 1)] if host.revived else []),
        ("Running now, of those that wait", host.in_flight, 0),
        ("Not recorded at all", dropped, 0),
        ("Processes restarted", host.restarts, 0),
    ]
    return Account(
        title="This host",
        lines=tuple(lines),
        missing=host.missing,
        oldest_s=host.oldest_waiting_s,
        overheads_s=(host.overhead_p50_s, host.overhead_p99_s),
    )


def _of_redis(queue: RedisDepth) -> Account:
    lines = (
        ("Handed over by all hosts", queue.shipped, 1),
        ("Tried again", queue.retried, 1),
        ("Stored", queue.stored, -1),
        ("Waiting", queue.waiting, -1),
        ("Dead letters", queue.dead, -1),
    )
    return Account(title="Redis", lines=lines, missing=missing_in_redis(queue), oldest_s=queue.oldest_age_s)
