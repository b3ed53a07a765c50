"""Loop 3: the keys of the store → a snapshot of them, wherever proxies get it from.

Invariants: another snapshot is told of as soon as something in it has changed, and now and then in any case, so that
whoever reads it can tell how old it is. A store or a place that is away is asked again; what is known there stays.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeAlias

from llm_proxy.errors import LlmProxyError
from llm_proxy.log import Incident, get_logger
from llm_proxy.model.account import ApiKey, KnownKey, Scope
from llm_proxy.model.key_snapshot import (
    NOTHING_SPENT,
    Snapshot,
    SnapshotKey,
    Spent,
    day_and_month,
    encode_snapshot,
    snapshot_key,
)
from llm_proxy.store.base import KeySpend

#: How often the keys are looked at, in seconds.
LOOK_INTERVAL_S = 0.5
#: How often what was spent is summed up, in seconds.
SPENT_INTERVAL_S = 2.0
#: How often a snapshot is told of in any case, in seconds.
TELL_INTERVAL_S = 10.0
#: Calls that began longer ago are summed up seldom: hardly any of them is still to end.
_SETTLED = timedelta(hours=1)
_SETTLED_INTERVAL = timedelta(minutes=5)

#: Puts a snapshot where proxies get it from. Raises LlmProxyError if that is away.
Tell: TypeAlias = Callable[[bytes], Awaitable[None]]

_log = get_logger(__name__)


class KeyWatch:
    """Watches the keys of a store."""

    def __init__(self, keys: KeySpend, tell: Tell) -> None:
        self._keys = keys
        self._tell = tell
        self._settled: dict[str, _Settled] = {}
        self._spent: dict[str, Spent] = {}
        self._spent_at: datetime | None = None

    async def run(self) -> None:
        """Watch until cancelled."""
        incident = Incident(
            _log, begins="the proxies are told nothing new of the keys", over="the proxies are told of the keys again"
        )
        version, told_at = b"", float("-inf")
        clock = asyncio.get_running_loop().time
        while True:
            try:
                snapshot = await self.snapshot(datetime.now(UTC))
                if snapshot.version != version or clock() - told_at >= TELL_INTERVAL_S:
                    await self._tell(encode_snapshot(snapshot))
                    version, told_at = snapshot.version, clock()
            except LlmProxyError as exc:
                incident.failed(exc)
            else:
                incident.worked()
            await asyncio.sleep(LOOK_INTERVAL_S)

    async def snapshot(self, now: datetime) -> Snapshot:
        """What is to be known of the keys at ``now``. Raises StoreUnavailable."""
        known = await self._keys.valid_keys(now)
        limited = [one.key for one in known if one.key.terms.limits_spending]
        new = any(key.id not in self._spent for key in limited)
        if new or self._spent_at is None or (now - self._spent_at).total_seconds() >= SPENT_INTERVAL_S:
            self._spent = {key.id: await self._spent_by(key, now) for key in limited}
            self._spent_at = now
        return Snapshot(now.timestamp(), [self._known(one) for one in known])

    def _known(self, one: KnownKey) -> SnapshotKey:
        spent = self._spent.get(one.key.id, NOTHING_SPENT)
        return snapshot_key(one, relays=Scope.PROXY in one.key.scopes, spent=spent)

    async def _spent_by(self, key: ApiKey, now: datetime) -> Spent:
        day, month = day_and_month(now)
        settled = self._settled.get(key.id)
        if settled is None or settled.of != day or now - settled.until >= _SETTLED + _SETTLED_INTERVAL:
            until = max(now - _SETTLED, month)
            settled = self._settled[key.id] = _Settled(
                of=day,
                until=until,
                day=await self._keys.spent(key, since=day, until=until) if until > day else Decimal(0),
                month=await self._keys.spent(key, since=month, until=until),
            )
        rest = await self._keys.spent(key, since=settled.until)
        today = rest if settled.until >= day else await self._keys.spent(key, since=day)
        return Spent(settled.day + today, settled.month + rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settled:
    """What was spent by calls that began before ``until``."""

    #: The day that it is about.
    of: datetime
    until: datetime
    day: Decimal
    month: Decimal
