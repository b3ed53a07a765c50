"""How much each organisation has. What is there already is counted once, for which all of it is read."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_BLOB_LENGTH = {"sqlite": "length", "postgresql": "octet_length"}
#: The pieces that records lead to, each once for each organisation; no two organisations have the same.
_FILL = """
    WITH RECURSIVE walk (organization_id, hash) AS (
        SELECT organization_id, tip FROM completions JOIN completion_bodies ON completion_id = id WHERE tip IS NOT NULL
        UNION
        SELECT organization_id, parent FROM walk JOIN body_links ON body_links.hash = walk.hash WHERE parent IS NOT NULL
    ),
    parts (organization_id, records, record_bytes, body_bytes) AS (
        SELECT organization_id, count(*), sum(400 + {texts}), 0 FROM completions GROUP BY organization_id
        UNION ALL
        SELECT organization_id, 0, 0, sum(100 + {length}(content))
        FROM completions JOIN completion_bodies ON completion_id = id GROUP BY organization_id
        UNION ALL
        SELECT organization_id, 0, 0, sum(100 + {length}(content))
        FROM (
            SELECT DISTINCT organization_id, piece FROM walk JOIN body_links ON body_links.hash = walk.hash
        ) AS used JOIN body_pieces ON body_pieces.hash = piece GROUP BY organization_id
    )
    INSERT INTO organization_sizes (organization_id, records, record_bytes, body_bytes)
    SELECT organization_id, sum(records), sum(record_bytes), sum(body_bytes) FROM parts GROUP BY organization_id
"""


def upgrade() -> None:
    """Make the table and fill it."""
    op.create_table(
        "organization_sizes",
        sa.Column("organization_id", sa.Text, primary_key=True),
        sa.Column("records", sa.BigInteger, nullable=False),
        sa.Column("record_bytes", sa.BigInteger, nullable=False),
        sa.Column("body_bytes", sa.BigInteger, nullable=False),
    )
    bind = op.get_bind()
    columns = sa.inspect(bind).get_columns("completions")
    texts = [column["name"] for column in columns if isinstance(column["type"], sa.Text)]
    lengths = " + ".join(f"coalesce(length({name}), 0)" for name in texts)
    op.execute(sa.text(_FILL.format(texts=lengths, length=_BLOB_LENGTH[bind.dialect.name])))
