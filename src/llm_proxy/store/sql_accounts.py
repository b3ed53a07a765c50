"""Organisations, projects and keys in the tables of a SqlStore, be it SQLite or PostgreSQL.

A key is never deleted, so that a store on which keys were made never looks like one on which none were.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    LargeBinary,
    RowMapping,
    Table,
    Text,
    UniqueConstraint,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from llm_proxy.model.account import ApiKey, KnownKey, Organization, Project, Scope
from llm_proxy.model.key_terms import terms_from_text, terms_text
from llm_proxy.store.rows import from_micros, restored, storable, to_micros
from llm_proxy.store.sql import metadata
from llm_proxy.store.sql_store import SqlStore

organizations = Table(
    "organizations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at_us", BigInteger, nullable=False),
)

projects = Table(
    "projects",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organization_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    UniqueConstraint("organization_id", "name"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organization_id", Text, nullable=False),
    Column("project_id", Text),
    Column("label", Text),
    # With commas between them.
    Column("scopes", Text, nullable=False),
    # SHA-256 of the key.
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("shown", Text, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("last_used_at_us", BigInteger),
    Column("expires_at_us", BigInteger),
    # JSON; NULL if nothing is limited.
    Column("terms", Text),
)
Index("api_keys_by_organization_id", api_keys.c.organization_id)


class SqlAccounts:
    """See ``Accounts``."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def add_organization(self, organization: Organization) -> Organization:
        """Add it, or find the one that has its name."""

        def add(connection: Connection) -> Organization:
            _insert_if_new(connection, organizations, _organization_row(organization))
            named = organizations.c.name == storable(organization.name)
            return _organization(connection.execute(select(organizations).where(named)).mappings().one())

        return await self._store.writing(add)

    async def organizations(self) -> Sequence[Organization]:
        """All, oldest first."""
        listed = select(organizations).order_by(organizations.c.created_at_us, organizations.c.id)
        return await self._store.reading(
            lambda connection: [*map(_organization, _all(connection, listed))], otherwise=[]
        )

    async def organization(self, id_or_name: str) -> Organization | None:
        """The one that has this id or, failing that, this name."""
        word = storable(id_or_name)
        wanted = select(organizations).where(or_(organizations.c.id == word, organizations.c.name == word))

        def find(connection: Connection) -> Organization | None:
            found = [_organization(row) for row in _all(connection, wanted)]
            return min(found, key=lambda one: one.id != id_or_name, default=None)

        return await self._store.reading(find, otherwise=None)

    async def add_project(self, project: Project) -> Project:
        """Add it, or find the one of its organisation that has its name."""

        def add(connection: Connection) -> Project:
            row = _project_row(project)
            _insert_if_new(connection, projects, row)
            wanted = select(projects).where(
                projects.c.organization_id == row["organization_id"], projects.c.name == row["name"]
            )
            return _project(connection.execute(wanted).mappings().one())

        return await self._store.writing(add)

    async def projects(self, organization_id: str) -> Sequence[Project]:
        """Those of an organisation, oldest first."""
        listed = select(projects).where(projects.c.organization_id == storable(organization_id))
        listed = listed.order_by(projects.c.created_at_us, projects.c.id)
        return await self._store.reading(lambda connection: [*map(_project, _all(connection, listed))], otherwise=[])

    async def add_key(self, key: ApiKey, key_hash: bytes) -> None:
        """Add a key, of which the hash is kept."""
        await self._store.writing(lambda connection: _insert_key(connection, key, key_hash))

    async def keys(self, organization_id: str | None) -> Sequence[ApiKey]:
        """Those of an organisation, or of all, oldest first, with those that have expired."""
        listed = select(api_keys).order_by(api_keys.c.created_at_us, api_keys.c.id)
        if organization_id is not None:
            listed = listed.where(api_keys.c.organization_id == storable(organization_id))
        return await self._store.reading(lambda connection: [*map(key_of, _all(connection, listed))], otherwise=[])

    async def expire_key(self, key_id: str, organization_id: str | None, *, at: datetime) -> ApiKey | None:
        """Let a key be valid no longer than until then; None if the organisation has none of this id."""

        def expire(connection: Connection) -> ApiKey | None:
            key = _locked_key(connection, key_id, organization_id)
            return None if key is None else _expire(connection, key, at)

        return await self._store.writing(expire)

    async def replace_key(
        self,
        key_id: str,
        organization_id: str | None,
        successor: Callable[[ApiKey], tuple[ApiKey, bytes]],
        *,
        now: datetime,
        until: datetime,
    ) -> ApiKey | None:
        """Add the successor of a key, which is valid until then; None if there is no such key, or it has expired."""

        def swap(connection: Connection) -> ApiKey | None:
            key = _locked_key(connection, key_id, organization_id)
            if key is None or not key.is_valid(now):
                return None
            _expire(connection, key, until)
            new, key_hash = successor(key)
            _insert_key(connection, new, key_hash)
            return new

        return await self._store.writing(swap)

    async def known_key(self, key_hash: bytes) -> KnownKey | None:
        """The key that has this hash, valid or not."""
        wanted = select(api_keys, organizations.c.name.label("organization_name"))
        wanted = wanted.join_from(api_keys, organizations, organizations.c.id == api_keys.c.organization_id)
        wanted = wanted.where(api_keys.c.hash == key_hash)

        def find(connection: Connection) -> KnownKey | None:
            row = connection.execute(wanted).mappings().one_or_none()
            if row is None:
                return None
            return KnownKey(key=key_of(row), hash=row["hash"], organization_name=restored(row["organization_name"]))

        return await self._store.reading(find, otherwise=None)

    async def has_keys(self) -> bool:
        """Whether a key was ever made."""
        any_key = select(select(api_keys.c.id).exists())
        return await self._store.reading(lambda connection: bool(connection.scalar(any_key)), otherwise=False)

    async def note_use(self, key_id: str, at: datetime) -> None:
        """Note that a key was used then, unless it was later, too."""
        earlier = or_(api_keys.c.last_used_at_us.is_(None), api_keys.c.last_used_at_us < to_micros(at))
        change = update(api_keys).where(api_keys.c.id == storable(key_id), earlier)
        change = change.values(last_used_at_us=to_micros(at))
        await self._store.writing(lambda connection: connection.execute(change).close())


