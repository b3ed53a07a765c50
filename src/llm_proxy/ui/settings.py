"""Who may do what, where calls go, and what is derived from headers: for keys of the scope ``admin``.

A key manages its own organisation, one of a project the keys of that; who runs the proxy manages all organisations, one
at a time. A new key is on the page that
answers the form it was made with, and never again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

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
from llm_proxy.model.completion import Context
from llm_proxy.model.exchange import new_id
from llm_proxy.model.filters import Filter
from llm_proxy.model.series import SeriesQuery
from llm_proxy.store.base import Accounts, Statistics
from llm_proxy.ui import present
from llm_proxy.ui.calls import href
from llm_proxy.ui.key_terms import terms_in_words, terms_of
from llm_proxy.ui.reach import asked, keys_of, projects_of
from llm_proxy.ui.room import Table, changes, first, looks, read_form
from llm_proxy.ui.templating import Visitor, page, visitor

#: How long the old key still opens after a rotation, by what the form offers.
_GRACES = {"0": timedelta(), "1h": timedelta(hours=1), "1d": timedelta(days=1), "7d": timedelta(days=7)}
#: Of what upstreams did lately.
_LATELY = timedelta(hours=1)
#: How long to read for it, in seconds; the health is that of the calls that were read.
_PATIENCE_S = 0.3
_MAX_HEADERS = 200

KeepIn = Callable[[Request, Response], Response]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownUpstream:
    """Where calls go, as it was loaded."""

    name: str
    base_url: str
    provider: str | None
    #: Whether the proxy adds a key of its own.
    has_key: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedHeader:
    """What becomes of one header of a request."""

    name: str
    #: Whether the upstream gets it, and what is on record of it, in words.
    goes_on: str
    recorded: str


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What the page is about."""

    accounts: Accounts
    statistics: Statistics
    upstreams: tuple[ShownUpstream, ...]
    #: How many proxy processes of this host leave an upstream alone at the moment, by its name; reads files.
    left_alone: Callable[[], Mapping[str, int]]
    #: To be called after every change of keys.
    forget: Callable[[], None]
    #: Logs in who made the first key, which would close the pages before him.
    keep_in: KeepIn
    #: What is derived from headers.
    attribute: Callable[[Sequence[tuple[str, str | None]]], Context]
    #: What becomes of headers.
    passage: Callable[[Sequence[tuple[str, str]]], Sequence[PassedHeader]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What became of a form."""

    done: str | None = None
    fault: str | None = None
    #: A key that was just made.
    secret: str | None = None
    #: Whether it was the first, by which the pages were closed.
    closed: bool = False
    headers: str = ""
    derived: tuple[tuple[str, str], ...] | None = None
    passed: tuple[PassedHeader, ...] = ()


_Fields = dict[str, list[str]]
_Change = Callable[[House, Principal, _Fields], Awaitable[_Said]]


def table(house: House) -> Table:
    """What can be asked for."""
    acts = {"keys": _add_key, "keys/revoke": _revoke, "keys/rotate": _rotate, "organizations": _add_organization,
            "projects": _add_project, "headers": _derive}  # fmt: skip
    return {
        "/settings": looks(partial(_settings, house), Scope.ADMIN, by_project=True),
        **{
            f"/settings/{path}": changes(partial(_act, house, act), Scope.ADMIN, by_project=True)
            for path, act in acts.items()
        },
    }


async def _settings(house: House, request: Request, principal: Principal) -> Response:
    return await _page(house, await _chosen(house, request, principal), _Said())


async def _act(house: House, act: _Change, request: Request, principal: Principal) -> Response:
    """Do what a form asks for, and show the page with what became of it."""
    chosen = await _chosen(house, request, principal)
    fields = await read_form(request)
    try:
        said = await act(house, chosen, fields)
    except ValueError as exc:
        said = _Said(fault=str(exc))
    if not said.closed:
        return await _page(house, chosen, said)
    visitor.set(Visitor(principal, logged_in=True))
    return house.keep_in(request, await _page(house, chosen, said))


async def _chosen(house: House, request: Request, principal: Principal) -> Principal:
    """``principal`` as one of the organisation that the address names. Raises Refused if it is not."""
    named = request.query_params.get("organization")
    if not named or named == principal.organization_id:
        return principal
    found = await house.accounts.organization(named)
    if found is None or not principal.everywhere:
        raise Refused("there is no such organisation for you", status=403, code="wrong_organization")
    return replace(principal, organization_id=found.id)


async def _add_key(house: House, principal: Principal, fields: _Fields) -> _Said:
    label, project_id = first(fields, "label"), first(fields, "project") or principal.project_id
    if project_id and project_id not in {one.id for one in await projects_of(house.accounts, principal)}:
        raise ValueError("there is no such project")
    secret, scopes = new_secret(), parse_scopes(",".join(fields.get("scope", [])))
    key = new_key(
        secret,
        principal.organization_id,
        scopes=scopes,
        now=datetime.now(UTC),
        project_id=project_id,
        label=checked_name(label) if label else None,
        terms=terms_of(fields, scopes),
    )
    closed = principal.everywhere and not await house.accounts.has_keys()
    await house.accounts.add_key(key, secret_hash(secret))
    house.forget()
    return _Said(done="The key is made. It is shown this once:", secret=secret, closed=closed)


async def _revoke(house: House, principal: Principal, fields: _Fields) -> _Said:
    key_id = await _managed(house, principal, fields)
    key = await house.accounts.expire_key(key_id, principal.organization_id, at=datetime.now(UTC))
    if key is None:
        raise ValueError("there is no such key")
    house.forget()
    return _Said(done=f"The key {present.visible(key.label or key.shown)} opens nothing any more.")


async def _rotate(house: House, principal: Principal, fields: _Fields) -> _Said:
    grace = _GRACES.get(first(fields, "grace") or "0")
    if grace is None:
        raise ValueError(f"the old key can go on for {', '.join(_GRACES)}")
    secret, now = new_secret(), datetime.now(UTC)
    key = await house.accounts.replace_key(
        await _managed(house, principal, fields),
        principal.organization_id,
        lambda old: (successor(old, secret, now=now), secret_hash(secret)),
        now=now,
        until=now + grace,
    )
    if key is None:
        raise ValueError("there is no such key, or it opens nothing any more")
    house.forget()
    return _Said(done="There is a key in its place. It is shown this once:", secret=secret)


async def _managed(house: House, principal: Principal, fields: _Fields) -> str:
    """The id of the key that a form is about. Raises ValueError."""
    key_id = first(fields, "id")
    if key_id not in {one.id for one in await keys_of(house.accounts, principal)}:
        raise ValueError("there is no such key")
    return key_id


async def _add_organization(house: House, principal: Principal, fields: _Fields) -> _Said:
    if not principal.everywhere:
        raise ValueError("only who runs the proxy makes organisations")
    wanted = Organization(id=new_id(), name=_name(fields), created_at=datetime.now(UTC))
    made = await house.accounts.add_organization(wanted)
    return _Said(done=f"There is the organisation {present.visible(made.name)}.")


async def _add_project(house: House, principal: Principal, fields: _Fields) -> _Said:
    if principal.project_id is not None:
        raise ValueError("a key of a project makes no other one")
    owner, now = principal.organization_id, datetime.now(UTC)
    wanted = Project(id=new_id(), organization_id=owner, name=_name(fields), created_at=now)
    made = await house.accounts.add_project(wanted)
    return _Said(done=f"There is the project {present.visible(made.name)}.")


async def _derive(house: House, principal: Principal, fields: _Fields) -> _Said:
    """What the proxy would derive from pasted headers: ``Name: value`` a line, as curl and browsers show them."""
    written = first(fields, "headers")
    lines = [line.strip().removeprefix("<").removeprefix(">").strip() for line in written.splitlines()]
    headers = [(name.strip(), value.strip()) for name, colon, value in (line.partition(":") for line in lines) if colon]
    if not headers or len(headers) > _MAX_HEADERS:
        raise ValueError(f"paste from 1 to {_MAX_HEADERS} headers, a line each: Name: value")
    context = house.attribute(headers)
    metadata = ", ".join(f"{name}={value}" for name, value in context.metadata.items())
    derived = (
        ("Tags", present.text(", ".join(context.tags))),
        ("Session", present.text(" · ".join(filter(None, (context.session_name, context.session_id))))),
        ("User", present.text(context.user_id)),
        ("Trace", present.text(context.trace_id)),
        ("Metadata", present.text(metadata)),
        ("Notes", present.text("; ".join(context.notes))),
    )
    passed = tuple(replace(one, name=present.visible(one.name)) for one in house.passage(headers))
    return _Said(headers=present.visible(written, lines=True), derived=derived, passed=passed)


def _name(fields: _Fields) -> str:
    try:
        return checked_name(first(fields, "name"))
    except ValueError as exc:
        raise ValueError(f"the name {exc}") from exc


async def _page(house: House, principal: Principal, said: _Said) -> Response:
    owner = principal.organization_id
    organizations = [one for one in await house.accounts.organizations() if principal.everywhere or one.id == owner]
    projects = await projects_of(house.accounts, principal)
    keys = await keys_of(house.accounts, principal)
    now = datetime.now(UTC)
    names = {one.id: present.visible(one.name) for one in projects}
    return page(
        "settings.html",
        status=422 if said.fault else 200,
        said=replace(said, fault=said.fault and present.visible(said.fault)),
        query=f"?{urlencode({'organization': owner})}",
        keys=[_key(one, names, now) for one in sorted(keys, key=lambda one: (not one.is_valid(now), one.created_at))],
        scopes=[scope.value for scope in Scope],
        graces=list(_GRACES),
        projects=[(one.id, names[one.id]) for one in projects],
        organizations=[
            (present.visible(one.name), f"/settings?{urlencode({'organization': one.id})}", one.id == owner)
            for one in organizations
        ],
        is_operator=principal.everywhere,
        upstreams=await asyncio.gather(*(_health(house, principal, one, now) for one in house.upstreams)),
    )


def _key(key: ApiKey, projects: dict[str, str], now: datetime) -> dict[str, object]:
    return {
        "id": key.id,
        "label": present.visible(key.label) if key.label else present.DASH,
        "shown": present.visible(key.shown),
        "scopes": ", ".join(scope.value for scope in Scope if scope in key.scopes),
        "terms": present.visible(terms_in_words(key.terms)),
        "project": projects.get(key.project_id or "", present.DASH),
        "used": present.DASH if key.last_used_at is None else present.time(key.last_used_at),
        "expires": present.DASH if key.expires_at is None else present.time(key.expires_at),
        "valid": key.is_valid(now),
    }


async def _health(house: House, principal: Principal, upstream: ShownUpstream, now: datetime) -> dict[str, object]:
    """What an upstream did lately, by the calls that he sees."""
    found = Filter((("upstream", upstream.name),))
    calls = asked(principal, found, now=now)
    query = SeriesQuery(calls=calls, since=now - _LATELY, until=now, step=_LATELY, patience_s=_PATIENCE_S)
    lately = (await house.statistics.series(query)).total
    left_alone = (await asyncio.to_thread(house.left_alone)).get(upstream.name, 0)
    share = lately.failed / lately.calls if lately.calls else None
    health = "unknown" if share is None else "good" if share < 0.05 else "poor" if share < 0.5 else "bad"
    return {
        "name": upstream.name,
        "base_url": present.visible(upstream.base_url),
        "provider": present.text(upstream.provider),
        "has_key": upstream.has_key,
        "calls": present.count(lately.calls),
        "failed": present.count(lately.failed),
        "p95": present.duration(None if lately.latency_s is None else lately.latency_s.p95),
        "health": health,
        "left_alone": left_alone,
        "href": href(found.also("since", "1h")),
    }
