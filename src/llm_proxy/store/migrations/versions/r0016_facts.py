"""Filters that read an index and no row: facts beside the time of calls, and which model answered if it is another.

Both indexes are made anew, which takes some seconds for each million of records.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_FACTS = (
    "status",
    "ending",
    "failure_kind",
    "http_status",
    "provider",
    "upstream",
    "endpoint",
    "key_fingerprint",
    "duration_s",
    "ttft_s",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cost_usd",
)
_ORDER = ("organization_id", "started_at_us", "id")
_BY_ANSWER = ("organization_id", "response_model", "started_at_us", "id")
#: Each says it in its own words, as the query does.
_DIFFERS = {"sqlite": "model IS NOT response_model", "postgresql": "model IS DISTINCT FROM response_model"}
#: In PostgreSQL, parted tables have given them names of their own.
_NAME = sa.text("""
    SELECT indexname FROM pg_indexes
    WHERE schemaname = current_schema() AND tablename = 'completions' AND indexdef LIKE :columns
""")


def upgrade() -> None:
    """Replace both."""
    dialect = op.get_bind().dialect.name
    for name, columns in (("completions_by_time", _ORDER), ("completions_by_response_model", _BY_ANSWER)):
        if dialect == "postgresql":
            columns_of_index = {"columns": f"%({', '.join(columns)})%"}
            for found in op.get_bind().execute(_NAME, columns_of_index).scalars().all():
                op.drop_index(found, "completions")
        else:
            op.drop_index(name, "completions")
    beside = _FACTS if dialect == "sqlite" else ()
    op.create_index("completions_by_time", "completions", [*_ORDER, *beside], postgresql_include=_FACTS)
    where = sa.text(f"response_model IS NOT NULL AND {_DIFFERS[dialect]}")
    op.create_index(
        "completions_by_response_model", "completions", [*_BY_ANSWER], sqlite_where=where, postgresql_where=where
    )
