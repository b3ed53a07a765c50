"""Logins that were ended before their time."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "ended_logins",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("until_us", sa.BigInteger, nullable=False),
    )
