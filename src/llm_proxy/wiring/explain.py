"""``llm-proxy route``: what would happen to a request, by the code that would do it; nothing is sent.

The draw by weights is a draw here, too. What is of running processes is read from what those of this host have counted:
how often a key has called, and which upstreams are left alone.
"""

import asyncio
import json
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlencode
from uuid import UUID

from llm_proxy.attribution.context import attribute
from llm_proxy.attribution.path import split_path_context
from llm_proxy.errors import ConfigError, Refused, UpstreamError
from llm_proxy.metrics import left_alone, read_living
from llm_proxy.model.account import MARK
from llm_proxy.model.exchange import Endpoint
from llm_proxy.proxy.addresses import Addresses
from llm_proxy.proxy.admission import NOBODY, Admission, Pass
from llm_proxy.proxy.asked_model import asked_model, asked_of_socket
from llm_proxy.proxy.attempts import Plan
from llm_proxy.proxy.choosing import Chooser, Intent, check_target
from llm_proxy.proxy.credentials import Fingerprints, without_keys
from llm_proxy.proxy.headers import HeaderPolicy, RequestHead
from llm_proxy.proxy.key_file import KeyFile
from llm_proxy.proxy.rates import RatesSeen
from llm_proxy.proxy.routes import Route
from llm_proxy.proxy.routing import Target
from llm_proxy.proxy.stream_usage import asking_for_usage, takes_question
from llm_proxy.proxy.transport.base import RawHeaders
from llm_proxy.proxy.websocket import UPGRADE
from llm_proxy.proxy.wishes import Wishes, wishes
from llm_proxy.settings.table import Settings
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.proxy import admission_of, header_rules
from llm_proxy.wiring.routes import routes_of
from llm_proxy.wiring.upstreams import target_hosts_of, upstreams_of

Told = dict[str, Any]
_Refusal: TypeAlias = Refused | UpstreamError | None
_PATH = "/v1/chat/completions"
_SOCKET_PATH = "/v1/realtime"
#: Beginning of the names of proxy processes.
_PROXY = "proxy-"


def show_route(
    settings: Settings,
    *,
    model: str | None,
    path: str | None,
    method: str,
    headers: tuple[str, ...],
    key: str | None,
    body_file: Path | None,
    websocket: bool = False,
    as_json: bool,
) -> int:
    """Print it; 1 if the request would be refused. Raises ConfigError."""
    raw_headers = [_header(header) for header in headers]
    if key is not None:
        raw_headers.append((b"Authorization", b"Bearer " + key.encode()))
    body = b"" if websocket else _body(model, body_file)
    if websocket:
        raw_headers += UPGRADE
        method, path = "GET", _socket_path(path, model)
    told = asyncio.run(_explain(settings, method.upper(), path or _PATH, raw_headers, body))
    sys.stdout.write((json.dumps(told) if as_json else "\n".join(_lines(told))) + "\n")
    return 0 if told["refused"] is None else 1


def _header(text: str) -> tuple[bytes, bytes]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ConfigError(f"--header: {text.split(' ', maxsplit=1)[0]!r} must be 'Name: value'")
    return name.strip().encode("latin-1", "replace"), value.strip().encode()


def _socket_path(path: str | None, model: str | None) -> str:
    path = path or _SOCKET_PATH
    if model is None or asked_of_socket(path.partition("?")[2].encode()) is not None:
        return path
    return f"{path}{'&' if '?' in path else '?'}{urlencode({'model': model})}"


def _body(model: str | None, file: Path | None) -> bytes:
    if file is None:
        return b"" if model is None else json.dumps({"model": model}).encode()
    try:
        return file.read_bytes()
    except OSError as exc:
        raise ConfigError(f"--body: {file} cannot be read: {exc.strerror}") from exc


class _Request(NamedTuple):
    intent: Intent
    head: RequestHead
    proxy_keys: list[bytes]
    body: bytes
    is_socket: bool


