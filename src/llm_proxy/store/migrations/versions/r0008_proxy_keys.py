"""By which key and for which project a call was made, whose tags were changed by hand, and terms of keys.

Of what was recorded before, none of it is known. What was told through Maxim's API belongs to no project but the
repository that it names.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the columns, and the indexes that find by them."""
    op.add_column("api_keys", sa.Column("terms", sa.Text))
    op.add_column("completions", sa.Column("project_id", sa.Text))
    op.add_column("completions", sa.Column("key_id", sa.Text))
    op.add_column("completions", sa.Column("tags_edited", sa.Boolean))
    for name in ("project_id", "key_id"):
        known = sa.text(f"{name} IS NOT NULL")
        op.create_index(
            f"completions_by_{name}",
            "completions",
            ["organization_id", name, "started_at_us", "id"],
            sqlite_where=known,
            postgresql_where=known,
        )
