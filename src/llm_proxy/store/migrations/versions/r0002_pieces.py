"""What bodies share stands once: pieces, and the links that lead to them. In PostgreSQL, records are parted by month.

A body that was written before refers to no link and stays as it is. No PostgreSQL was ever filled before this step, so
that there the tables of the first one are made anew:

- Parted by id, which begins with the time (UUIDv7), so that an id is unique over all parts. The parts are made by who
  writes (postgres_partitions.py); what has an id of another kind is in the part for all others.
- All text sorts by its code points, as in SQLite, and not as the language of the server sorts.
- No foreign keys, which would be checked for every row; the writer deletes from all three tables.
- What is compressed is not compressed again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

#: The columns and indexes of the first step, which are copied, are those of the new tables.
_PARTED = {"completions": "id", "completion_tags": "completion_id", "completion_bodies": "completion_id"}
_TEXTS = """
    DO $$
    DECLARE found record;
    BEGIN
        FOR found IN
            SELECT table_name, column_name FROM information_schema.columns
            WHERE table_schema = current_schema() AND data_type = 'text'
            AND table_name IN ('completions', 'completion_tags', 'completion_bodies')
        LOOP
            EXECUTE format('ALTER TABLE %I ALTER COLUMN %I TYPE text COLLATE "C"', found.table_name, found.column_name);
        END LOOP;
    END $$
"""
_POSTGRESQL = (
    "ALTER TABLE completion_tags DROP CONSTRAINT completion_tags_completion_id_fkey",
    "ALTER TABLE completion_bodies DROP CONSTRAINT completion_bodies_completion_id_fkey",
    "ALTER TABLE completions DROP CONSTRAINT completions_pkey, DROP CONSTRAINT completions_id_key",
    _TEXTS,
    "ALTER TABLE completions ALTER COLUMN change DROP DEFAULT, ADD PRIMARY KEY (id)",
    "DROP SEQUENCE completions_change_seq",
    "CREATE SEQUENCE completions_change",
    "CREATE INDEX completions_by_change ON completions (change)",
    *(
        statement
        for table, key in _PARTED.items()
        for statement in (
            f"ALTER TABLE {table} RENAME TO {table}_before",
            f"CREATE TABLE {table} (LIKE {table}_before INCLUDING INDEXES) PARTITION BY RANGE ({key})",
            f"DROP TABLE {table}_before",
        )
    ),
    "ALTER TABLE completions ALTER COLUMN change SET DEFAULT nextval('completions_change')",
    "ALTER TABLE completion_bodies ALTER COLUMN content SET STORAGE EXTERNAL",
    "ALTER TABLE body_pieces ALTER COLUMN content SET STORAGE EXTERNAL",
    *(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT" for table in _PARTED),
)


def upgrade() -> None:
    """Make the two tables, and the reference to them."""
    op.add_column("completion_bodies", sa.Column("tip", sa.LargeBinary))
    op.create_table(
        "body_links",
        sa.Column("hash", sa.LargeBinary, primary_key=True),
        sa.Column("parent", sa.LargeBinary),
        sa.Column("piece", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "body_pieces",
        sa.Column("hash", sa.LargeBinary, primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    _index("completion_bodies", "tip", where=sa.text("tip IS NOT NULL"))
    _index("body_links", "parent", where=sa.text("parent IS NOT NULL"))
    _index("body_links", "piece")
    if op.get_bind().dialect.name == "postgresql":
        for statement in _POSTGRESQL:
            op.execute(statement)


def _index(table: str, column: str, where: sa.TextClause | None = None) -> None:
    op.create_index(f"{table}_by_{column}", table, [column], sqlite_where=where, postgresql_where=where)
