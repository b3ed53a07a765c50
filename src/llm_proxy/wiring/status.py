"""``llm-proxy status``: where the calls are, and whether the account balances.

Two accounts, each of which must come out at nothing missing:

- of this host: accepted = shipped + stored + dead - revived + waiting, without what its workers took from Redis;
- of Redis, for all hosts together: shipped + retried = stored + dead + waiting.

The numbers are read one after the other: while calls run, a few may be on their way between two of them.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from llm_proxy.errors import QueueUnavailable
from llm_proxy.journal.survey import survey
from llm_proxy.journal.writer import journal_bytes
from llm_proxy.metrics import OF_REDIS, overhead_within_s, read_all, read_each
from llm_proxy.queue.redis_depth import RedisDepth, depth
from llm_proxy.settings.table import Settings
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.wiring import redis
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.owners import check_owners, owners
from llm_proxy.wiring.stores import open_store

#: Characters of the name of a number, at least.
_LABEL_WIDTH = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAccount:
    """The numbers of the data directory; calls since it was made, unless said otherwise."""

    accepted: int
    dropped: dict[str, int]
    #: Handed over to Redis.
    shipped: int
    stored: int
    dead: int
    #: Dead letters that were tried again by hand.
    revived: int
    #: In the journal now, as it is found there.
    waiting: int
    #: Of these, those that have not ended.
    in_flight: int
    #: How long ago the first of the others ended, in seconds; None if there is none, or nobody knows.
    oldest_waiting_s: int | None
    #: Size of the journal now.
    journal_bytes: int
    #: What workers of this host took from Redis and stored, and buried.
    worker_stored: int
    worker_dead: int
    restarts: int
    #: Within how many seconds the proxies' own part was, for half of the calls that are stored, and for 99 of 100.
    overhead_p50_s: float | None
    overhead_p99_s: float | None
    #: When the configuration in force was read; None if nothing has run here yet.
    config_read_at: str | None = None
    #: 1 if a later one could not be taken.
    config_reload_failed: int = 0

    @property
    def missing(self) -> int:
        """Accepted and nowhere."""
        return self.accepted - self.shipped - self.stored - self.dead + self.revived - self.waiting


def show_status(
    settings: Settings,
    *,
    as_json: bool,
    check: bool = False,
    organization: str | None = None,
    everywhere: bool = False,
) -> int:
    """Print the accounts; with ``check``, exit status 1 if Redis is away or something is missing.

    Of organisations that are asked for, also how much of them is in the store. Raises ConfigError, StoreUnavailable.
    """
    check_owners(organization, everywhere=everywhere)
    data = DataDir(settings.data_dir)
    host = host_account(data)
    queue, problem = asyncio.run(redis_account(settings))
    account: dict[str, Any] = {"host": asdict(host) | {"missing": host.missing}, "redis": None}
    if queue is not None:
        account["redis"] = asdict(queue) | {"missing": missing_in_redis(queue)}
    if problem is not None:
        account["redis"] = {"problem": problem}
    if organization is not None or everywhere:
        account["organizations"] = asyncio.run(_sizes(settings, organization, everywhere=everywhere))
    sys.stdout.write((json.dumps(account) if as_json else _for_people(account, data)) + "\n")
    is_fine = problem is None and host.missing == 0 and (queue is None or missing_in_redis(queue) == 0)
    return 0 if is_fine or not check else 1


def host_account(data: DataDir) -> HostAccount:
    """The account of this host."""
    mine: Counter[str] = Counter()
    of_redis: Counter[str] = Counter()
    found = survey(data.journal)
    for process, numbers in read_each(data.counters).items():
        (of_redis if process.startswith(OF_REDIS) else mine).update(numbers)
    first_us = found.first_ended_us
    return HostAccount(
        accepted=mine["accepted"],
        dropped=_labelled(mine, "dropped"),
        shipped=mine["shipped"],
        stored=mine["stored"],
        dead=mine["dead"],
        revived=mine["revived"],
        waiting=found.waiting,
        in_flight=found.in_flight,
        oldest_waiting_s=None if first_us is None else max(int(time.time() - first_us / 1e6), 0),
        journal_bytes=journal_bytes(data.journal),
        worker_stored=of_redis["stored"],
        worker_dead=of_redis["dead"],
        restarts=sum(_labelled(mine + of_redis, "restarts").values()),
        overhead_p50_s=overhead_within_s(mine + of_redis, 0.5),
        overhead_p99_s=overhead_within_s(mine + of_redis, 0.99),
        config_read_at=_time_text(read_all(data.counters)["config_reloaded_timestamp_seconds"]),
        config_reload_failed=read_all(data.counters)["config_reload_failed"],
    )


def _time_text(seconds: int) -> str | None:
    """UTC in ISO 8601."""
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else None


def missing_in_redis(queue: RedisDepth) -> int:
    """Shipped and nowhere."""
    return queue.shipped + queue.retried - queue.stored - queue.dead - queue.waiting


async def redis_account(settings: Settings) -> tuple[RedisDepth | None, str | None]:
    """The account of Redis, or why there is none; neither without Redis."""
    if settings.redis.url is None:
        return None, None
    connection = redis.connection(settings)
    try:
        return await depth(connection, redis.shards(settings)), None
    except QueueUnavailable as exc:
        return None, str(exc)
    finally:
        await asyncio.shield(connection.close())


async def _sizes(settings: Settings, organization: str | None, *, everywhere: bool) -> dict[str, dict[str, int]]:
    """How much of each organisation is in the store, by its name, or its id where it has none."""
    store = open_store(settings, read_only=True)
    try:
        names = {one.id: one.name for one in await SqlAccounts(store).organizations()}
        whose = await owners(store, organization, everywhere=everywhere)
        return {names.get(one, one): asdict(await store.size(one)) for one in whose}
    finally:
        await asyncio.shield(store.close())


def _labelled(numbers: Counter[str], base: str) -> dict[str, int]:
    return {name.partition(".")[2]: count for name, count in numbers.items() if name.startswith(f"{base}.") and count}


def _for_people(account: dict[str, Any], data: DataDir) -> str:
    lines = [f"this host ({data.root})", *_lines(account["host"])]
    if account["redis"] is not None:
        lines += ["Redis (all hosts)", *_lines(account["redis"])]
    for name, size in account.get("organizations", {}).items():
        lines += [f"{name} (in the store)", *_lines(size)]
    return "\n".join(lines)


def _lines(numbers: dict[str, Any]) -> list[str]:
    lines = []
    width = max(_LABEL_WIDTH, *map(len, numbers))
    for name, value in numbers.items():
        if isinstance(value, dict):
            shown = ", ".join(f"{label} {count:,}" for label, count in value.items()) or "0"
        else:
            shown = f"{value:,}" if isinstance(value, int) else str(value if value is not None else "-")
        lines.append(f"  {name.replace('_', ' '):{width}} {shown}")
    return lines
