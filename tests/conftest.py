"""What the tests share: a scripted upstream, and the proxy before it in the same process, behind a real uvicorn.

``proxy.recorded()`` reads back what the journal has, through the same reader that the product uses.
"""

import asyncio
import functools
import inspect
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import httpx
import hypothesis
import pytest
import structlog
import uvicorn
import uvloop

from llm_proxy.journal.reader import JournalReader
from llm_proxy.journal.writer import JournalLimits, JournalWriter
from llm_proxy.metrics import Ledger
from llm_proxy.model.exchange import Exchange
from llm_proxy.proxy.admission import Admission
from llm_proxy.proxy.attempts import Attempts
from llm_proxy.proxy.breaker import Breakers
from llm_proxy.proxy.credentials import Fingerprints
from llm_proxy.proxy.cycle import App, WireCycle
from llm_proxy.proxy.endpoint import CallLimits, Proxy
from llm_proxy.proxy.front import front
from llm_proxy.proxy.headers import HeaderPolicy, HeaderRules
from llm_proxy.proxy.providers import Provider
from llm_proxy.proxy.routes import Routes
from llm_proxy.proxy.target_hosts import TargetHosts
from llm_proxy.proxy.transport.base import Transport
from llm_proxy.proxy.transport.http1 import Http1Transport
from llm_proxy.proxy.transport.over_httpx import HttpxTransport
from llm_proxy.proxy.transport.switching import WithSwitching
from llm_proxy.proxy.upstreams import Credential, Upstream, Upstreams, upstream_at
from llm_proxy.proxy.wire import WireLimits, WireProtocol
from running import TRANSPORT
from upstreams import Upstream as ScriptedUpstream

pytest_plugins = ["services"]

# Machines are busy with other things: how long one example took says nothing.
hypothesis.settings.register_profile("product", deadline=None)
hypothesis.settings.load_profile("product")

#: Generous: nothing in a test should come near it.
PATIENCE_S = 30.0
#: Of one asynchronous test that has no mark of its own, below pytest-timeout's.
TEST_LIMIT_S = 110.0

#: One for all: making it reads a few hundred certificates.
_TLS = ssl.create_default_context()

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}

#: What the proxy under test strips and records; the product's own lists are tested with attribution/passage.py.
RULES = HeaderRules(
    stripped=frozenset({b"helicone-auth"}),
    stripped_prefixes=(b"x-llm-",),
    recorded_request=frozenset({b"content-type", b"user-agent", b"x-request-id"}),
    recorded_request_prefixes=(b"x-llm-",),
    recorded_response=frozenset({b"content-type", b"content-encoding"}),
)


def _over_httpx(**options: Any) -> Transport:
    """As the product puts it together: WebSockets go by the other."""
    return WithSwitching(HttpxTransport(**options), Http1Transport(**options))


TRANSPORTS: dict[str, Callable[..., Transport]] = {"http1": Http1Transport, "httpx": _over_httpx}


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Any]:
    """The loop that production runs on."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every asynchronous test a time limit inside its loop: uvloop swallows what pytest-timeout raises in it."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            mark = item.get_closest_marker("timeout")
            item.obj = _in_time(item.obj, float(mark.args[0]) - 1 if mark and mark.args else TEST_LIMIT_S)


def _in_time(test: Callable[..., Any], limit_s: float) -> Callable[..., Any]:
    @functools.wraps(test)
    async def timed(*args: Any, **kwargs: Any) -> None:
        async with asyncio.timeout(limit_s):
            await test(*args, **kwargs)

    return timed


async def until(condition: Callable[[], Any]) -> None:
    """Wait for ``condition`` to be true; look often."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  # what is waited for is in a kernel or a file, and sets no event
            await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """A command that ran in this process has set the log up, for the streams that it had then."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    server = ScriptedUpstream()
    await server.start()
    yield server
    await server.stop()
    await _closed_by_the_loop()


class _Server(uvicorn.Server):
    """uvicorn for a test: started and stopped by the test; its own loop, which looks every 0.1 s, is left out."""

    async def start(self, listener: socket.socket) -> None:
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup(sockets=[listener])

    def cancel_calls(self) -> None:
        """What the drain does to calls that take too long."""
        for task in list(self.server_state.tasks):
            task.cancel()

    async def stop(self) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        self.cancel_calls()
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)


@dataclass
class ProxyUnderTest:
    """A running proxy and ways to speak to it."""

    port: int
    journal_dir: Path
    journal: JournalWriter
    ledger: Ledger
    cancel_calls: Callable[[], None]
    client: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.AsyncClient(base_url=self.url, timeout=PATIENCE_S, trust_env=False, verify=_TLS)
        self._reader = JournalReader(self.journal_dir, ledger=Ledger())
        self._seen: dict[str, Exchange] = {}

    def recorded(self) -> list[Exchange]:
        """Every exchange in the journal as it stands now, oldest first."""
        self._seen |= {exchange.id: exchange for exchange in self._reader.poll(limit=100_000)}
        return sorted(self._seen.values(), key=lambda exchange: exchange.id)

    async def ended(self, count: int = 1) -> list[Exchange]:
        """Wait until so many exchanges have ended, and return all of them."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                ended = [exchange for exchange in self.recorded() if exchange.ending is not None]
                if len(ended) >= count:
                    return ended
                await asyncio.sleep(0.01)

    async def raw(self, request: bytes) -> bytes:
        """Send bytes on a connection of their own and return all that comes back until its end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await reader.read()
        finally:
            writer.close()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A raw connection."""
        return await asyncio.open_connection("127.0.0.1", self.port)


