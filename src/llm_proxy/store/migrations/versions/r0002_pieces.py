"""What bodies share stands once: pieces, and the links that lead to them.

A body that was written before refers to no link and stays as it is.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


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


def _index(table: str, column: str, where: sa.TextClause | None = None) -> None:
    op.create_index(f"{table}_by_{column}", table, [column], sqlite_where=where, postgresql_where=where)
