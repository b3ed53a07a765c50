"""``llm-proxy keys``: make, list, revoke and rotate keys in the store itself, whether or not anything else runs.

A key is printed once, when it is made, and alone on standard output in a form that a program can read. A running
``serve`` knows of a change within seconds.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, TypeAlias, TypeVar

from llm_proxy.errors import ConfigError
from llm_proxy.model.account import (
    ApiKey,
    Organization,
    Project,
    Scope,
    checked_name,
    new_key,
    new_secret,
    parse_scopes,
    secret_hash,
    successor,
)
from llm_proxy.model.completion import DEFAULT_ORGANIZATION
from llm_proxy.model.exchange import new_id
from llm_proxy.model.key_terms import NO_TERMS, Terms, parse_terms
from llm_proxy.model.key_text import key_json, scopes_of
from llm_proxy.model.query import parse_time
from llm_proxy.settings.table import Settings
from llm_proxy.store.base import Accounts
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.stores import open_store

Form: TypeAlias = Literal["text", "env", "json"]

#: What makes the first key that is of use beyond this machine.
_CREATE = "llm-proxy keys create --organization NAME --scope write,read"

_Result = TypeVar("_Result")


def has_keys(settings: Settings) -> bool:
    """Whether a key was ever made. Raises StoreUnavailable."""
    return _run(settings, lambda accounts: accounts.has_keys(), read_only=True)


def create(
    settings: Settings,
    *,
    organization: str,
    scope: str,
    project: str | None,
    label: str | None,
    form: Form,
    **terms: object,
) -> int:
    """Make a key, and its organisation and project if they are new; print it. Raises ConfigError."""
    scopes = _said("--scope", lambda: parse_scopes(scope))
    bound = _terms(terms, scopes)
    name = _said("--organization", lambda: checked_name(organization))
    project_name = None if project is None else _said("--project", partial(checked_name, project))
    label = None if label is None else _said("--label", partial(checked_name, label))

    async def make(accounts: Accounts) -> int:
        secret, now = new_secret(), datetime.now(UTC)
        found = await accounts.organization(name)
        owner = found or await accounts.add_organization(Organization(id=new_id(), name=name, created_at=now))
        project_id = None
        if project_name is not None:
            wanted = Project(id=new_id(), organization_id=owner.id, name=project_name, created_at=now)
            project_id = (await accounts.add_project(wanted)).id
        key = new_key(secret, owner.id, scopes=scopes, now=now, project_id=project_id, label=label, terms=bound)
        await accounts.add_key(key, secret_hash(secret))
        _print(key, secret, form)
        return 0

    return _run(settings, make)


def show(settings: Settings, *, organization: str | None, as_json: bool) -> int:
    """Print the keys of an organisation, or of all, oldest first."""

    async def look(accounts: Accounts) -> int:
        owners = {one.id: one.name for one in await accounts.organizations()}
        wanted = None
        if organization is not None:
            found = await accounts.organization(organization)
            if found is None:
                return _none(f"there is no organisation {organization!r}")
            wanted = found.id
        keys = await accounts.keys(wanted)
        for key in keys:
            print(_json_line(key) if as_json else _text_line(key, owners))  # noqa: T201 - this is what the command says
        return 0 if keys else _none(f"there are no keys; make one with `{_CREATE}`")

    return _run(settings, look, read_only=True)


def revoke(settings: Settings, *, key_id: str) -> int:
    """Let a key be valid no longer."""

    async def end(accounts: Accounts) -> int:
        if await accounts.expire_key(key_id, None, at=datetime.now(UTC)) is None:
            return _none(f"there is no key with the id {key_id!r}; `llm-proxy keys list` has the ids")
        return 0

    return _run(settings, end)


def rotate(settings: Settings, *, key_id: str, grace: str, form: Form) -> int:
    """Make a key in the place of another one, which stays valid for ``grace``; print it. Raises ConfigError."""
    now = datetime.now(UTC)
    until = now + (now - _said("--grace", lambda: parse_time(grace, now=now)))
    if until < now:
        raise ConfigError(f"--grace: {grace!r} is no duration; write 0s, 15m, 2h or 7d")

    async def swap(accounts: Accounts) -> int:
        secret = new_secret()
        key = await accounts.replace_key(
            key_id,
            None,
            lambda old: (successor(old, secret, now=now), secret_hash(secret)),
            now=now,
            until=until,
        )
        if key is None:
            return _none(f"there is no valid key with the id {key_id!r}; `llm-proxy keys list` has the ids")
        _print(key, secret, form)
        return 0

    return _run(settings, swap)


def _run(
    settings: Settings, use: Callable[[Accounts], Coroutine[Any, Any, _Result]], *, read_only: bool = False
) -> _Result:
    if not read_only:
        DataDir(settings.data_dir).prepare()
    store = open_store(settings, read_only=read_only)
    with asyncio.Runner() as runner:
        try:
            if not read_only:
                runner.run(store.migrate())
            return runner.run(use(SqlAccounts(store)))
        finally:
            runner.run(store.close())


def _terms(said: dict[str, Any], scopes: frozenset[Scope]) -> Terms:
    given = {name: list(value) if isinstance(value, tuple) else value for name, value in said.items() if value}
    try:
        terms = parse_terms(given)
    except ValueError as exc:
        raise ConfigError(f"the terms of the key: {exc}") from exc
    if terms != NO_TERMS and Scope.PROXY not in scopes:
        raise ConfigError("--scope: only a key of the scope proxy has terms to relay calls on")
    return terms


def _said(flag: str, parse: Callable[[], _Result]) -> _Result:
    try:
        return parse()
    except ValueError as exc:
        raise ConfigError(f"{flag}: {exc}") from exc


def _print(key: ApiKey, secret: str, form: Form) -> None:
    lines = {
        "env": [f"LLM_PROXY_KEY={secret}", f"LLM_PROXY_ORGANIZATION={key.organization_id}"],
        "json": [json.dumps({"key": secret, **key_json(key)})],
        "text": [
            f"  key            {secret}",
            f"  organization   {key.organization_id}",
            f"  scopes         {_scopes(key)}",
            f"  id             {key.id}",
            "",
            "Keep it now: it is not shown again.",
        ],
    }[form]
    print(*lines, sep="\n")  # noqa: T201 - this is what the command says


def _json_line(key: ApiKey) -> str:
    return json.dumps(key_json(key))


def _text_line(key: ApiKey, owners: dict[str, str]) -> str:
    owner = owners.get(key.organization_id, DEFAULT_ORGANIZATION)
    used = "never used" if key.last_used_at is None else f"used {key.last_used_at:%Y-%m-%d %H:%M}Z"
    valid = "" if key.expires_at is None else f"  valid until {key.expires_at:%Y-%m-%d %H:%M:%S}Z"
    return f"{key.id}  {key.shown}  {owner}  {_scopes(key)}  {used}{valid}  {key.label or ''}".rstrip()


def _scopes(key: ApiKey) -> str:
    return ",".join(scopes_of(key))


def _none(line: str) -> int:
    print(f"llm-proxy: {line}", file=sys.stderr)  # noqa: T201 - this is what the command says
    return 1