@dataclass(frozen=True)
class ProxyOptions:
    """What a test may want to be different."""

    transport: str = TRANSPORT
    idle_timeout_s: float = PATIENCE_S
    connect_timeout_s: float = PATIENCE_S
    #: As in the product: nothing closes by itself within a test.
    keep_alive_s: float = 75
    wire: WireLimits = field(default_factory=WireLimits)
    journal: JournalLimits = field(default_factory=lambda: JournalLimits(fsync="never"))
    buffered_body_bytes: int = 2**20
    max_body_bytes: int | None = None
    max_captured_body_bytes: int = 100 * 2**20
    unrecorded: Literal["continue", "refuse"] = "continue"
    credential: tuple[bytes, bytes] | None = None
    tls: ssl.SSLContext | None = None
    #: Base URLs of further upstreams, and of which providers they are unless their names tell it.
    named: dict[str, str] = field(default_factory=dict)
    providers: dict[str, str] = field(default_factory=dict)
    #: Providers that can be called without being configured.
    known: Sequence[Provider] = ()
    keys: dict[str, str] = field(default_factory=dict)
    aws: dict[str, tuple[str, str, str | None]] = field(default_factory=dict)
    target_hosts: tuple[str, ...] = ()
    model_prefix: bool = False
    asks_for_usage: bool = False
    websocket_idle_s: float | None = None
    rules: HeaderRules = RULES
    admission: Admission | None = None
    #: Made of the upstreams; and the breakers, of the ledger.
    routes: Callable[[Upstreams], Routes] | None = None
    breakers: Callable[[Ledger], Breakers] | None = None
    retry_ratio: float = 1.0
    #: What answers every path that is no call.
    pages: App = field(default_factory=lambda: _no_pages)


StartProxy = Callable[..., Any]


@pytest.fixture
async def make_transport() -> AsyncIterator[Callable[..., Transport]]:
    """Make a transport by its name; keywords are its own."""
    made: list[Transport] = []

    def make(name: str, **different: Any) -> Transport:
        settings = {
            "tls": _TLS,
            "connect_timeout_s": PATIENCE_S,
            "idle_timeout_s": PATIENCE_S,
            "pool_idle_s": PATIENCE_S,
        }
        made.append(TRANSPORTS[name](**settings | different))
        return made[-1]

    yield make
    for transport in made:
        await transport.close()
    await _closed_by_the_loop()


