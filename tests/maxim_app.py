"""Maxim's APIs over a real store, for tests."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
from starlette.applications import Starlette

from empty_stores import empty_store
from llm_proxy.api import maxim, maxim_reading, maxim_uploads
from llm_proxy.api.auth import Gate
from llm_proxy.api.resource import routes
from llm_proxy.api.seal import Seal
from llm_proxy.decode.generation import completion_of
from llm_proxy.store.blobs import DirectoryOfBlobs
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_traces import SqlTraces
from llm_proxy.store.sqlite import SqliteStore

SECRET = b"secret"


@dataclass
class App:
    """The store, what is told to it, and a client of the APIs."""

    store: SqliteStore
    traces: SqlTraces
    client: httpx.AsyncClient

    async def trace(self, trace_id: str, **headers: str) -> dict:
        """The trace as it is read."""
        answer = await self.client.get("/v1/log-repositories/logs/traces", params={"id": trace_id}, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def batch(self, *logs: dict, repository: str = "r", **headers: str) -> httpx.Response:
        """Push these entities."""
        return await self.client.post("/v1/logs/batch", json={"repoId": repository, "logs": logs}, headers=headers)


@contextlib.asynccontextmanager
async def maxim_app(there: Path) -> AsyncIterator[App]:
    """The APIs with their data in ``there``."""
    store = SqliteStore(empty_store(there / "store.sqlite3"))
    traces = SqlTraces(store, completion_of)
    files = maxim_uploads.Files(traces, DirectoryOfBlobs(there / "uploads"), Seal(SECRET, b"uploads"))
    tables = (
        maxim.table(files),
        maxim_uploads.table(files),
        maxim_reading.table(maxim_reading.Records(store, traces)),
    )
    served = Starlette(routes=[*routes(Gate(SqlAccounts(store)), *tables), *maxim_uploads.routes(files)])
    transport = httpx.ASGITransport(served)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield App(store, traces, client)
    await store.close()
