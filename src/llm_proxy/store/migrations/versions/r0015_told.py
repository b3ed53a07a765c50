"""Sessions and traces that programs told of are listed by time, in whichever repository."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Make the index."""
    op.create_index("entities_by_kind", "entities", ["organization_id", "kind", "started_at_us", "id"])
