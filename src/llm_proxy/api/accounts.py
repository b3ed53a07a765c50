"""Organisations, projects and keys over HTTP, for keys of the scope ``admin``.

A key manages its own organisation, and one of a project the keys of that project. Only who runs the proxy, with the key
that is set for that or while there are no keys at all, makes organisations and manages those of others. A key is in the
answer to the request that made it, and never again.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Required, TypedDict

from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from llm_proxy.api.auth import Gate
from llm_proxy.api.operation import Operation, shaped
from llm_proxy.api.resource import Answer, Fault, Table, read_object, words
from llm_proxy.errors import Refused
from llm_proxy.model.account import (
    MAX_NAME_CHARACTERS,
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
from llm_proxy.model.key_terms import NO_TERMS, Terms, TermsFields, parse_terms
from llm_proxy.model.key_text import KeyFields, key_json, time_text
from llm_proxy.store.base import Accounts

#: Longest time that a key may outlive its successor, in seconds.
MAX_GRACE_S = 30 * 86400


class OrganizationFields(TypedDict):
    """An organisation."""

    id: str
    name: str
    created_at: str


class Organizations(TypedDict):
    """All that the caller manages."""

    organizations: list[OrganizationFields]


class ProjectFields(TypedDict):
    """A project."""

    id: str
    organization_id: str
    name: str
    created_at: str


class Projects(TypedDict):
    """All of an organisation."""

    projects: list[ProjectFields]


class Keys(TypedDict):
    """All of an organisation, with those that have expired."""

    keys: list[KeyFields]


class MadeKey(KeyFields):
    """A key that was just made, whole."""

    key: str


class Name(TypedDict):
    """The name of what is to be made."""

    name: Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARACTERS)]


class NewKey(TypedDict, total=False):
    """What a key is to be for."""

    scopes: Required[list[Annotated[str, Meta(extra_json_schema={"enum": [*Scope]})]]]
    label: str
    project_id: str
    #: Of a key of the scope ``proxy``.
    terms: TermsFields


class Grace(TypedDict, total=False):
    """How long the old key is still valid, in seconds."""

    grace_s: Annotated[float, Meta(ge=0, le=MAX_GRACE_S)]


def table(accounts: Accounts, gate: Gate) -> Table:
    """What is answered from ``accounts``; ``gate`` is told of what has changed."""

    def listed(answer: Answer, about: str, gives: type) -> Operation:
        return Operation(scope=Scope.ADMIN, by_project=True, answer=answer, about=about, gives=gives)

    def added(answer: Answer, about: str, takes: type, gives: type, *, by_project: bool = False) -> Operation:
        return Operation(
            scope=Scope.ADMIN, by_project=by_project, answer=answer, about=about, takes=takes, gives=gives, status=201
        )

    rotated = Operation(
        scope=Scope.ADMIN,
        by_project=True,
        answer=partial(_rotate, accounts, gate),
        about="Make a key in the place of one.",
        takes=Grace,
        takes_nothing=True,
        gives=MadeKey,
        status=201,
    )
    organizations, projects = partial(_organizations, accounts), partial(_projects, accounts)
    add_organization, add_project = partial(_add_organization, accounts), partial(_add_project, accounts)
    return {
        "/api/v1/organizations": {
            "GET": listed(organizations, "List organisations.", Organizations),
            "POST": added(add_organization, "Make an organisation, or find it by its name.", Name, OrganizationFields),
        },
        "/api/v1/projects": {
            "GET": listed(projects, "List projects.", Projects),
            "POST": added(add_project, "Make a project, or find it by its name.", Name, ProjectFields),
        },
        "/api/v1/keys": {
            "GET": listed(partial(_keys, accounts), "List keys.", Keys),
            "POST": added(partial(_add_key, accounts, gate), "Make a key.", NewKey, MadeKey, by_project=True),
        },
        "/api/v1/keys/{key_id}": {
            "DELETE": listed(partial(_revoke, accounts, gate), "Let a key be valid no longer.", KeyFields)
        },
        "/api/v1/keys/{key_id}/rotate": {"POST": rotated},
    }


async def _organizations(accounts: Accounts, request: Request, principal: Principal) -> Response:
    words(request.query_params, {})
    found = await accounts.organizations()
    shown = [one for one in found if principal.everywhere or one.id == principal.organization_id]
    return shaped({"organizations": [_organization_json(one) for one in shown]})


async def _add_organization(accounts: Accounts, request: Request, principal: Principal) -> Response:
    words(request.query_params, {})
    if not principal.everywhere:
        message = "only who runs the proxy makes organisations: `llm-proxy keys create --organization NAME`"
        raise Refused(message, status=403, code="insufficient_scope")
    given = _members(await read_object(request), "name")
    wanted = Organization(id=new_id(), name=_name(given, "name"), created_at=datetime.now(UTC))
    return shaped(_organization_json(await accounts.add_organization(wanted)), status=201)


async def _projects(accounts: Accounts, request: Request, principal: Principal) -> Response:
    words(request.query_params, {})
    return shaped({"projects": [_project_json(one) for one in await projects_of(accounts, principal)]})


async def _add_project(accounts: Accounts, request: Request, principal: Principal) -> Response:
    words(request.query_params, {})
    given = _members(await read_object(request), "name")
    wanted = Project(
        id=new_id(),
        organization_id=principal.organization_id,
        name=_name(given, "name"),
        created_at=datetime.now(UTC),
    )
    return shaped(_project_json(await accounts.add_project(wanted)), status=201)


async def _keys(accounts: Accounts, request: Request, principal: Principal) -> Response:
    words(request.query_params, {})
    return shaped({"keys": [key_json(one) for one in await keys_of(accounts, principal)]})


async def _add_key(accounts: Accounts, gate: Gate, request: Request, principal: Principal) -> Response:
    words(request.query_params, {})
    given = _members(await read_object(request), "scopes", "label", "project_id", "terms")
    secret, scopes = new_secret(), _scopes(given.get("scopes"))
    key = new_key(
        secret,
        principal.organization_id,
        scopes=scopes,
        now=datetime.now(UTC),
        project_id=await _project_id(accounts, principal, given),
        label=None if given.get("label") is None else _name(given, "label"),
        terms=_terms(given.get("terms"), scopes),
    )
    await accounts.add_key(key, secret_hash(secret))
    gate.forget()
    return shaped({**key_json(key), "key": secret}, status=201)


async def _revoke(accounts: Accounts, gate: Gate, request: Request, principal: Principal) -> Response:
    words(request.query_params, {})
    key_id: str = request.path_params["key_id"]
    await _check_key(accounts, principal, key_id)
    key = await accounts.expire_key(key_id, principal.organization_id, at=datetime.now(UTC))
    if key is None:
        raise _no_key(key_id)
    gate.forget()
    return shaped(key_json(key))


async def _rotate(accounts: Accounts, gate: Gate, request: Request, principal: Principal) -> Response:
    words(request.query_params, {})
    key_id: str = request.path_params["key_id"]
    await _check_key(accounts, principal, key_id)
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
    return shaped({**key_json(key), "key": secret}, status=201)


async def projects_of(accounts: Accounts, principal: Principal) -> Sequence[Project]:
    """Those that ``principal`` has to do with."""
    return [one for one in await accounts.projects(principal.organization_id) if principal.has_project(one.id)]


async def keys_of(accounts: Accounts, principal: Principal) -> Sequence[ApiKey]:
    """Those that ``principal`` manages."""
    return [one for one in await accounts.keys(principal.organization_id) if principal.has_project(one.project_id)]


async def _check_key(accounts: Accounts, principal: Principal, key_id: str) -> None:
    """Raises Fault if a key of a project is to change a key that is not of it."""
    if principal.project_id is not None and key_id not in {one.id for one in await keys_of(accounts, principal)}:
        raise _no_key(key_id)


def _no_key(key_id: str) -> Fault:
    return Fault(f"there is no key {key_id!r}", status=404, code="not_found", param="id")


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


def _terms(given: object, scopes: frozenset[Scope]) -> Terms:
    if given is None:
        return NO_TERMS
    if not isinstance(given, dict):
        raise Fault("terms must be an object", param="terms")
    try:
        terms = parse_terms(given)
    except ValueError as exc:
        raise Fault(f"terms: {exc}", param="terms") from exc
    if terms != NO_TERMS and Scope.PROXY not in scopes:
        raise Fault("terms: only a key of the scope proxy has terms to relay calls on", param="terms")
    return terms


async def _project_id(accounts: Accounts, principal: Principal, given: JsonObject) -> str | None:
    wanted = given.get("project_id")
    if wanted is None:
        return principal.project_id
    known = {one.id for one in await projects_of(accounts, principal)}
    if not isinstance(wanted, str) or wanted not in known:
        raise Fault(f"there is no project {wanted!r}", param="project_id")
    return wanted


def _grace_s(given: JsonObject) -> float:
    grace_s = given.get("grace_s", 0)
    if isinstance(grace_s, bool) or not isinstance(grace_s, int | float) or not 0 <= grace_s <= MAX_GRACE_S:
        raise Fault(f"grace_s must be a number from 0 to {MAX_GRACE_S}", param="grace_s")
    return grace_s


def _organization_json(organization: Organization) -> OrganizationFields:
    return {"id": organization.id, "name": organization.name, "created_at": time_text(organization.created_at)}


def _project_json(project: Project) -> ProjectFields:
    return {
        "id": project.id,
        "organization_id": project.organization_id,
        "name": project.name,
        "created_at": time_text(project.created_at),
    }