async def _explain(settings: Settings, method: str, path: str, headers: RawHeaders, body: bytes) -> Told:
    raw_path, _, raw_query = path.encode().partition(b"?")
    path_context, rest = split_path_context(raw_path)
    query, keys = without_keys(raw_query, MARK.encode())
    head = HeaderPolicy(header_rules(), Fingerprints(b"")).request(headers)
    upstreams = upstreams_of(settings)
    chooser = Chooser(
        upstreams,
        target_hosts_of(settings),
        routes_of(settings, upstreams),
        model_prefix=settings.routing.model_prefix,
    )
    said = wishes(headers, path_context)
    address = Addresses(upstreams.names()).find(rest, raw_query)
    intent = Intent(method.encode(), address, query, headers, said)
    target, refusal = await chooser.by_itself(intent)
    target, is_socket = _as_socket(target, head, method)
    host = _Host(settings)
    admission = admission_of(settings, KeyFile(host.data.keys), host.rates)
    request = _Request(intent, head, [*head.proxy_keys, *keys], body, is_socket)
    admitted, plan, route, refusal = _decided(chooser, admission, request, target, refusal)
    return {
        "refused": None if refusal is None else {"status": refusal.status, "code": refusal.code, "why": str(refusal)},
        "endpoint": target.endpoint.value,
        "websocket": is_socket,
        "model": asked_of_socket(query) if is_socket else asked_model(target.target.partition(b"?")[0], body),
        "proxy_key": _owner(admitted),
        "limits": host.limits(admitted),
        "running_proxies": host.running,
        "route": None if route is None else route.name,
        "targets": [] if refusal else [_target(settings, host, there, head, body) for there in plan.targets],
        "retries": _retries(plan, route),
        "headers_that_end_here": _ending(head, headers, UPGRADE if is_socket else []),
        "recorded": _recorded(said, target),
        "belongs_to": _belongs(head, path_context, body),
    }


def _decided(
    chooser: Chooser, admission: Admission, request: _Request, target: Target, refusal: _Refusal
) -> tuple[Pass, Plan, Route | None, _Refusal]:
    """Whose the call is, where it goes and along which route, or why it does not; in the order of endpoint.py."""
    intent, head, proxy_keys, body, is_socket = request
    admitted, plan, route = NOBODY, Plan((target,)), None

    def check(there: Target) -> None:
        check_target(admitted, there, head, has_proxy_key=bool(proxy_keys))

    try:
        admitted = admission.identify(proxy_keys)
        admitted.check_record(answer_is_kept=intent.said.log == "full" and intent.said.response_body)
        if not chooser.routes.have_targets:
            check(target)
        admission.begin(admitted)
        if refusal is not None:
            raise refusal
        if is_socket:
            admitted.check_named(asked_of_socket(intent.query))
        else:
            admitted.check_model(intent.method, target.target.partition(b"?")[0], body)
        plan, route = chooser.plan(intent, chooser.by_model(intent, target, body), body, check)
    except (Refused, UpstreamError) as exc:
        refusal = exc
    return admitted, plan, route, refusal


def _as_socket(target: Target, head: RequestHead, method: str) -> tuple[Target, bool]:
    """The target of a request that asks for a WebSocket, and whether it does."""
    is_socket = head.wants_websocket and method == "GET"
    return (target._replace(endpoint=Endpoint.REALTIME) if is_socket else target), is_socket


class _Host:
    """What the processes of this host have counted."""

    def __init__(self, settings: Settings) -> None:
        self.data = DataDir(settings.data_dir)
        running = [numbers for name, numbers in read_living(self.data.counters).items() if name.startswith(_PROXY)]
        #: Proxy processes.
        self.running = len(running)
        # Those that have ended count for a minute, too; without one that runs, what they left is not kept up.
        names = [path.stem for path in self.data.rates.glob(f"{_PROXY}*")] if running else []
        self.rates = RatesSeen(self.data.rates, names)
        self._left_alone: Counter[str] = Counter()
        for numbers in running:
            self._left_alone.update(left_alone(numbers))

    def left_alone_by(self, upstream: str) -> int | None:
        """How many of the running proxies leave it alone; None if that is not known, or none ever would."""
        return self._left_alone.get(upstream)

    def limits(self, admitted: Pass) -> Told | None:
        """Of the key, with what is used of each; None without any."""
        key, terms = admitted.key, admitted.terms
        if key is None:
            return None
        rate = self.rates.look(UUID(key.id).bytes)
        limits = {
            "requests_per_minute": (terms.requests_per_minute, round(rate.calls, 1)),
            "concurrent": (terms.concurrent, rate.running),
            "usd_per_day": (_text(terms.usd_per_day), _text(key.spent.day)),
            "usd_per_month": (_text(terms.usd_per_month), _text(key.spent.month)),
        }
        told = {name: {"limit": limit, "used": used} for name, (limit, used) in limits.items() if limit is not None}
        return told or None


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def _owner(admitted: Pass) -> Told | None:
    key = admitted.key
    if key is None:
        return None
    return {"id": key.id, "organization_id": key.organization_id, "project_id": key.project_id}


