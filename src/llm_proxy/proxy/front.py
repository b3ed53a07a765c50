"""What stands at the one public port beside the calls: health, the account, and the way to the store's pages.

None of this is recorded. A store that is down costs its own pages, nothing else.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Container, Iterator
from contextlib import contextmanager

from llm_proxy.errors import ClientDisconnected, JournalUnwritable, UpstreamError
from llm_proxy.journal.writer import Journal
from llm_proxy.metrics import exposition
from llm_proxy.proxy.capture import Capture
from llm_proxy.proxy.client import Client
from llm_proxy.proxy.cycle import App, WireCycle
from llm_proxy.proxy.headers import HeaderPolicy
from llm_proxy.proxy.relay import relay
from llm_proxy.proxy.transport.base import Origin, Transport, UpstreamRequest, UpstreamResponse

_TEXT = b"text/plain; charset=utf-8"
#: The text format that Prometheus scrapes.
_METRICS = b"text/plain; version=0.0.4; charset=utf-8"
#: Paths of Maxim's API that are not relayed though they begin with /v1, besides those below /v1/log-repositories.
STORE_PATHS = ("/v1/logs/batch", "/v1/logging", "/v1/log-repositories")
_STORE_PREFIX = "/v1/log-repositories/"


def front(
    *, calls: App, roots: Container[str], pages: App, journal: Journal, numbers: Callable[[], Counter[str]]
) -> App:
    """The public port: ``calls`` takes paths whose first segment is in ``roots``, and /~…; ``pages`` the others.

    Of /v1, ``pages`` takes what Maxim's API has there: no provider has such paths.
    """

    async def healthz(wire: WireCycle) -> None:
        await _say(wire, 200, b"ok\n")

    async def readyz(wire: WireCycle) -> None:
        try:
            journal.probe()
        except JournalUnwritable as exc:
            await _say(wire, 503, f"calls are not recorded: {exc}\n".encode())
        else:
            await _say(wire, 200, b"ok\n")

    async def metrics(wire: WireCycle) -> None:
        await _say(wire, 200, exposition(numbers()).encode(), content_type=_METRICS)

    exactly: dict[str, App] = dict.fromkeys(STORE_PATHS, pages)
    exactly |= {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics}

    def app(wire: WireCycle) -> Awaitable[None]:
        path = wire.path
        taker = exactly.get(path)
        if taker is None:
            end = path.find("/", 1)
            is_call = path.startswith("/~") or (end > 0 and path[1:end] in roots)
            taker = calls if is_call and not path.startswith(_STORE_PREFIX) else pages
        return taker(wire)

    return app


class StorePages:
    """Relays a request to the store process, byte for byte and unrecorded."""

    def __init__(self, *, transport: Transport, origin: Origin, policy: HeaderPolicy) -> None:
        self._transport = transport
        self._origin = origin
        self._policy = policy
        #: Of the answers that do not end by themselves.
        self._endless: set[asyncio.Timeout] = set()

    async def __call__(self, wire: WireCycle) -> None:
        try:
            await self._forward(wire)
        except ClientDisconnected:
            pass
        except TimeoutError:  # let go; the page asks again where there is somebody
            wire.break_off()
        except UpstreamError:
            if wire.response_started:
                wire.break_off()
            else:
                reason = "the store is starting or down; calls are relayed and recorded meanwhile"
                await _say_error(wire, 503, reason, kind="unavailable", code="store_unavailable")

    def let_go(self) -> None:
        """Break off what does not end by itself, so that nobody waits for it at shutdown."""
        for limit in self._endless:
            limit.reschedule(asyncio.get_running_loop().time())

    async def _forward(self, wire: WireCycle) -> None:
        head = self._policy.request(wire.raw_headers, wire.names)
        response: UpstreamResponse | None = None
        with Client(wire, max_body_bytes=None) as client:
            first = await client.read()
            if not client.has_more():
                client.watch()
            request = UpstreamRequest(
                origin=self._origin,
                method=wire.method,
                target=b"%b?%b" % (wire.raw_path, wire.query) if wire.query else wire.raw_path,
                headers=head.passed,
                body=client.rest(first, lambda piece: None) if client.has_more() else first,
                chunked=head.chunked,
            )
            try:
                response = await self._transport.send(request)
                with self._let_go_of(response) as limit:
                    async with limit:
                        await relay(response, self._policy, Capture.nothing(), wire, own=[])
            finally:
                if response is not None:
                    response.close()

    @contextmanager
    def _let_go_of(self, response: UpstreamResponse) -> Iterator[asyncio.Timeout]:
        """The limit of ``response``, which comes when it is let go."""
        limit = asyncio.timeout(None)
        is_endless = any(
            name.lower() == b"content-type" and value.startswith(b"text/event-stream")
            for name, value in response.headers
        )
        if is_endless:
            self._endless.add(limit)
        try:
            yield limit
        finally:
            self._endless.discard(limit)


class NoPages:
    """Answers a request where no store runs beside the proxy."""

    def let_go(self) -> None:
        """Nothing of it is endless."""

    async def __call__(self, wire: WireCycle) -> None:
        message = (
            "this port relays calls under /v1 and has /healthz, /readyz and /metrics;"
            " records are at the port of `llm-proxy store`"
        )
        await _say_error(wire, 404, message, kind="invalid_request_error", code="not_found")


async def _say_error(wire: WireCycle, status: int, message: str, *, kind: str, code: str) -> None:
    error = {"error": {"message": message, "type": kind, "code": code, "param": None}}
    await _say(wire, status, json.dumps(error).encode() + b"\n", content_type=b"application/json")


async def _say(wire: WireCycle, status: int, body: bytes, content_type: bytes = _TEXT) -> None:
    headers = [
        (b"content-type", content_type),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    await wire.begin(status, headers, body, more=False)
