"""Take a picture of every page, in light and dark: ``python tests/pictures.py DIRECTORY``, or ``make screenshots``.

It runs the product with the demo's data, so it takes a while and Debian's Chromium; tests only look at what it left.
"""

import argparse
import asyncio
import base64
import contextlib
import re
import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from playwright.async_api import Browser, Page

from browsing import chromium, watched
from grading import new_task, post
from llm_proxy.demo.upstream import ScriptedUpstream
from llm_proxy.ui.calls import again_href, call_href, session_href, trace_href
from picturing import AGENT, TASK_TAG, TRACE, fill
from running import Product, serve

WIDTH, HEIGHT, NARROW = 1440, 900, 400
#: No picture is to be larger.
MAX_BYTES = 200_000
#: So that calls have a price.
_PROVIDER = "LLM_PROXY_UPSTREAMS__OPENAI__BASE_URL"
_LINK = re.compile(r"/shared/[\w.-]+")


@dataclass(frozen=True)
class Shot:
    """A page, and under which name its picture is kept."""

    name: str
    path: str
    #: What is pressed before: a button, or a key.
    click: str | None = None
    key: str | None = None


async def main() -> None:
    parser = argparse.ArgumentParser(description="Take a picture of every page.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--format", choices=("webp", "png"), default="webp")
    parser.add_argument("--width", type=int, help="all pages, in this width alone")
    asked = parser.parse_args()
    asked.directory.mkdir(parents=True, exist_ok=True)
    async with _product() as product, chromium() as browser:
        await fill(product)
        shots = await _shots(product)
        narrow = [shot for shot in shots if shot.name in ("calls", "call")]
        for theme in ("light", "dark"):
            for width, chosen in [(asked.width, shots)] if asked.width else [(WIDTH, shots), (NARROW, narrow)]:
                suffix = f"-{width}" if width != WIDTH else ""
                await _take(browser, product, chosen, theme, width, asked.directory, f"-{theme}{suffix}.{asked.format}")


@contextlib.asynccontextmanager
async def _product() -> AsyncIterator[Product]:
    with tempfile.TemporaryDirectory() as there, socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        async with ScriptedUpstream().listening(listener), serve(Path(there), url, env={_PROVIDER: url}) as product:
            yield product


async def _shots(product: Product) -> Sequence[Shot]:
    completions = {one.id: one for one in await product.completions()}
    agent = [one for one in completions.values() if one.context.session_id == AGENT]
    failed = next(one for one in completions.values() if one.http_status == 401)
    async with httpx.AsyncClient(base_url=product.url, trust_env=False) as client:
        task = await new_task(client, name="Answers of the search", tags=TASK_TAG, answers="2")
        await post(client, "/views", name="failed at night", q="tag:nightly status:failed")
        for kind, target in (("session", AGENT), ("call", agent[1].id)):
            await post(client, "/shares", kind=kind, target=target, hours="24")
        # Newest first.
        call_link, session_link = dict.fromkeys(_LINK.findall((await client.get("/shares")).text))
        graded = (await post(client, f"{task}/next")).headers["location"]
    last = call_href(agent[2].id)
    return (
        Shot("calls", "/"),
        Shot("filter", "/?q=tag:search+-user:linus+latency:>1s"),
        Shot("call", call_href(agent[1].id)),
        Shot("call-replay", last, click="#replay-button"),
        Shot("call-failed", call_href(failed.id)),
        Shot("sessions", "/sessions"),
        Shot("session", session_href(AGENT)),
        Shot("traces", "/traces"),
        Shot("trace", trace_href(TRACE)),
        Shot("compare", f"/compare?a={agent[1].id}&b={agent[2].id}"),
        Shot("again", again_href(agent[1].id)),
        Shot("export", "/export?q=tag:search"),
        Shot("views", "/views?q=tag:search"),
        Shot("shares", "/shares"),
        Shot("shared-session", session_link),
        Shot("shared-call", call_link),
        Shot("dashboard", "/dashboard"),
        Shot("grading", "/grading"),
        Shot("task", task),
        Shot("task-new", "/grading/new"),
        Shot("grade", graded),
        Shot("pipeline", "/pipeline"),
        Shot("settings", "/settings"),
        Shot("keys", "/", key="?"),
        Shot("login", "/login"),
        Shot("empty", "/?q=tag:nothing"),
    )


async def _take(
    browser: Browser, product: Product, shots: Sequence[Shot], theme: str, width: int, directory: Path, ending: str
) -> None:
    options = {"base_url": product.url, "color_scheme": theme, "viewport": {"width": width, "height": HEIGHT}}
    async with watched(browser, **options) as page:
        for shot in shots:
            await page.goto(shot.path)
            if shot.click:
                await page.locator(shot.click).click()
            if shot.key:
                await page.keyboard.press(shot.key)
            await page.wait_for_timeout(700)  # what is live stands, and pictures are drawn
            picture = await _picture(page, ending.rpartition(".")[2])
            assert len(picture) <= MAX_BYTES or ending.endswith("png"), f"{shot.name}: {len(picture)} bytes"
            (directory / f"{shot.name}{ending}").write_bytes(picture)


async def _picture(page: Page, kind: str) -> bytes:
    if kind == "png":
        return await page.screenshot()
    session = await page.context.new_cdp_session(page)
    taken = await session.send("Page.captureScreenshot", {"format": kind, "quality": 82})
    await session.detach()
    return base64.b64decode(taken["data"])


if __name__ == "__main__":
    asyncio.run(main())
