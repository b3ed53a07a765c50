"""How a request went out, step by step. What was recorded before knows nothing of it."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the columns, which touches no row in either database."""
    for name in ("sent_s", "overhead_s", "queued_s", "dns_s", "tcp_s", "tls_s"):
        op.add_column("completions", sa.Column(name, sa.Float))
