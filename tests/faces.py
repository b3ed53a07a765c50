"""The APIs as they are served, each on a real store, without a server between."""

import contextlib
from collections.abc import AsyncIterator

import httpx
from starlette.applications import Starlette

from llm_proxy.api import log10, log10_feedback, log10_legacy, query
from llm_proxy.api.auth import Gate
from llm_proxy.api.resource import OneSlash, nothing_else, routes
from llm_proxy.decode.pushed import fold
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_feedback import SqlFeedback
from llm_proxy.store.sql_store import SqlStore


@contextlib.asynccontextmanager
async def served(store: SqlStore) -> AsyncIterator[httpx.AsyncClient]:
    """A client of all that Log10's clients ask for."""
    gate = Gate(SqlAccounts(store), remembered_s=0)
    log = log10.Log10(store, SqlFeedback(store), gate, fold)
    tables = [query.table(store), *(part.table(log) for part in (log10, log10_feedback, log10_legacy))]
    app = OneSlash(Starlette(routes=[*routes(gate, *tables), *nothing_else()]))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        yield client
