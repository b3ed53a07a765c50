"""Every API and page as the product puts them together, on a store in one SQLite file, without a server between."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
from starlette.applications import Starlette

from llm_proxy.settings.table import Settings
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.wiring import store as wiring
from llm_proxy.wiring.layout import DataDir

#: Of who runs the proxy.
ADMIN_KEY = "0123456789abcdef0123456789abcdef"


def whole_app(store: SqliteStore, data_dir: Path) -> Starlette:
    """The application of the store process, over ``store``."""
    settings = Settings(data_dir=data_dir, auth={"admin_key": ADMIN_KEY})
    DataDir(data_dir).prepare()
    return Starlette(routes=wiring._routes(settings, store))


@contextlib.asynccontextmanager
async def whole_app_client(store: SqliteStore, data_dir: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of it, from this machine."""
    transport = httpx.ASGITransport(whole_app(store, data_dir))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


def described(document: dict) -> Iterator[tuple[str, str, dict]]:
    """Path, method and description of every operation of an OpenAPI document."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method in ("get", "post", "patch", "put", "delete"):
                yield path, method.upper(), operation
