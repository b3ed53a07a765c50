"""Where conversations stand, so that sessions can be inferred that nobody named. What was recorded before has none."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the column, which touches no row in either database, and the table."""
    op.add_column("completions", sa.Column("session_inferred", sa.Boolean))
    op.create_table(
        "conversation_turns",
        sa.Column("hash", sa.LargeBinary, primary_key=True),
        sa.Column("said", sa.Boolean, primary_key=True),
        sa.Column("completion_id", sa.Text, nullable=False),
        sa.Column("session_id", sa.Text),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_conversation_turns_completion_id", "conversation_turns", ["completion_id"])
