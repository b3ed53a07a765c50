"""``llm-proxy reprice``: compute the cost of recorded calls again, by the prices that there are now.

What is known is never replaced by what is not: a model may have gone from a table, and a record without its bodies
lacks what its price may depend on. What an answer, the caller, or the program that a record came from, told of the cost
stays. A record is changed by one at a time, so that none that changes meanwhile
is spoilt.
"""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from llm_proxy.model.completion import Completion, Cost, CostSource
from llm_proxy.settings.table import Settings
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.wiring.export import records_of
from llm_proxy.wiring.logs import query_of
from llm_proxy.wiring.owners import check_owners, owners
from llm_proxy.wiring.pricing import make_pricer
from llm_proxy.wiring.progress import Advance, progress
from llm_proxy.wiring.stores import open_store
from llm_proxy.worker import Pricer


@dataclass(slots=True)
class _Count:
    seen: int = 0
    changed: int = 0
    #: Of those that were seen, whatever they were before.
    unknown: int = 0


_TOLD = frozenset({CostSource.REPORTED, CostSource.CALLER})


class _Gone(Exception):
    """Somebody has deleted the record meanwhile."""


def run_reprice(
    settings: Settings, *, organization: str | None = None, everywhere: bool = False, **conditions: Any
) -> int:
    """Price the records that meet ``conditions`` again; the exit status. Raises ConfigError."""
    check_owners(organization, everywhere=everywhere)
    query = query_of(with_bodies=False, **conditions)
    price = make_pricer(settings)

    async def act(advance: Advance) -> _Count:
        count = _Count()
        store = open_store(settings)
        try:
            if await store.schema_step() is None:  # who has nothing to price shall not make a store
                return count
            await store.migrate()
            whose = await owners(store, organization, everywhere=everywhere)
            async for completion in records_of(store, query, whose, with_bodies=True):
                cost = await _reprice(store, completion, price)
                count.seen += 1
                count.changed += cost != completion.cost
                count.unknown += cost is None or cost.usd is None
                advance(count.seen)
        finally:
            await asyncio.shield(store.close())
        return count

    with progress("pricing", total=query.limit) as advance:
        count = asyncio.run(act(advance))
    sys.stdout.write(
        f"looked at {count.seen} records: the cost of {count.changed} is another one now,"
        f" that of {count.unknown} is not known\n"
    )
    return 0


async def _reprice(store: SqlStore, completion: Completion, price: Pricer) -> Cost | None:
    """Store what ``completion`` costs by now, and return it."""
    if repriced(completion, price) == completion.cost:
        return completion.cost
    try:
        changed = await store.amend(completion.id, completion.organization_id, _change(price))
    except _Gone:
        return completion.cost
    return changed.cost


def _change(price: Pricer) -> Callable[[Completion | None], Completion]:
    def change(current: Completion | None) -> Completion:
        if current is None:
            raise _Gone
        return replace(current, cost=repriced(current, price))

    return change


def repriced(completion: Completion, price: Pricer) -> Cost | None:
    """What ``completion`` costs by ``price``, or what it did before where that is to stay."""
    before, now = completion.cost, price(completion)
    if before is None or before.usd is None:
        return before if now is None else now
    if now is None or now.usd is None:
        return before
    told = before.source in _TOLD and now.source not in _TOLD
    lacking = completion.bodies is None and now.source in (CostSource.LIST, CostSource.ESTIMATE)
    return before if told or lacking else now
