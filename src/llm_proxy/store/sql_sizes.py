"""How much each organisation has in the store: kept with every write and deletion, in the same transaction.

So nobody ever has to read the tables to know it. A size is in bytes and near to what lies on the disk: of a record, the
characters of its texts and a fixed part for its numbers and places in indexes; of its bodies, what is its own,
compressed, and the pieces that no other organisation has, each once, as long as one of its records refers to them.
"""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import BigInteger, Column, Select, Table, Text, select

from llm_proxy.store.content import Link
from llm_proxy.store.rows import Rows, owner, storable
from llm_proxy.store.sql import completions, metadata
from llm_proxy.store.sql_hours import HOUR_US

#: Of a record, of its bodies and of each piece: what stands beside the text or content, with indexes and links.
ROW_BYTES, BODY_BYTES, PIECE_BYTES = 400, 100, 100

organization_sizes = Table(
    "organization_sizes",
    metadata,
    Column("organization_id", Text, primary_key=True),
    Column("records", BigInteger, nullable=False),
    Column("record_bytes", BigInteger, nullable=False),
    Column("body_bytes", BigInteger, nullable=False),
)

_TEXTS = [column.name for column in completions.c if isinstance(column.type, Text)]
_LENGTHS = " + ".join(f"coalesce(length({name}), 0)" for name in _TEXTS)
#: Rounded down, also before 1970.
_DIVIDED = f"started_at_us / {HOUR_US}"
_HOUR = f"{_DIVIDED} - CASE WHEN started_at_us < {_DIVIDED} * {HOUR_US} THEN 1 ELSE 0 END"
#: Of the records that meet a condition, by organisation and hour: number, bytes, hour and the oldest change.
SIZES_OF_RECORDS = (
    f"SELECT organization_id, count(*), sum({ROW_BYTES} + {_LENGTHS}), {_HOUR}, min(change)"  # noqa: S608
    f" FROM completions WHERE {{}} GROUP BY organization_id, {_HOUR}"
)


class Growth:
    """By how much organisations grow, or shrink, in one transaction."""

    def __init__(self) -> None:
        self._by_organization: dict[str, list[int]] = {}

    def add(self, organization_id: str, *, records: int = 0, record_bytes: int = 0, body_bytes: int = 0) -> None:
        """Note more, or less, of one of them, whose id is as it stands in the tables."""
        sums = self._by_organization.setdefault(organization_id, [0, 0, 0])
        for place, amount in enumerate((records, record_bytes, body_bytes)):
            sums[place] += amount

    def remove(self, sizes_of_records: Iterable[Sequence[object]]) -> None:
        """Note that what SIZES_OF_RECORDS has found goes."""
        for organization_id, records, record_bytes, *_ in sizes_of_records:
            # PostgreSQL's sum is a Decimal.
            self.add(str(organization_id), records=-int(str(records)), record_bytes=-int(str(record_bytes)))

    def rows(self) -> list[tuple[str, int, int, int]]:
        """What is to be added to the table, in the order of its key."""
        return [
            (key, records, record_bytes, body_bytes)
            for key, (records, record_bytes, body_bytes) in sorted(self._by_organization.items())
            if records or record_bytes or body_bytes
        ]


def growth_of(batch: Iterable[Rows], joined: Mapping[str, str]) -> Growth:
    """By how much the records of ``batch`` let their organisations grow, but for the pieces of their bodies.

    ``joined`` are records that were there, and the sessions that were written into them.
    """
    growth = Growth()
    for row_id, session_id in joined.items():
        growth.add(owner(row_id), record_bytes=len(session_id))
    for rows in batch:
        body_bytes = 0
        if rows.bodies is not None:
            _, content, _ = rows.bodies
            body_bytes = BODY_BYTES + (len(content) if isinstance(content, bytes) else 0)
        growth.add(rows.organization_id, records=1, record_bytes=record_bytes(rows.completion), body_bytes=body_bytes)
    return growth


def links_by_owner(batch: Iterable[Rows]) -> dict[str, list[Link]]:
    """The links of all records, by organisation, which share none; in the order of the organisations."""
    found: dict[str, list[Link]] = {}
    for rows in batch:
        if rows.links:
            found.setdefault(rows.organization_id, []).extend(rows.links)
    return dict(sorted(found.items()))


def gone_by_owner(bodies: Iterable[tuple[str, int, bytes | None]], growth: Growth) -> dict[str, set[bytes]]:
    """Note that these bodies (row id, length, tip) are gone; what they referred to, by organisation."""
    tips: dict[str, set[bytes]] = {}
    for id_of_row, length, tip in bodies:
        whose = owner(id_of_row)
        growth.add(whose, body_bytes=-BODY_BYTES - length)
        if tip is not None:
            tips.setdefault(whose, set()).add(tip)
    return tips


def record_bytes(row: Sequence[object]) -> int:
    """The size of a row of ``completions``."""
    return ROW_BYTES + sum([len(value) for value in row if isinstance(value, str)])


def add_sizes(placeholder: str) -> str:
    """The statement that adds a row of ``Growth``, with the driver's own ``placeholder``."""
    names = organization_sizes.c.keys()
    sums = ", ".join(f"{name} = organization_sizes.{name} + excluded.{name}" for name in names[1:])
    return (
        f"INSERT INTO organization_sizes ({', '.join(names)}) VALUES ({', '.join([placeholder] * len(names))})"  # noqa: S608
        f" ON CONFLICT (organization_id) DO UPDATE SET {sums}"
    )


def size_of(organization_id: str) -> Select[int, int, int]:
    """Records, their bytes and those of their bodies; no row if there never were any."""
    table = organization_sizes
    return select(table.c.records, table.c.record_bytes, table.c.body_bytes).where(
        table.c.organization_id == storable(organization_id)
    )
