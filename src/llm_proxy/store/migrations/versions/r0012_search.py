"""The index for text search. What was recorded before is indexed after the start, and read one by one until then."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "search_blocks",
        sa.Column("last_change", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("first_change", sa.BigInteger, nullable=False),
        sa.Column("oldest_us", sa.BigInteger),
        sa.Column("newest_us", sa.BigInteger),
        sa.Column("words", sa.LargeBinary, nullable=False),
        sa.Column("places", sa.LargeBinary, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        for column in ("words", "places"):
            # Compressed already.
            op.execute(f"ALTER TABLE search_blocks ALTER COLUMN {column} SET STORAGE EXTERNAL")
