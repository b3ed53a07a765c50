"""What is counted is what is there, whatever was written and deleted in between."""

import random

from msgspec.structs import replace
from sqlalchemy import text

from llm_proxy.model.completion import Status
from llm_proxy.model.query import CompletionQuery
from llm_proxy.store.deletion import Size
from llm_proxy.store.sql_sizes import BODY_BYTES, PIECE_BYTES, ROW_BYTES, SIZES_OF_RECORDS, Growth, record_bytes
from records import BODIES, conversation, record

#: Row ids of other organisations than the default one end with their names.
_BODIES_OF = "FROM completion_bodies WHERE completion_id {} '%/acme'"


async def counted(store, organization_id, *, length):
    """What a look at all the tables finds."""
    other = organization_id != "default"

    def read(connection):
        sizes = (
            f"WITH sizes (owner, count, bytes, hour, change) AS ({SIZES_OF_RECORDS.format('organization_id = :id')})"
        )
        summed = f"{sizes} SELECT 0, coalesce(sum(count), 0), coalesce(sum(bytes), 0) FROM sizes"
        rows = connection.execute(text(summed), {"id": organization_id}).one()
        bodies = _BODIES_OF.format("LIKE" if other else "NOT LIKE")
        count, size = connection.execute(text(f"SELECT count(*), coalesce(sum({length}(content)), 0) {bodies}")).one()
        return int(rows[1]), int(rows[2]), count * BODY_BYTES + int(size)

    return await store.reading(read, otherwise=None)


async def all_pieces(store, *, length):
    statement = text(f"SELECT count(*) * {PIECE_BYTES} + coalesce(sum({length}(content)), 0) FROM body_pieces")
    return await store.reading(lambda connection: int(connection.execute(statement).scalar_one()), otherwise=0)


async def test_sizes_are_those_of_the_tables_whatever_is_written_replaced_and_deleted(store):
    length = "octet_length" if "Postgres" in type(store).__name__ else "length"
    chance, seen = random.Random(7), []
    for turn in range(12):
        whose = chance.choice(["default", "acme"])
        calls = conversation(4, f"c{turn % 3}", organization_id=whose)
        started = [replace(one, status=Status.STARTED, bodies=None, ending=None) for one in calls[:2]]
        more = {"id": f"m{turn}", "bodies": BODIES, "preview": "\u00e9\U0001f600"}
        mixed = [record(organization_id=one, **more) for one in ("default", "acme")]
        await store.put([*started, *mixed])
        await store.put([*calls, *started])
        await store.put(started)
        if turn % 3 == 2:
            await store.delete(
                [chance.choice(calls).id, mixed[0].id, "nobody"], whose, bodies_only=chance.random() < 0.5
            )
        sizes = {one: await store.size(one) for one in ("default", "acme")}
        found = {one: await counted(store, one, length=length) for one in sizes}
        assert {one: (size.records, size.record_bytes) for one, size in sizes.items()} == {
            one: numbers[:2] for one, numbers in found.items()
        }
        pieces = sum(size.body_bytes for size in sizes.values()) - sum(numbers[2] for numbers in found.values())
        assert pieces == await all_pieces(store, length=length)
        seen.append(sizes)

    for one in ("default", "acme"):
        await store.delete_matching(CompletionQuery(organization_id=one))
        assert await store.size(one) == Size()
    assert len({str(sizes) for sizes in seen}) > 6


async def test_who_has_nothing_has_no_size(store):
    assert await store.size("nobody") == Size()


def test_a_row_counts_by_its_texts():
    assert record_bytes(("id", "\U0001f600", 7, None, 1.5, b"xx")) == ROW_BYTES + 3


def test_what_grows_and_shrinks_by_as_much_is_not_written():
    growth = Growth()
    growth.add("b", records=1, record_bytes=5)
    growth.add("a", body_bytes=3)
    growth.add("c", records=1, record_bytes=5)
    growth.remove([("c", 1, 5)])

    assert growth.rows() == [("a", 0, 0, 3), ("b", 1, 5, 0)]
