"""The proxy process: one public port, calls to the upstreams, all else to the store's socket if there is one."""

import asyncio
import contextlib
import fcntl
import functools
import os
import resource
import socket
import ssl
from typing import Any

import certifi

from llm_proxy.app_server import Retiring, serve_app
from llm_proxy.assignment import Assignment
from llm_proxy.attribution import passage
from llm_proxy.child import Lifeline, main
from llm_proxy.handover import Handover
from llm_proxy.journal.writer import JournalLimits, JournalWriter
from llm_proxy.log import get_logger
from llm_proxy.metrics import Ledger, read_all
from llm_proxy.model.account import MARK
from llm_proxy.priority import take_short_turns
from llm_proxy.proxy.admission import Admission, AdmissionRules
from llm_proxy.proxy.credentials import Fingerprints
from llm_proxy.proxy.endpoint import CallLimits, Proxy
from llm_proxy.proxy.front import NoPages, StorePages, front
from llm_proxy.proxy.headers import HeaderPolicy, HeaderRules
from llm_proxy.proxy.key_file import KeyFile
from llm_proxy.proxy.providers import PROVIDERS
from llm_proxy.proxy.rates import Rates
from llm_proxy.proxy.transport.base import Origin, Transport
from llm_proxy.proxy.transport.http1 import Http1Transport
from llm_proxy.proxy.transport.switching import WithSwitching
from llm_proxy.proxy.transport.tunnel import Outgoing, as_environment_says, directly, through
from llm_proxy.proxy.transport.turns import TakingTurns, Turns
from llm_proxy.proxy.wire import WireLimits, WireProtocol
from llm_proxy.settings.table import Settings
from llm_proxy.wiring.layout import DataDir, store_socket
from llm_proxy.wiring.routes import attempts_of, routes_of
from llm_proxy.wiring.upstreams import target_hosts_of, upstreams_of

#: So many files and connections are open before the kernel has to make room for more, twice as many each time. In a
#: process that has threads, whoever opens the next one then waits until all cores have taken notice (expand_fdtable in
#: fs/file.c of Linux): 5 to 15 ms, in which no piece of any stream goes on.
_ROOM_FOR_FILES = 4096


async def run(settings: Settings, assignment: Assignment, lifeline: Lifeline) -> None:
    """Serve until the lifeline ends."""
    assert assignment.listen_fd is not None
    _make_room_for_files()  # first, while there are no threads
    take_short_turns()
    data = DataDir(settings.data_dir)
    watched = () if settings.breaker.failures is None else tuple(settings.all_upstreams())
    ledger = data.ledger(assignment.name, upstreams=watched)
    journal = JournalWriter(data.journal, limits=_journal_limits(settings), ledger=ledger, on_trouble=_tell_trouble)
    transport = transport_of(settings)
    keys = KeyFile(data.keys)
    policy = HeaderPolicy(header_rules(), Fingerprints(data.fingerprint_secret()))
    admission = admission_of(settings, keys, _rates(data, assignment))
    calls = _calls(settings, transport, policy, journal, ledger, admission=admission)
    pages = _pages(assignment, transport, policy)
    app = front(
        calls=calls,
        roots=calls.addresses.roots,
        pages=pages,
        journal=journal,
        numbers=functools.partial(read_all, data.counters),
    )

    async def let_go(stopping: asyncio.Event) -> None:
        await keys.follow(stopping)
        pages.let_go()

    await serve_app(
        app,
        socket.socket(fileno=assignment.listen_fd),
        lifeline,
        http=functools.partial(
            WireProtocol,
            limits=_wire_limits(settings),
            on_malformed=functools.partial(ledger.add, "refused.malformed"),
        ),
        keep_alive_s=settings.timeouts.keep_alive_s,
        drain_s=settings.timeouts.drain_s,
        alongside=let_go,
        retiring=_retiring(settings, assignment),
    )
    await transport.close()
    journal.close()


