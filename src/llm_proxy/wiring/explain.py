"""``llm-proxy route``: what would happen to a request, by the code that would do it; nothing is sent.

The draw by weights is a draw here, too, and breakers are not asked: they are of running processes.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from llm_proxy.attribution.context import attribute
from llm_proxy.attribution.path import split_path_context
from llm_proxy.errors import ConfigError, Refused, UpstreamError
from llm_proxy.model.account import MARK
from llm_proxy.model.exchange import Endpoint
from llm_proxy.proxy.addresses import Addresses
from llm_proxy.proxy.admission import NOBODY, Pass
from llm_proxy.proxy.asked_model import asked_model
from llm_proxy.proxy.attempts import Plan
from llm_proxy.proxy.choosing import Chooser, Intent, check_target
from llm_proxy.proxy.credentials import Fingerprints, without_keys
from llm_proxy.proxy.headers import HeaderPolicy, RequestHead
from llm_proxy.proxy.key_file import KeyFile
from llm_proxy.proxy.routes import Route
from llm_proxy.proxy.routing import Target
from llm_proxy.proxy.stream_usage import asking_for_usage, takes_question
from llm_proxy.proxy.transport.base import RawHeaders
from llm_proxy.proxy.wishes import Wishes, wishes
from llm_proxy.settings.table import Settings
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.proxy import admission_of, header_rules
from llm_proxy.wiring.routes import routes_of
from llm_proxy.wiring.upstreams import target_hosts_of, upstreams_of

Told = dict[str, Any]


def show_route(
    settings: Settings,
    *,
    model: str | None,
    path: str,
    method: str,
    headers: tuple[str, ...],
    key: str | None,
    body_file: Path | None,
    as_json: bool,
) -> int:
    """Print it; 1 if the request would be refused. Raises ConfigError."""
    raw_headers = [_header(header) for header in headers]
    if key is not None:
        raw_headers.append((b"Authorization", b"Bearer " + key.encode()))
    told = asyncio.run(_explain(settings, method.upper(), path, raw_headers, _body(model, body_file)))
    sys.stdout.write((json.dumps(told) if as_json else "\n".join(_lines(told))) + "\n")
    return 0 if told["refused"] is None else 1


def _header(text: str) -> tuple[bytes, bytes]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ConfigError(f"--header: {text.split(' ', maxsplit=1)[0]!r} must be 'Name: value'")
    return name.strip().encode("latin-1", "replace"), value.strip().encode()


def _body(model: str | None, file: Path | None) -> bytes:
    if file is None:
        return b"" if model is None else json.dumps({"model": model}).encode()
    try:
        return file.read_bytes()
    except OSError as exc:
        raise ConfigError(f"--body: {file} cannot be read: {exc.strerror}") from exc


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
    admitted, plan, route = NOBODY, Plan((target,)), None
    try:
        admitted = admission_of(settings, KeyFile(DataDir(settings.data_dir).keys), None).identify(
            [*head.proxy_keys, *keys]
        )
        if refusal is not None:
            raise refusal
        admitted.check_record(answer_is_kept=said.log == "full" and said.response_body)
        admitted.check_model(intent.method, target.target.partition(b"?")[0], body)
        plan, route = chooser.plan(
            intent,
            chooser.by_model(intent, target, body),
            body,
            lambda there: check_target(admitted, there, head, has_proxy_key=bool(head.proxy_keys or keys)),
        )
    except (Refused, UpstreamError) as exc:
        refusal = exc
    return {
        "refused": None if refusal is None else {"status": refusal.status, "code": refusal.code, "why": str(refusal)},
        "endpoint": target.endpoint.value,
        "model": asked_model(target.target.partition(b"?")[0], body),
        "proxy_key": _owner(admitted),
        "route": None if route is None else route.name,
        "targets": [] if refusal else [_target(settings, there, head, body) for there in plan.targets],
        "retries": _retries(plan, route),
        "headers_that_end_here": _ending(head, headers),
        "recorded": _recorded(said, target),
        "belongs_to": _belongs(head, path_context, body),
    }


def _owner(admitted: Pass) -> Told | None:
    key = admitted.key
    if key is None:
        return None
    return {"id": key.id, "organization_id": key.organization_id, "project_id": key.project_id}


def _target(settings: Settings, there: Target, head: RequestHead, body: bytes) -> Told:
    upstream, origin = there.upstream, there.upstream.origin
    asks = settings.usage.streams == "ask" and takes_question(there) and asking_for_usage(body) is not None
    return {
        "upstream": upstream.name,
        "provider": upstream.provider,
        "url": f"{origin.scheme}://{upstream.host.decode()}{there.target.decode('latin-1')}",
        "model_written": there.model,
        "key": _key(settings, there, head),
        "asked_for_usage": asks,
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


def _ending(head: RequestHead, headers: RawHeaders) -> list[str]:
    going_on = {name for name, _ in head.passed}
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
    return f"{name.replace('_', ' '):22} {'-' if shown in (None, '') else shown}"
