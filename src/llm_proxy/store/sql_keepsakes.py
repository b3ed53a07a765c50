"""Saved views and shared links, in the tables of a SqlStore, be it SQLite or PostgreSQL."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, ColumnElement, Connection, Index, RowMapping, Table, Text, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from llm_proxy.model.keepsake import SavedView, Share, Shared
from llm_proxy.store.rows import from_micros, restored, storable, to_micros
from llm_proxy.store.sql import metadata
from llm_proxy.store.sql_store import SqlStore

saved_views = Table(
    "saved_views",
    metadata,
    Column("organization_id", Text, primary_key=True),
    # Empty if it is of the whole organisation: what is unknown is no key.
    Column("project_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("filter", Text, nullable=False),
    # With commas between them.
    Column("columns", Text, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
)

shares = Table(
    "shares",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organization_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("expires_at_us", BigInteger, nullable=False),
    Column("project_id", Text),
)
Index("shares_by_organization_id", shares.c.organization_id, shares.c.created_at_us)

_INSERT: dict[str, Callable[..., Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class SqlKeepsakes:
    """See ``Keepsakes``."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def save_view(self, view: SavedView) -> None:
        """Keep a view, in place of the one that has its name."""
        row = {
            "organization_id": storable(view.organization_id),
            "project_id": storable(view.project_id or ""),
            "name": storable(view.name),
            "filter": storable(view.filter),
            "columns": storable(",".join(view.columns)),
            "created_at_us": to_micros(view.created_at),
        }

        def save(connection: Connection) -> None:
            insert = _INSERT[connection.dialect.name](saved_views).values(row)
            connection.execute(insert.on_conflict_do_update(index_elements=saved_views.primary_key.columns, set_=row))

        await self._store.writing(save)

    async def views(self, organization_id: str, *, project_id: str | None = None) -> Sequence[SavedView]:
        """Those of an organisation as a whole or of one of its projects, by their names."""
        wanted = select(saved_views).where(*_views_of(organization_id, project_id))
        nothing: Sequence[SavedView] = ()
        found = await self._store.reading(
            lambda connection: [_view(row) for row in connection.execute(wanted).mappings()], otherwise=nothing
        )
        return sorted(found, key=lambda view: view.name.casefold())

    async def views_of_projects(self, organization_id: str) -> Sequence[SavedView]:
        """Those of all projects of an organisation, one project after the other, by their names."""
        of = saved_views.c
        wanted = select(saved_views).where(of.organization_id == storable(organization_id), of.project_id != "")
        nothing: Sequence[SavedView] = ()
        found = await self._store.reading(
            lambda connection: [_view(row) for row in connection.execute(wanted).mappings()], otherwise=nothing
        )
        return sorted(found, key=lambda view: (view.project_id or "", view.name.casefold()))

    async def drop_view(self, organization_id: str, name: str, *, project_id: str | None = None) -> bool:
        """Forget a view; whether there was one."""
        named = *_views_of(organization_id, project_id), saved_views.c.name == storable(name)
        return await self._store.writing(lambda connection: _dropped(connection, saved_views, *named))

    async def add_share(self, share: Share) -> None:
        """Add a link."""
        row = {
            "id": storable(share.id),
            "organization_id": storable(share.organization_id),
            "project_id": None if share.project_id is None else storable(share.project_id),
            "kind": share.kind.value,
            "target": storable(share.target),
            "created_at_us": to_micros(share.created_at),
            "expires_at_us": to_micros(share.expires_at),
        }

        def add(connection: Connection) -> None:
            connection.execute(shares.insert().values(row))

        await self._store.writing(add)

    async def share(self, share_id: str, *, at: datetime) -> Share | None:
        """The link of this id, if it has not expired by then."""
        wanted = select(shares).where(shares.c.id == storable(share_id), shares.c.expires_at_us > to_micros(at))

        def read(connection: Connection) -> Share | None:
            row = connection.execute(wanted).mappings().one_or_none()
            return None if row is None else _share(row)

        return await self._store.reading(read, otherwise=None)

    async def shares(self, organization_id: str, *, at: datetime, project_id: str | None = None) -> Sequence[Share]:
        """Those of an organisation, or of a project alone, that have not expired by then, newest first."""
        wanted = select(shares).where(*_shares_of(organization_id, project_id), shares.c.expires_at_us > to_micros(at))
        wanted = wanted.order_by(shares.c.created_at_us.desc(), shares.c.id)
        nothing: Sequence[Share] = ()
        return await self._store.reading(
            lambda connection: [_share(row) for row in connection.execute(wanted).mappings()], otherwise=nothing
        )

    async def drop_share(self, organization_id: str, share_id: str, *, project_id: str | None = None) -> bool:
        """Take a link back; whether there was one."""
        named = *_shares_of(organization_id, project_id), shares.c.id == storable(share_id)
        return await self._store.writing(lambda connection: _dropped(connection, shares, *named))


def _views_of(organization_id: str, project_id: str | None) -> tuple[ColumnElement[bool], ...]:
    of = saved_views.c
    return of.organization_id == storable(organization_id), of.project_id == storable(project_id or "")


def _shares_of(organization_id: str, project_id: str | None) -> tuple[ColumnElement[bool], ...]:
    of_all = shares.c.organization_id == storable(organization_id)
    return (of_all,) if project_id is None else (of_all, shares.c.project_id == storable(project_id))


def _dropped(connection: Connection, table: Table, *which: Any) -> bool:
    return connection.execute(delete(table).where(*which)).rowcount > 0


def _view(row: RowMapping) -> SavedView:
    columns = restored(row["columns"])
    return SavedView(
        organization_id=restored(row["organization_id"]),
        project_id=restored(row["project_id"]) or None,
        name=restored(row["name"]),
        filter=restored(row["filter"]),
        columns=tuple(columns.split(",")) if columns else (),
        created_at=from_micros(row["created_at_us"]),
    )


def _share(row: RowMapping) -> Share:
    return Share(
        id=restored(row["id"]),
        organization_id=restored(row["organization_id"]),
        project_id=None if row["project_id"] is None else restored(row["project_id"]),
        kind=Shared(row["kind"]),
        target=restored(row["target"]),
        created_at=from_micros(row["created_at_us"]),
        expires_at=from_micros(row["expires_at_us"]),
    )
