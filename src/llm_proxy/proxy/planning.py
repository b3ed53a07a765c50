"""Where a call is sent, and where else if that fails: what its route says, of that which it may be sent to at all.

A target of a route is left out if it does not speak the language of the call, if the key of the call may not go there,
or if it is known to want a key and has none here: the key that a client sent is for where it sent it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from llm_proxy.errors import Refused
from llm_proxy.model.exchange import Endpoint
from llm_proxy.proxy.addresses import Address
from llm_proxy.proxy.asked_model import asked_model, asked_of_socket
from llm_proxy.proxy.attempts import Plan
from llm_proxy.proxy.credentials import split_key
from llm_proxy.proxy.model_edit import with_model_in_path, with_model_in_query
from llm_proxy.proxy.routes import Place, Route, Routes
from llm_proxy.proxy.routing import Target, target_at
from llm_proxy.proxy.transport.base import RawHeaders


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a call says."""

    method: bytes
    address: Address
    query: bytes
    headers: RawHeaders
    #: None if it is passed on piece by piece, which happens once only.
    body: bytes | None
    #: Whether it says itself where it is to go.
    named: bool
    #: Raises Refused if the call may not go there.
    check: Callable[[Target], None]


def plan_of(routes: Routes, wanted: Wanted, target: Target) -> tuple[Plan, Route | None]:
    """The plan of a call that goes to ``target`` by itself, and the route that it follows. Raises Refused."""
    if not routes or wanted.body is None:
        return _unrouted(wanted, target), None
    body, path = wanted.body, target.target.partition(b"?")[0]
    is_socket = target.endpoint is Endpoint.REALTIME

    def asked() -> str | None:
        return asked_of_socket(wanted.query) if is_socket else asked_model(path, body)

    route = routes.find(asked, target.endpoint, wanted.headers, named=wanted.named)
    if route is None:
        return _unrouted(wanted, target), None
    if not route.places:
        wanted.check(target)
        return Plan((target,), route.retry), route
    targets = _targets(routes.order(route), wanted, target)
    return Plan(targets, route.retry) if targets else _unrouted(wanted, target), route


def _unrouted(wanted: Wanted, target: Target) -> Plan:
    wanted.check(target)
    return Plan((target,))


def _targets(places: list[Place], wanted: Wanted, target: Target) -> list[Target]:
    found: list[Target] = []
    refusal: Refused | None = None
    for place in places:
        if not _speaks(place, wanted.address) or (there := _target(place, wanted, target)) is None:
            continue
        try:
            wanted.check(there)
        except Refused as exc:
            refusal = refusal or exc
        else:
            found.append(there)
    if not found and refusal is not None:
        raise refusal
    return found


def _speaks(place: Place, address: Address) -> bool:
    row = place.upstream.row
    return address.provider is None or row is None or row.name == address.provider


def _target(place: Place, wanted: Wanted, target: Target) -> Target | None:
    """The place as a target of the call; None if it wants a key and there is none."""
    upstream, address, query = place.upstream, wanted.address, wanted.query
    has_key, is_socket = upstream.credential is not None, target.endpoint is Endpoint.REALTIME
    is_elsewhere = upstream.origin != target.upstream.origin
    if is_elsewhere and not has_key:
        if upstream.row is not None and upstream.row.keys:
            return None
        query, _ = split_key(query)
    if place.model is not None:
        address = address._replace(path=with_model_in_path(address.path, place.model))
        query = with_model_in_query(query, place.model) if is_socket else query
    there = target_at(upstream, address, wanted.method, query)
    # What a path stands for is known of ordinary calls only.
    endpoint = Endpoint.REALTIME if is_socket else there.endpoint
    return there._replace(endpoint=endpoint, model=place.model, strips_keys=is_elsewhere and not has_key)
