"""What instrumented programs tell of: sessions, traces and all that is in them, and the files that they upload."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the tables, and a way to find the calls of a trace."""
    op.create_table(
        "entities",
        sa.Column("organization_id", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("repository", sa.Text, primary_key=True),
        sa.Column("trace_id", sa.Text),
        sa.Column("session_id", sa.Text),
        sa.Column("span_id", sa.Text),
        sa.Column("started_at_us", sa.BigInteger, nullable=False),
        sa.Column("completion_id", sa.Text),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_index("entities_by_time", "entities", ["organization_id", "repository", "kind", "started_at_us", "id"])
    for column in ("trace_id", "session_id", "span_id"):
        _index(f"entities_by_{column}", ["organization_id", column], known=column)
    _index("entities_by_completion_id", ["completion_id"], known="completion_id")
    op.create_table(
        "uploads",
        sa.Column("organization_id", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("mime_type", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("created_at_us", sa.BigInteger, nullable=False),
    )
    op.create_index("uploads_by_hash", "uploads", ["hash"])
    _index(
        "completions_by_trace_id",
        ["organization_id", "trace_id", "started_at_us", "id"],
        table="completions",
        known="trace_id",
    )
    if op.get_bind().dialect.name == "postgresql":
        # What is compressed is not compressed again.
        op.execute("ALTER TABLE entities ALTER COLUMN content SET STORAGE EXTERNAL")


def _index(name: str, columns: list[str], *, known: str, table: str = "entities") -> None:
    where = sa.text(f"{known} IS NOT NULL")
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