def _target(settings: Settings, host: _Host, there: Target, head: RequestHead, body: bytes) -> Told:
    upstream, scheme = there.upstream, there.upstream.origin.scheme
    if there.endpoint is Endpoint.REALTIME:
        scheme = {"http": "ws", "https": "wss"}[scheme]
    asks = settings.usage.streams == "ask" and takes_question(there) and asking_for_usage(body) is not None
    return {
        "upstream": upstream.name,
        "provider": upstream.provider,
        "url": f"{scheme}://{upstream.host.decode()}{there.target.decode('latin-1')}",
        "model_written": there.model,
        "key": _key(settings, there, head),
        "asked_for_usage": asks,
        "left_alone_by": host.left_alone_by(upstream.name),
    }


def _key(settings: Settings, there: Target, head: RequestHead) -> str:
    """Where the key that is sent there comes from."""
    if there.credential is None:
        has_own = bool(head.credentials) and not there.strips_keys
        return "the client's own" if has_own else "none"
    configured = settings.all_upstreams().get(there.upstream.name)
    if configured is None:
        return "the configuration"
    if there.upstream.signer is not None:
        return f"a signature with {configured.access_key_id_env} and {configured.secret_key_env}"
    return f"{there.credential[0].decode()} from {configured.key_env}"


def _retries(plan: Plan, route: Route | None) -> Told:
    retry = plan.retry
    return {
        "attempts_at_each": retry.attempts,
        "statuses": sorted(retry.statuses),
        "first_byte_s": retry.first_byte_s,
        "backoff_s": retry.backoff_s if retry.attempts > 1 else None,
        "budget_s": retry.budget_s if route is not None else None,
        "weights": [place.weight for place in route.places] if route and any(p.weight for p in route.places) else [],
    }


def _ending(head: RequestHead, headers: RawHeaders, made: RawHeaders) -> list[str]:
    """Those that do not go on, and are not ``made`` anew for the upstream."""
    going_on = {name for name, _ in [*head.passed, *made]}
    return [name.decode("latin-1") for name, _ in headers if name not in going_on]


def _recorded(said: Wishes, target: Target) -> str:
    if said.log == "off":
        return "nothing"
    if said.log != "full" or target.endpoint is Endpoint.OTHER:
        return "all but the bodies"
    left_out = [name for name, kept in (("request", said.request_body), ("answer", said.response_body)) if not kept]
    return f"all but the body of the {' and of the '.join(left_out)}" if left_out else "all"


def _belongs(head: RequestHead, path_context: str | None, body: bytes) -> Told:
    recorded = tuple(
        (name.decode("latin-1"), None if value is None else value.decode("latin-1")) for name, value in head.recorded
    )
    try:
        request = json.loads(body)
    except ValueError:
        request = None
    context = attribute(recorded, path_context, request)
    return {
        "session_id": context.session_id,
        "user_id": context.user_id,
        "trace_id": context.trace_id,
        "tags": list(context.tags),
        "metadata": context.metadata,
    }


def _lines(told: Told) -> list[str]:
    lines = []
    for name, value in told.items():
        if name == "targets":
            for number, target in enumerate(value, start=1):
                lines += [f"target {number}", *(_line(f"  {key}", what) for key, what in target.items())]
        elif isinstance(value, dict):
            lines += [name.replace("_", " "), *(_line(f"  {key}", what) for key, what in value.items())]
        else:
            lines.append(_line(name, value))
    return lines


def _line(name: str, value: object) -> str:
    shown = ", ".join(map(str, value)) if isinstance(value, list) else value
    if isinstance(value, dict) and "limit" in value:
        used = value["used"]
        shown = f"{used if isinstance(used, str) else f'{used:g}'} of {value['limit']}"
    return f"{name.replace('_', ' '):22} {'-' if shown in (None, '') else shown}"
