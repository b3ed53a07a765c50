"""The record of a call: its row, its tags, its bodies."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    _create_completions()
    _create_completion_tags()
    _create_completion_bodies()


def _create_completions() -> None:
    op.create_table(
        "completions",
        sa.Column("change", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("organization_id", sa.Text, nullable=False),
        sa.Column("started_at_us", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("ending", sa.Text),
        sa.Column("failure_kind", sa.Text),
        sa.Column("failure_reason", sa.Text),
        sa.Column("http_status", sa.SmallInteger),
        sa.Column("provider", sa.Text),
        sa.Column("upstream", sa.Text),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("kind", sa.Text),
        sa.Column("model", sa.Text),
        sa.Column("response_model", sa.Text),
        sa.Column("stream", sa.Boolean),
        sa.Column("tags", sa.Text),
        sa.Column("session_id", sa.Text),
        sa.Column("session_name", sa.Text),
        sa.Column("user_id", sa.Text),
        sa.Column("trace_id", sa.Text),
        sa.Column("metadata", sa.Text),
        sa.Column("notes", sa.Text),
        sa.Column("client", sa.Text),
        sa.Column("key_fingerprint", sa.Text),
        *(sa.Column(name, sa.Float) for name in ("duration_s", "ttfb_s", "ttft_s", "connect_s", "longest_gap_s")),
        sa.Column("chunk_count", sa.BigInteger),
        *(sa.Column(f"{name}_tokens", sa.BigInteger) for name in ("input", "output", "total")),
        *(sa.Column(f"{name}_tokens", sa.BigInteger) for name in ("cached_input", "reasoning_output")),
        sa.Column("usage", sa.Text),
        sa.Column("finish_reasons", sa.Text),
        sa.Column("preview", sa.Text),
        sa.Column("request_bytes", sa.BigInteger),
        sa.Column("response_bytes", sa.BigInteger),
        sa.Column("truncated", sa.Boolean, nullable=False),
        sa.Column("decode_problem", sa.Text),
        sqlite_autoincrement=True,
    )
    _index_completions("time")
    _index_completions("status", "status")
    for name in ("session_id", "user_id", "model", "response_model"):
        _index_completions(name, name, where=sa.text(f"{name} IS NOT NULL"))


def _index_completions(by: str, *columns: str, where: sa.TextClause | None = None) -> None:
    op.create_index(
        f"completions_by_{by}",
        "completions",
        ["organization_id", *columns, "started_at_us", "id"],
        sqlite_where=where,
        postgresql_where=where,
    )


def _create_completion_tags() -> None:
    op.create_table(
        "completion_tags",
        sa.Column("completion_id", sa.Text, sa.ForeignKey("completions.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("tag", sa.Text, primary_key=True),
        sa.Column("organization_id", sa.Text, nullable=False),
        sa.Column("started_at_us", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "completion_tags_by_tag", "completion_tags", ["organization_id", "tag", "started_at_us", "completion_id"]
    )


def _create_completion_bodies() -> None:
    op.create_table(
        "completion_bodies",
        sa.Column("completion_id", sa.Text, sa.ForeignKey("completions.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
