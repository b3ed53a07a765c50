"""Where a call goes: by what it says of itself, then by the model in its body, then along its route.

Invariants: the body is not looked at unless the configuration has something depend on it; nothing here waits but for
the address of a host that the call names itself. ``llm-proxy route`` asks the same questions of the same code.
"""

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from llm_proxy.errors import Refused, UpstreamError
from llm_proxy.model.exchange import Endpoint
from llm_proxy.proxy.addresses import Address
from llm_proxy.proxy.admission import Pass
from llm_proxy.proxy.asked_model import asked_of_socket
from llm_proxy.proxy.attempts import Plan
from llm_proxy.proxy.headers import RequestHead
from llm_proxy.proxy.model_edit import model_in, with_model_in_query
from llm_proxy.proxy.planning import Wanted, plan_of
from llm_proxy.proxy.routes import Route, Routes
from llm_proxy.proxy.routing import Target, by_path_prefix, by_prefix, choose, target_at
from llm_proxy.proxy.target_hosts import TargetHosts
from llm_proxy.proxy.transport.base import RawHeaders
from llm_proxy.proxy.upstreams import Upstreams, require_no_key
from llm_proxy.proxy.wishes import NO_WISHES, Wishes

MODELS = Address(None, None, b"/models", is_native=False)
#: What a call is on record with whose path is none of those that are relayed.
_NOWHERE = Address(None, None, b"", is_native=True)
#: Paths of which it is remembered where they lead, and how long they may be; beyond that somebody is making them up.
_REMEMBERED = 1024
_REMEMBERED_BYTES = 256


class Intent(NamedTuple):
    """What a call says before its body."""

    method: bytes
    #: None if the path is no call.
    address: Address | None
    #: Without keys of ours.
    query: bytes
    headers: RawHeaders
    said: Wishes


class Chooser:
    """Knows the upstreams and the routes."""

    def __init__(
        self, upstreams: Upstreams, target_hosts: TargetHosts, routes: Routes | None = None, *, model_prefix: bool
    ) -> None:
        """``model_prefix`` is whether ``NAME/model`` in a body chooses an upstream."""
        self.upstreams = upstreams
        self.routes = routes or Routes()
        self.model_prefix = model_prefix
        #: Whether what is in a body may decide.
        self.needs_body = model_prefix or bool(self.routes)
        self._target_hosts = target_hosts
        #: Where calls go that say no more of it than method and path, which repeat.
        self._known: dict[tuple[bytes, Address | None], Target] = {}

    def known(self, intent: Intent) -> Target | None:
        """What ``by_itself`` would find; None if that has to be asked."""
        if intent.query or intent.said is not NO_WISHES:
            return None
        return self._known.get((intent.method, intent.address))

    async def by_itself(self, intent: Intent) -> tuple[Target, Refused | UpstreamError | None]:
        """The target, or the default one and why it is not what was asked for: a refused call is on record, too."""
        upstream, refusal = self.upstreams.default, None
        try:
            upstream = choose(self.upstreams, intent.address, intent.said.provider)
            if intent.said.address is not None:
                upstream = await self._target_hosts.upstream(intent.said.address, self.upstreams)
        except (Refused, UpstreamError) as exc:
            refusal = exc
        target = target_at(upstream, intent.address or _NOWHERE, intent.method, intent.query)
        is_plain = refusal is None and intent.said is NO_WISHES and not intent.query
        if is_plain and len(target.target) <= _REMEMBERED_BYTES:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[intent.method, intent.address] = target
        return target, refusal

    def by_model(self, intent: Intent, target: Target, body: bytes | AsyncIterator[bytes]) -> Target:
        """Where the model in ``body`` sends the call, if nothing else says it; not read unless that is asked for."""
        address = intent.address
        if not self.model_prefix or address is None or not isinstance(body, bytes):
            return target
        if not _is_open(address, intent.said):
            return target
        model: str | None = None
        query = intent.query
        is_socket = target.endpoint is Endpoint.REALTIME
        if is_socket:
            if (in_query := by_prefix(self.upstreams, asked_of_socket(query))) is None:
                return target
            upstream, model = in_query
            query = with_model_in_query(query, model)
        elif (in_path := by_path_prefix(self.upstreams, address.path)) is not None:
            upstream, address = in_path[0], address._replace(path=in_path[1])
        elif (in_body := by_prefix(self.upstreams, model_in(body))) is not None:
            upstream, model = in_body
        else:
            return target
        there = target_at(upstream, address, intent.method, query)
        return there._replace(model=model, endpoint=target.endpoint if is_socket else there.endpoint)

    def plan(
        self, intent: Intent, target: Target, body: bytes | AsyncIterator[bytes], check: Callable[[Target], None]
    ) -> tuple[Plan, Route | None]:
        """Where a call that goes to ``target`` by itself is sent, and along which route.

        ``check`` raises Refused for a target that the call may not go to; so does this, if there is no other.
        """
        address, said = intent.address, intent.said
        if address is None:
            check(target)
            return Plan((target,)), None
        wanted = Wanted(
            method=intent.method,
            address=address,
            query=intent.query,
            headers=intent.headers,
            body=body if isinstance(body, bytes) else None,
            named=bool(said.provider or said.address or address.name) or target.model is not None,
            check=check,
        )
        return plan_of(self.routes, wanted, target)

    def asks_for_all_models(self, intent: Intent) -> bool:
        """Whether the answer is a list that is made of those of all upstreams."""
        if intent.address != MODELS or intent.method != b"GET" or not _is_open(MODELS, intent.said):
            return False
        several = self.model_prefix and len(self.upstreams.configured) > 1
        return several or self.routes.lead_elsewhere(self.upstreams.default)


def check_target(admitted: Pass, target: Target, head: RequestHead, *, has_proxy_key: bool) -> None:
    """Raise Refused if the call may not go there, or would come there without a key since ours never goes on."""
    admitted.check_upstream(target.upstream.name)
    if target.credential is None and not (head.credentials or head.key_protocols) and has_proxy_key:
        require_no_key(target.upstream)


def _is_open(address: Address, said: Wishes) -> bool:
    """Whether the model may choose the upstream: nothing else has chosen one."""
    chosen = said.provider or said.address or address.name or address.provider
    return not chosen and not address.is_native