def _make_room_for_files() -> None:
    """Let the kernel make its table of this process's files large enough at once, or as large as it may be."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = _ROOM_FOR_FILES if limit == resource.RLIM_INFINITY else min(_ROOM_FOR_FILES, limit)
    with contextlib.suppress(OSError):
        os.close(fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, room - 1))


def _retiring(settings: Settings, assignment: Assignment) -> Retiring | None:
    if assignment.handover_fds is None:
        return None
    reading, writing = (socket.socket(fileno=end) for end in assignment.handover_fds)
    return Retiring(Handover(reading, writing), limit_s=settings.timeouts.reload_drain_s)


def _calls(
    settings: Settings,
    transport: Transport,
    policy: HeaderPolicy,
    journal: JournalWriter,
    ledger: Ledger,
    *,
    admission: Admission,
) -> Proxy:
    upstreams = upstreams_of(settings)
    return Proxy(
        transport=transport,
        upstreams=upstreams,
        policy=policy,
        journal=journal,
        ledger=ledger,
        limits=_call_limits(settings),
        target_hosts=target_hosts_of(settings),
        model_prefix=settings.routing.model_prefix,
        admission=admission,
        routes=routes_of(settings, upstreams),
        attempts=attempts_of(settings, transport, policy, ledger),
    )


def admission_of(settings: Settings, keys: KeyFile, rates: Rates | None) -> Admission:
    """What lets calls in."""
    auth = settings.auth
    rules = AdmissionRules(
        required=auth.calls == "keys", keys_unknown=auth.keys_unknown, limits_unknown=auth.limits_unknown
    )
    return Admission(keys, rates, rules=rules)


def _tell_trouble(reason: str | None) -> None:
    log = get_logger(__name__)
    if reason is None:
        log.info("calls are recorded again")
    else:
        log.error("calls are not recorded", reason=reason)


def _rates(data: DataDir, assignment: Assignment) -> Rates | None:
    """What is counted, by this process and those beside it; None if there is no room for that on the disk."""
    try:
        return Rates(data.rates, assignment.name, assignment.proxies)
    except OSError as exc:
        get_logger(__name__).error("calls by keys cannot be counted", path=str(data.rates), reason=exc.strerror)
        return None


def _pages(assignment: Assignment, transport: Transport, policy: HeaderPolicy) -> StorePages | NoPages:
    if assignment.runtime_dir is None:
        return NoPages()
    origin = Origin("http", "store", 80, store_socket(assignment.runtime_dir))
    everything = HeaderPolicy(HeaderRules(), policy.fingerprints)
    return StorePages(transport=transport, origin=origin, policy=everything)


def transport_of(settings: Settings) -> Transport:
    """The way to the upstreams."""
    timeouts = settings.timeouts
    options: dict[str, Any] = {
        "tls": tls_of(settings),
        "connect_timeout_s": timeouts.connect_s,
        "idle_timeout_s": timeouts.idle_s,
        "pool_idle_s": timeouts.pool_idle_s,
        "outgoing": _outgoing(settings),
    }
    transport: Transport = Http1Transport(**options)
    if settings.upstream_transport == "httpx":
        # Here, since it takes 15 MB and a third of the start-up time, and is not what most use.
        from llm_proxy.proxy.transport.over_httpx import HttpxTransport  # noqa: PLC0415

        transport = WithSwitching(HttpxTransport(**options), transport)
    if settings.limits.upstream_calls is None:
        return transport
    return TakingTurns(transport, Turns(settings.limits.upstream_calls, patience_s=timeouts.connect_s))


def _outgoing(settings: Settings) -> Outgoing:
    url = None if settings.outgoing_proxy is None else settings.outgoing_proxy.get_secret_value()
    if url is None:
        return as_environment_says()
    return directly if url == "off" else through(url)


def tls_of(settings: Settings) -> ssl.SSLContext:
    """TLS towards the upstreams. Raises OSError, of which ssl.SSLError is one, for files that are of no use."""
    tls = settings.tls
    context = ssl.create_default_context(cafile=tls.ca_file or certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert_file is not None:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context


def header_rules() -> HeaderRules:
    """The headers that end here and those that are recorded, as the proxy is told of them."""
    limits = frozenset(name for row in PROVIDERS for name in row.rate_limits)
    return HeaderRules(
        stripped=passage.STRIPPED_REQUEST_HEADERS,
        stripped_prefixes=passage.STRIPPED_PREFIXES,
        recorded_request=passage.RECORDED_REQUEST_HEADERS,
        recorded_request_prefixes=passage.RECORDED_REQUEST_PREFIXES,
        recorded_request_pattern=passage.RECORDED_REQUEST_PATTERN,
        recorded_response=passage.RECORDED_RESPONSE_HEADERS.union(*(row.request_ids for row in PROVIDERS)),
        recorded_response_prefixes=tuple(sorted(limits.union(passage.RECORDED_RESPONSE_PREFIXES))),
        proxy_key_mark=MARK.encode(),
        gateway_keys=passage.GATEWAY_KEYS,
    )


def _journal_limits(settings: Settings) -> JournalLimits:
    journal = settings.journal
    return JournalLimits(
        segment_bytes=journal.segment_bytes,
        max_bytes=journal.max_bytes,
        fsync=journal.fsync,
        fsync_interval_s=journal.fsync_interval_s,
    )


def _call_limits(settings: Settings) -> CallLimits:
    return CallLimits(
        buffered_body_bytes=settings.limits.buffered_body_bytes,
        max_body_bytes=settings.limits.max_body_bytes,
        max_captured_body_bytes=settings.capture.max_body_bytes,
        unrecorded=settings.journal.when_full,
        asks_for_usage=settings.usage.streams == "ask",
        websocket_idle_s=settings.timeouts.websocket_idle_s,
    )


def _wire_limits(settings: Settings) -> WireLimits:
    return WireLimits(
        max_url_bytes=settings.limits.max_url_bytes,
        max_header_bytes=settings.limits.max_header_bytes,
        max_header_count=settings.limits.max_header_count,
        patience_s=settings.timeouts.request_s,
    )


if __name__ == "__main__":
    main(run)
