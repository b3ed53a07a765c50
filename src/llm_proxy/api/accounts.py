"""Organisations, projects and keys over HTTP, for keys of the scope ``admin``.

A key manages its own organisation. Only who runs the proxy, with the key that is set for that or while there are no
keys at all, makes organisations and manages those of others. A key is in the answer to the request that made it, and
never again.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from llm_proxy.api.auth import Gate
from llm_proxy.api.resource import Answer, Fault, Method, Table, answered, read_object, words
from llm_proxy.errors import Refused
from llm_proxy.model.account import (
    ApiKey,
    Organization,
    Principal,
    Project,
    Scope,
    checked_name,
    new_key,
    new_secret,
    parse_scopes,
    secret_hash,
    successor,
)
from llm_proxy.model.completion import JsonObject
from llm_proxy.model.exchange import new_id
from llm_proxy.store.base import Accounts

#: Longest time that a key may outlive its successor, in seconds.
MAX_GRACE_S = 30 * 86400


def table(accounts: Accounts, gate: Gate) -> Table:
    """What is answered from ``accounts``; ``gate`` is told of what has changed."""

    def method(answer: Answer) -> Method:
        return Method(scope=Scope.ADMIN, answer=answer)

    return {
        "/api/v1/organizations": {
            "GET": method(partial(_organizations, accounts)),
            "POST": method(partial(_add_organization, accounts)),
        },
        "/api/v1/projects": {
            "GET": method(partial(_projects, accounts)),
            "POST": method(partial(_add_project, accounts)),
        },
        "/api/v1/keys": {
            "GET": method(partial(_keys, accounts)),
            "POST": method(partial(_add_key, accounts, gate)),
        },
        "/api/v1/keys/{key_id}": {"DELETE": method(partial(_revoke, accounts, gate))},
        "/api/v1/keys/{key_id}/rotate": {"POST": method(partial(_rotate, accounts, gate))},
    }


async def _organizations(accounts: Accounts, request: Request, principal: Principal) -> Response:
    words(request.query_params, {})
    found = await accounts.organizations()
    shown = [one for one in found if principal.everywhere or one.id == principal.organization_id]
    return answered({"organizations": [_organization_json(one) for one in shown]})


async def _add_organization(accounts: Accounts, request: Request, principal: Principal) -> Response:
    if not principal.everywhere:
        message = "only who runs the proxy makes organisations: `llm-proxy keys create --organization NAME`"
        raise Refused(message, status=403, code="insufficient_scope")
    given = _members(await read_object(request), "name")
    wanted = Organization(id=new_id(), name=_name(given, "name"), created_at=datetime.now(UTC))
    return answered(_organization_json(await accounts.add_organization(wanted)), status=201)


async def _projects(accounts: Accounts, request: Request, principal: Principal) -> Response:
    words(request.query_params, {})
    found = await accounts.projects(principal.organization_id)
    return answered({"projects": [_project_json(one) for one in found]})


async def _add_project(accounts: Accounts, request: Request, principal: Principal) -> Response:
    given = _members(await read_object(request), "name")
    wanted = Project(
        id=new_id(),
        organization_id=principal.organization_id,
        name=_name(given, "name"),
        created_at=datetime.now(UTC),
    )
    return answered(_project_json(await accounts.add_project(wanted)), status=201)


async def _keys(accounts: Accounts, request: Request, principal: Principal) -> Response:
    words(request.query_params, {})
    found = await accounts.keys(principal.organization_id)
    return answered({"keys": [_key_json(one) for one in found]})


async def _add_key(accounts: Accounts, gate: Gate, request: Request, principal: Principal) -> Response:
    given = _members(await read_object(request), "scopes", "label", "project_id")
    secret = new_secret()
    key = new_key(
        secret,
        principal.organization_id,
        scopes=_scopes(given.get("scopes")),
        now=datetime.now(UTC),
        project_id=await _project_id(accounts, principal, given),
        label=None if given.get("label") is None else _name(given, "label"),
    )
    await accounts.add_key(key, secret_hash(secret))
    gate.forget()
    return answered({**_key_json(key), "key": secret}, status=201)


async def _revoke(accounts: Accounts, gate: Gate, request: Request, principal: Principal) -> Response:
    key_id: str = request.path_params["key_id"]
    key = await accounts.expire_key(key_id, principal.organization_id, at=datetime.now(UTC))
    if key is None:
        raise Fault(f"there is no key {key_id!r}", status=404, code="not_found", param="id")
    gate.forget()
    return answered(_key_json(key))


async def _rotate(accounts: Accounts, gate: Gate, request: Request, principal: Principal) -> Response:
    key_id: str = request.path_params["key_id"]
    given = _members(await read_object(request, needed=False), "grace_s")
    secret, now = new_secret(), datetime.now(UTC)
    key = await accounts.replace_key(
        key_id,
        principal.organization_id,
        lambda old: (successor(old, secret, now=now), secret_hash(secret)),
        now=now,
        until=now + timedelta(seconds=_grace_s(given)),
    )
    if key is None:
        raise Fault(f"there is no valid key {key_id!r}", status=404, code="not_found", param="id")
    gate.forget()
    return answered({**_key_json(key), "key": secret}, status=201)


def _members(given: JsonObject, *known: str) -> JsonObject:
    for name in given:
        if name not in known:
            raise Fault(f"{name} is no member; there are {', '.join(known)}", code="unknown_parameter", param=name)
    return given


def _name(given: JsonObject, member: str) -> str:
    name = given.get(member)
    if not isinstance(name, str):
        raise Fault(f"{member} must be a string", param=member)
    try:
        return checked_name(name)
    except ValueError as exc:
        raise Fault(f"{member}: {exc}", param=member) from exc


def _scopes(given: object) -> frozenset[Scope]:
    if not isinstance(given, Sequence) or isinstance(given, str) or not all(isinstance(one, str) for one in given):
        raise Fault(f"scopes must be a list of {', '.join(Scope)}", param="scopes")
    try:
        return parse_scopes(",".join(given))
    except ValueError as exc:
        raise Fault(f"scopes: {exc}", param="scopes") from exc


async def _project_id(accounts: Accounts, principal: Principal, given: JsonObject) -> str | None:
    wanted = given.get("project_id")
    if wanted is None:
        return None
    known = {one.id for one in await accounts.projects(principal.organization_id)}
    if not isinstance(wanted, str) or wanted not in known:
        raise Fault(f"there is no project {wanted!r}", param="project_id")
    return wanted


def _grace_s(given: JsonObject) -> float:
    grace_s = given.get("grace_s", 0)
    if isinstance(grace_s, bool) or not isinstance(grace_s, int | float) or not 0 <= grace_s <= MAX_GRACE_S:
        raise Fault(f"grace_s must be a number from 0 to {MAX_GRACE_S}", param="grace_s")
    return grace_s


def _organization_json(organization: Organization) -> JsonObject:
    return {"id": organization.id, "name": organization.name, "created_at": _time(organization.created_at)}


def _project_json(project: Project) -> JsonObject:
    return {
        "id": project.id,
        "organization_id": project.organization_id,
        "name": project.name,
        "created_at": _time(project.created_at),
    }


def _key_json(key: ApiKey) -> JsonObject:
    return {
        "id": key.id,
        "organization_id": key.organization_id,
        "project_id": key.project_id,
        "label": key.label,
        "scopes": [str(scope) for scope in Scope if scope in key.scopes],
        "shown": key.shown,
        "created_at": _time(key.created_at),
        "last_used_at": None if key.last_used_at is None else _time(key.last_used_at),
        "expires_at": None if key.expires_at is None else _time(key.expires_at),
    }


def _time(time: datetime) -> str:
    return time.isoformat(timespec="microseconds")
