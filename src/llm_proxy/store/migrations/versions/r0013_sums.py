"""What the calls of an hour took together. What was recorded before is summed up after the start."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Make the table and, for PostgreSQL, an index that says what an hour holds; SQLite has one that does."""
    op.create_table(
        "hour_sums",
        sa.Column("organization_id", sa.Text, primary_key=True),
        sa.Column("by", sa.Text, primary_key=True),
        sa.Column("at_us", sa.BigInteger, primary_key=True),
        sa.Column("of", sa.Text, primary_key=True),
        sa.Column("held", sa.BigInteger, nullable=False),
        sa.Column("last_change", sa.BigInteger, nullable=False),
        sa.Column("calls", sa.BigInteger, nullable=False),
        sa.Column("measures", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE INDEX completions_by_hour ON completions (organization_id, started_at_us) INCLUDE (change)")
