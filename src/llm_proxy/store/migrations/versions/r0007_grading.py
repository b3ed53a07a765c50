"""Who gave feedback and to what else than calls, how many answers a task wants, and who has which call before him."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the columns and the table; of older feedback it is not known who gave it."""
    op.add_column("feedback_tasks", sa.Column("answers_wanted", sa.Integer, nullable=False, server_default="1"))
    for name in ("given_by", "session_id", "trace_id"):
        op.add_column("feedback", sa.Column(name, sa.Text))
    op.create_table(
        "grading_holds",
        sa.Column("task_id", sa.Text, primary_key=True),
        sa.Column("completion_id", sa.Text, primary_key=True),
        sa.Column("grader", sa.Text, primary_key=True),
        sa.Column("until_us", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_index("grading_holds_by_grader", "grading_holds", ["task_id", "grader"])
