"""Deletes by itself what is too old or too much, beside all other work.

Invariants: without a limit nothing is deleted; the ages of an organisation that has its own come in place of the
general ones; its own sizes come besides the general ones, which are for all organisations together; what is oldest goes
first. Everything is done in small steps, with others
writing and reading in between, and may be interrupted: the next look goes on. A store that is away is asked again then.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from llm_proxy.errors import StoreUnavailable
from llm_proxy.log import Incident, get_logger
from llm_proxy.metrics import Ledger
from llm_proxy.model.completion import DEFAULT_ORGANIZATION
from llm_proxy.model.query import CompletionQuery
from llm_proxy.store.base import Accounts, Removal, Store
from llm_proxy.store.deletion import Receipt

_Limit = TypeVar("_Limit")

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """How old something may get; None is without limit."""

    records: timedelta | None = None
    bodies: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much there may be; None is without limit."""

    #: Records and their bodies together.
    everything: int | None = None
    bodies: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """All limits; None is none."""

    ages: Ages = Ages()
    #: By id or name of an organisation, what it has of its own.
    own_ages: Mapping[str, Ages] = field(default_factory=dict)
    own_sizes: Mapping[str, Sizes] = field(default_factory=dict)
    #: Of the whole store.
    sizes: Sizes = Sizes()

    @property
    def are_set(self) -> bool:
        """Whether anything is ever to be deleted."""
        ages, sizes = (self.ages, *self.own_ages.values()), (self.sizes, *self.own_sizes.values())
        return any(one != Ages() for one in ages) or any(one != Sizes() for one in sizes)


class Retention:
    """Looks for what is to be deleted, now and then."""

    def __init__(self, store: Store, accounts: Accounts, removal: Removal, *, limits: Limits, ledger: Ledger) -> None:
        self._store = store
        self._accounts = accounts
        self._removal = removal
        self._limits = limits
        self._ledger = ledger

    async def run(
        self,
        *,
        interval_s: float,
        now: Callable[[], datetime],
        leading: Callable[[], AbstractAsyncContextManager[bool]],
    ) -> None:
        """Look every ``interval_s`` seconds until cancelled, whenever ``leading`` says that nobody else does."""
        incident = Incident(
            _log, begins="what is old cannot be deleted; it is tried again", over="what is old can be deleted again"
        )
        while self._limits.are_set:
            try:
                async with leading() as leads:
                    if leads:
                        await self.sweep(now())
            except StoreUnavailable as exc:
                incident.failed(exc)
            else:
                incident.worked()
            await asyncio.sleep(interval_s)

    async def sweep(self, now: datetime) -> Receipt:
        """Delete what is to be deleted at that time."""
        removed = Receipt()
        async for part in self._parts(now):
            removed += part
            self._ledger.add("deleted.records", part.rows)
            self._ledger.add("deleted.bodies", part.bodies)
        if removed != Receipt():
            _log.info("what was old or too much is deleted", records=removed.rows, bodies=removed.bodies)
        return removed

    async def _parts(self, now: datetime) -> AsyncIterator[Receipt]:
        limits = self._limits
        for organization_id, name in (await self._organizations()).items():
            ages = _own(limits.own_ages, organization_id, name) or limits.ages
            if ages.records is not None:
                yield await self._removal.remove(_before(now - ages.records, organization_id))
            if ages.bodies is not None:
                old = _before(now - ages.bodies, organization_id)
                yield await self._store.delete_matching(old, bodies_only=True)
            sizes = _own(limits.own_sizes, organization_id, name) or Sizes()
            if sizes.bodies is not None:
                yield await self._store.shrink_organization(organization_id, sizes.bodies, bodies_only=True)
            if sizes.everything is not None:
                yield await self._store.shrink_organization(organization_id, sizes.everything)
        if limits.sizes.bodies is not None:
            yield await self._store.shrink(limits.sizes.bodies, bodies_only=True)
        if limits.sizes.everything is not None:
            yield await self._store.shrink(limits.sizes.everything)

    async def _organizations(self) -> dict[str, str]:
        """The name of each organisation that there is, by its id."""
        known = {organization.id: organization.name for organization in await self._accounts.organizations()}
        return {DEFAULT_ORGANIZATION: DEFAULT_ORGANIZATION} | known


def _own(limits: Mapping[str, _Limit], organization_id: str, name: str) -> _Limit | None:
    return limits.get(organization_id, limits.get(name))


def _before(time: datetime, organization_id: str) -> CompletionQuery:
    return CompletionQuery(organization_id=organization_id, until=time, limit=None)
