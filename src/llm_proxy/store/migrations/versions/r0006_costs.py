"""What a call cost, and three more counts of tokens. Of what was recorded before, none of it is known."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the columns; neither database touches a row for that."""
    for name in ("cache_write_input", "audio_input", "audio_output"):
        op.add_column("completions", sa.Column(f"{name}_tokens", sa.BigInteger))
    op.add_column("completions", sa.Column("cost_usd", sa.Text))
    op.add_column("completions", sa.Column("cost", sa.Text))