def _all(connection: Connection, statement: Any) -> Sequence[RowMapping]:
    return connection.execute(statement).mappings().all()


def _insert_if_new(connection: Connection, table: Table, row: dict[str, Any]) -> None:
    # Not "look, then insert": in PostgreSQL two that do so at once would both find nothing.
    if connection.dialect.name == "postgresql":
        connection.execute(postgresql.insert(table).values(row).on_conflict_do_nothing())
    else:
        connection.execute(sqlite.insert(table).values(row).on_conflict_do_nothing())


def _locked_key(connection: Connection, key_id: str, organization_id: str | None) -> ApiKey | None:
    wanted = select(api_keys).where(api_keys.c.id == storable(key_id))
    if organization_id is not None:
        wanted = wanted.where(api_keys.c.organization_id == storable(organization_id))
    row = connection.execute(wanted.with_for_update()).mappings().one_or_none()
    return None if row is None else key_of(row)


def _expire(connection: Connection, key: ApiKey, at: datetime) -> ApiKey:
    expires_at = at if key.expires_at is None else min(at, key.expires_at)
    change = update(api_keys).where(api_keys.c.id == storable(key.id)).values(expires_at_us=to_micros(expires_at))
    connection.execute(change)
    return replace(key, expires_at=expires_at)


def _insert_key(connection: Connection, key: ApiKey, key_hash: bytes) -> None:
    connection.execute(api_keys.insert().values({**_key_row(key), "hash": key_hash}))


def _organization_row(organization: Organization) -> dict[str, Any]:
    return {
        "id": storable(organization.id),
        "name": storable(organization.name),
        "created_at_us": to_micros(organization.created_at),
    }


def _organization(row: RowMapping) -> Organization:
    return Organization(
        id=restored(row["id"]), name=restored(row["name"]), created_at=from_micros(row["created_at_us"])
    )


def _project_row(project: Project) -> dict[str, Any]:
    return {
        "id": storable(project.id),
        "organization_id": storable(project.organization_id),
        "name": storable(project.name),
        "created_at_us": to_micros(project.created_at),
    }


def _project(row: RowMapping) -> Project:
    return Project(
        id=restored(row["id"]),
        organization_id=restored(row["organization_id"]),
        name=restored(row["name"]),
        created_at=from_micros(row["created_at_us"]),
    )


def _key_row(key: ApiKey) -> dict[str, Any]:
    return {
        "id": storable(key.id),
        "organization_id": storable(key.organization_id),
        "project_id": None if key.project_id is None else storable(key.project_id),
        "label": None if key.label is None else storable(key.label),
        "scopes": ",".join(sorted(key.scopes)),
        "shown": key.shown,
        "created_at_us": to_micros(key.created_at),
        "last_used_at_us": _micros(key.last_used_at),
        "expires_at_us": _micros(key.expires_at),
        "terms": None if (terms := terms_text(key.terms)) is None else storable(terms),
    }


def key_of(row: RowMapping) -> ApiKey:
    """The key of a row."""
    return ApiKey(
        id=restored(row["id"]),
        organization_id=restored(row["organization_id"]),
        project_id=None if row["project_id"] is None else restored(row["project_id"]),
        label=None if row["label"] is None else restored(row["label"]),
        scopes=frozenset(map(Scope, row["scopes"].split(","))),
        shown=row["shown"],
        created_at=from_micros(row["created_at_us"]),
        last_used_at=_time(row["last_used_at_us"]),
        expires_at=_time(row["expires_at_us"]),
        terms=terms_from_text(None if row["terms"] is None else restored(row["terms"])),
    )


def _micros(time: datetime | None) -> int | None:
    return None if time is None else to_micros(time)


def _time(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)
