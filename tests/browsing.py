"""A browser before a running product: Debian's Chromium, driven by Playwright.

Playwright brings a loop of its own, so product and upstream live in a thread with theirs. Every page is watched: what
it says in the console, what its policy forbids, and what goes wrong in its scripts.
"""

import asyncio
import shutil
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from llm_proxy.model.completion import Completion
from llm_proxy.store.sqlite import SqliteStore
from running import Product, serve
from upstreams import Upstream

#: Generous: nothing in a test should come near it.
PATIENCE_MS = 40_000
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
]
_WATCH = """
    addEventListener("securitypolicyviolation", event => console.error(`violation of ${event.violatedDirective}`));
"""
_Result = TypeVar("_Result")


@dataclass
class Stand:
    """A product, the upstream behind it, and the loop that both live in."""

    product: Product
    upstream: Upstream
    loop: asyncio.AbstractEventLoop

    @property
    def url(self) -> str:
        return self.product.url

    def do(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Have ``work`` done where product and upstream live."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE_MS / 1000)

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Have ``work`` begun there."""
        asyncio.run_coroutine_threadsafe(work, self.loop)

    def put(self, *completions: Completion) -> None:
        """Put records into the store, beside the product."""

        async def put(records: Sequence[Completion]) -> None:
            store = SqliteStore(self.product.data_dir / "store.sqlite3")
            try:
                await store.put(records)
            finally:
                await store.close()

        self.do(put(completions))


@contextmanager
def standing(there: Path) -> Iterator[Stand]:
    """A running product with its data in ``there``."""
    ready, done = threading.Event(), threading.Event()
    running: list[Stand] = []

    async def run() -> None:
        upstream = Upstream()
        await upstream.start()
        async with serve(there, upstream.url) as product:
            running.append(Stand(product, upstream, asyncio.get_running_loop()))
            ready.set()
            await asyncio.to_thread(done.wait)
        await upstream.stop()

    def work() -> None:
        try:
            asyncio.run(run())
        finally:
            ready.set()

    thread = threading.Thread(target=work, name="product")
    thread.start()
    ready.wait()
    assert running, "the product did not start"
    try:
        yield running[0]
    finally:
        done.set()
        thread.join()


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser. Without it the test fails and says what to install."""
    path = shutil.which("chromium")
    if path is None:
        pytest.fail("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page, and what was wrong on it."""

    page: Page
    faults: list[str] = field(default_factory=list)

    def note(self, message: ConsoleMessage) -> None:
        # A filter that is refused, and a call that is not there, are pages with such a status; that is no fault.
        if message.type in ("error", "warning") and "the server responded with a status of 4" not in message.text:
            self.faults.append(message.text)


@contextmanager
def watched(browser: Browser, **options: Any) -> Iterator[Page]:
    """A page in a context of its own; ``options`` are those of the context. Fails if anything was wrong on it."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_MS)
    context.add_init_script(_WATCH)
    seen = Watched(context.new_page())
    seen.page.on("console", seen.note)
    seen.page.on("pageerror", lambda error: seen.faults.append(f"script: {error}"))
    seen.page.on("dialog", lambda dialog: (seen.faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    try:
        yield seen.page
        assert seen.faults == []
    finally:
        context.close()