@pytest.fixture
async def start_proxy(tmp_path: Path, make_transport: Callable[..., Transport]) -> AsyncIterator[StartProxy]:
    """Start a proxy before a base URL; options as in ProxyOptions."""
    running: list[tuple[ProxyUnderTest, _Server]] = []

    async def start(base_url: str, **options: Any) -> ProxyUnderTest:
        wanted = replace(ProxyOptions(), **options)
        ledger = Ledger()
        journal_dir = tmp_path / f"journal-{len(running)}"
        journal = JournalWriter(journal_dir, limits=wanted.journal, ledger=ledger)
        transport = make_transport(
            wanted.transport,
            tls=wanted.tls or _TLS,
            connect_timeout_s=wanted.connect_timeout_s,
            idle_timeout_s=wanted.idle_timeout_s,
        )
        upstreams = _upstreams(base_url, wanted)
        policy = HeaderPolicy(wanted.rules, Fingerprints(b"secret"))
        calls = Proxy(
            transport=transport,
            upstreams=upstreams,
            policy=policy,
            journal=journal,
            ledger=ledger,
            admission=wanted.admission,
            routes=wanted.routes(upstreams) if wanted.routes else None,
            attempts=_attempts(transport, policy, ledger, wanted),
            limits=CallLimits(
                buffered_body_bytes=wanted.buffered_body_bytes,
                max_body_bytes=wanted.max_body_bytes,
                max_captured_body_bytes=wanted.max_captured_body_bytes,
                unrecorded=wanted.unrecorded,
                asks_for_usage=wanted.asks_for_usage,
                websocket_idle_s=wanted.websocket_idle_s,
            ),
            target_hosts=TargetHosts(wanted.target_hosts, timeout_s=wanted.connect_timeout_s),
            model_prefix=wanted.model_prefix,
        )
        app = front(
            calls=calls,
            roots=calls.addresses.roots,
            pages=wanted.pages,
            journal=journal,
            numbers=ledger.numbers,
        )
        listener = socket.create_server(("127.0.0.1", 0))
        server = _server(app, wanted, on_malformed=functools.partial(ledger.add, "refused.malformed"))
        await server.start(listener)
        proxy = ProxyUnderTest(listener.getsockname()[1], journal_dir, journal, ledger, server.cancel_calls)
        running.append((proxy, server))
        return proxy

    yield start
    for proxy, server in running:
        await proxy.client.aclose()
        await server.stop()
        proxy.journal.close()
    await _closed_by_the_loop()


@pytest.fixture(params=sorted(TRANSPORTS))
def transport_name(request: pytest.FixtureRequest) -> str:
    """Tests of what both transports must do run over both."""
    return str(request.param)


@pytest.fixture
async def proxy(start_proxy: StartProxy, upstream: ScriptedUpstream) -> ProxyUnderTest:
    """A proxy before ``upstream``, on the transport that is the default."""
    started: ProxyUnderTest = await start_proxy(upstream.url)
    return started


def _server(app: Any, wanted: ProxyOptions, *, on_malformed: Callable[[], None]) -> _Server:
    protocol: Any = functools.partial(WireProtocol, limits=wanted.wire, on_malformed=on_malformed)
    return _Server(
        uvicorn.Config(
            app,
            http=protocol,  # uvicorn's own type knows classes only; it calls what it is given
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=wanted.keep_alive_s,  # type: ignore[arg-type]  # a whole number is not needed
        )
    )


def _attempts(transport: Transport, policy: HeaderPolicy, ledger: Ledger, wanted: ProxyOptions) -> Attempts | None:
    if wanted.routes is None and wanted.breakers is None:
        return None
    breakers = wanted.breakers(ledger) if wanted.breakers else None
    return Attempts(transport, policy, ledger=ledger, breakers=breakers, retry_ratio=wanted.retry_ratio)


def _upstreams(base_url: str, wanted: ProxyOptions) -> Upstreams:
    named = {name: _upstream(name, url, wanted) for name, url in {"default": base_url, **wanted.named}.items()}
    return Upstreams(named["default"], named, known=wanted.known)


def _upstream(name: str, base_url: str, wanted: ProxyOptions) -> Upstream:
    upstream = upstream_at(
        name,
        base_url,
        provider=wanted.providers.get(name),
        key=wanted.keys.get(name),
        aws=wanted.aws.get(name),
        region="eu-central-1",
    )
    if wanted.credential is None:
        return upstream
    return replace(upstream, credential=Credential(compatible=wanted.credential, native=wanted.credential))


async def _no_pages(wire: WireCycle) -> None:
    await wire.begin(404, [(b"content-length", b"0")], more=False)


async def _closed_by_the_loop() -> None:
    """uvloop closes an aborted transport in its next rounds, and complains of one that is left over."""
    for _ in range(3):
        await asyncio.sleep(0)
