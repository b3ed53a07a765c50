"""Whose records a command is about: one organisation, by its id or name, the default one, or all."""

import heapq
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from llm_proxy.errors import ConfigError
from llm_proxy.model.completion import DEFAULT_ORGANIZATION, Completion
from llm_proxy.model.query import CompletionQuery
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_store import SqlStore


def check_owners(organization: str | None, *, everywhere: bool) -> None:
    """Raise ConfigError if both are asked for."""
    if organization is not None and everywhere:
        raise ConfigError("--organization and --all-organizations: choose one")


async def owners(store: SqlStore, organization: str | None, *, everywhere: bool = False) -> list[str]:
    """The ids of the organisations that are meant. Raises ConfigError if there is none of that id or name."""
    accounts = SqlAccounts(store)
    if everywhere:
        known = [one.id for one in await accounts.organizations()]
        return list(dict.fromkeys([DEFAULT_ORGANIZATION, *known]))
    if organization is None or organization == DEFAULT_ORGANIZATION:
        return [DEFAULT_ORGANIZATION]
    found = await accounts.organization(organization)
    if found is None:
        raise ConfigError(f"--organization: there is no organisation {organization!r}; `llm-proxy keys list` shows all")
    return [found.id]


async def merged(
    lists: Sequence[AsyncIterator[Sequence[Completion]]], query: CompletionQuery
) -> AsyncIterator[Sequence[Completion]]:
    """Lists that are in the order of ``query``, each in pieces, as one such list with its limit, in pieces."""
    if len(lists) == 1:
        async for piece in lists[0]:
            yield piece
        return
    left = query.limit
    heap = [first for number, one in enumerate(lists) if (first := await _next(number, one, query)) is not None]
    heapq.heapify(heap)
    while heap and (left is None or left > 0):
        _, number, piece = heapq.heappop(heap)
        # Of this piece, what comes before the first of any other list.
        end = next((at for at, each in enumerate(piece) if heap and _place(each, query) > heap[0][0]), len(piece))
        some, rest = piece[:end], piece[end:]
        some = some if left is None else some[:left]
        left = None if left is None else left - len(some)
        yield some
        again = (_place(rest[0], query), number, rest) if rest else await _next(number, lists[number], query)
        if again is not None:
            heapq.heappush(heap, again)


_Entry = tuple[tuple[float, str, str], int, Sequence[Completion]]


async def _next(number: int, pieces: AsyncIterator[Sequence[Completion]], query: CompletionQuery) -> _Entry | None:
    async for piece in pieces:
        return _place(piece[0], query), number, piece
    return None


def _place(completion: Completion, query: CompletionQuery) -> tuple[float, str, str]:
    time = completion.started_at.timestamp()
    return (time if query.oldest_first else -time), completion.organization_id, completion.id


def of_each(query: CompletionQuery, ids: Sequence[str]) -> list[CompletionQuery]:
    """The same query for each of these organisations."""
    return [replace(query, organization_id=one) for one in ids]
