"""Of which project feedback, its tasks, saved views and shared links are; those that there are, are of the whole."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

_BEFORE, _MEMBERS = "saved_views_before", ("organization_id", "name", "filter", "columns", "created_at_us")


def upgrade() -> None:
    """Add the columns; views are told apart by theirs as well, which takes a new table."""
    for table in ("feedback_tasks", "feedback", "shares"):
        op.add_column(table, sa.Column("project_id", sa.Text))
    op.rename_table("saved_views", _BEFORE)
    views = op.create_table(
        "saved_views",
        sa.Column("organization_id", sa.Text, primary_key=True),
        sa.Column("project_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("filter", sa.Text, nullable=False),
        sa.Column("columns", sa.Text, nullable=False),
        sa.Column("created_at_us", sa.BigInteger, nullable=False),
    )
    before = sa.table(_BEFORE, *map(sa.column, _MEMBERS))
    kept = sa.select(sa.literal("").label("project_id"), *before.c)
    op.execute(sa.insert(views).from_select(("project_id", *_MEMBERS), kept))
    op.drop_table(_BEFORE)
