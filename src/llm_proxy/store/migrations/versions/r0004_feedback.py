"""Feedback to calls, and the tasks that ask for it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "feedback_tasks",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("organization_id", sa.Text, nullable=False),
        sa.Column("created_at_us", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("instruction", sa.Text, nullable=False),
        sa.Column("json_schema", sa.Text, nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
    )
    op.create_index("feedback_tasks_by_time", "feedback_tasks", ["organization_id", "created_at_us", "id"])
    op.create_table(
        "feedback",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("organization_id", sa.Text, nullable=False),
        sa.Column("created_at_us", sa.BigInteger, nullable=False),
        sa.Column("task_id", sa.Text, nullable=False),
        sa.Column("json_values", sa.Text, nullable=False),
        sa.Column("comment", sa.Text),
        sa.Column("completions_summary", sa.Text),
        sa.Column("tags", sa.Text, nullable=False),
    )
    op.create_index("feedback_by_time", "feedback", ["organization_id", "created_at_us", "id"])
    op.create_index("feedback_by_task", "feedback", ["organization_id", "task_id", "created_at_us", "id"])
    op.create_table(
        "feedback_completions",
        sa.Column("feedback_id", sa.Text, primary_key=True),
        sa.Column("completion_id", sa.Text, primary_key=True),
        sa.Column("place", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("feedback_completions_by_completion", "feedback_completions", ["completion_id"])
