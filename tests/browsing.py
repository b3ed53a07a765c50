"""A browser before a running product: Debian's Chromium, driven by Playwright, one of both for all tests.

Every page is watched: what it says in the console, what its policy forbids, and what goes wrong in its scripts.
"""

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from llm_proxy.model.completion import Completion
from llm_proxy.store.sqlite import SqliteStore
from running import Product, serve
from upstreams import Upstream

#: Of a test in a browser: product and browser live as long as all of these, and so does their loop.
in_browser = pytest.mark.asyncio(loop_scope="session")

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


@dataclass
class Stand:
    """A product, and the upstream behind it."""

    product: Product
    upstream: Upstream

    @property
    def url(self) -> str:
        return self.product.url

    async def put(self, *completions: Completion) -> None:
        """Put records into the store, beside the product."""
        store = SqliteStore(self.product.data_dir / "store.sqlite3")
        try:
            await store.put(completions)
        finally:
            await store.close()


@asynccontextmanager
async def standing(there: Path) -> AsyncIterator[Stand]:
    """A running product with its data in ``there``."""
    upstream = Upstream()
    await upstream.start()
    async with serve(there, upstream.url) as product:
        yield Stand(product, upstream)
    await upstream.stop()


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The browser. Without it the test fails and says what to install."""
    path = shutil.which("chromium")
    if path is None:
        pytest.fail("chromium is not installed: apt-get install chromium")
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        await browser.close()


@dataclass
class Watched:
    """A page, and what was wrong on it."""

    page: Page
    faults: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Note everything from now on."""
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        self.page.on("dialog", lambda dialog: self.faults.append(f"dialog: {dialog.message}"))

    def _note(self, message: ConsoleMessage) -> None:
        # A filter that is refused, and a call that is not there, are pages with such a status; that is no fault.
        if message.type in ("error", "warning") and "the server responded with a status of 4" not in message.text:
            self.faults.append(message.text)


@asynccontextmanager
async def watched(browser: Browser, **options: Any) -> AsyncIterator[Page]:
    """A page in a context of its own; ``options`` are those of the context. Fails if anything was wrong on it."""
    context = await browser.new_context(**options)
    context.set_default_timeout(PATIENCE_MS)
    await context.add_init_script(_WATCH)
    seen = Watched(await context.new_page())
    seen.watch()
    try:
        yield seen.page
        assert seen.faults == []
    finally:
        await context.close()


async def hindrances(page: Page) -> list[str]:
    """What on the page, as it is now, somebody could not use or read, by axe."""
    await page.wait_for_load_state()  # with its style sheet, and so with its colours
    found = await Axe().run(page)
    return [found.generate_report()] if found.violations_count else []


async def check_usable(browser: Browser, url: str, paths: Sequence[str]) -> None:
    """Everybody can use these pages in both themes, and none of them is wider than its window."""
    for theme in ("light", "dark"):
        async with watched(browser, base_url=url, color_scheme=theme) as page:
            for path in paths:
                await page.goto(path)
                await page.evaluate("for (const folded of document.querySelectorAll('details')) folded.open = true")
                assert await hindrances(page) == [], f"{path} ({theme})"
                for width in (400, 2560):
                    await page.set_viewport_size({"width": width, "height": 900})
                    assert await page.evaluate("document.documentElement.scrollWidth") <= width, f"{path} at {width}"
                await page.set_viewport_size({"width": 1280, "height": 900})
