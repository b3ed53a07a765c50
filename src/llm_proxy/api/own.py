"""Our own API as a whole: every table of it, over what they answer from."""

from dataclasses import dataclass

from llm_proxy.api import accounts, changes, query, raw, sessions, spend, tags, traces
from llm_proxy.api.auth import Gate
from llm_proxy.api.resource import Table
from llm_proxy.store.base import Accounts, Overviews, Removal, Store, Traces


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What is read and changed."""

    store: Store
    accounts: Accounts
    overviews: Overviews
    removal: Removal
    traces: Traces


def tables(sources: Sources, gate: Gate) -> tuple[Table, ...]:
    """What is answered from ``sources``; ``gate`` is told when keys change."""
    return (
        query.table(sources.store),
        raw.table(sources.store),
        changes.table(sources.store, sources.removal),
        sessions.table(sources.store, sources.overviews),
        traces.table(traces.Sources(sources.store, sources.overviews, sources.traces)),
        tags.table(sources.overviews),
        spend.table(sources.overviews),
        accounts.table(sources.accounts, gate),
    )
