"""What every store promises of deletion; see ``Store``. Runs against each of them."""

import asyncio
import json
import random
from datetime import timedelta

import pytest
from msgspec.structs import replace

from llm_proxy.model.completion import Bodies, Context, Status
from llm_proxy.model.query import CompletionQuery
from llm_proxy.store.deletion import Receipt
from records import BODIES, NOON, conversation, record, tagged


def _minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


async def _ids(store, **conditions) -> list[str]:
    page = await store.find(CompletionQuery(**conditions))
    return [completion.id for completion in page.completions]


def test_receipts_add_up():
    one = Receipt(rows=1, bodies=2, pieces=3, bytes=4)

    assert one + one == Receipt(rows=2, bodies=4, pieces=6, bytes=8)
    assert one + Receipt() == one


async def test_what_is_deleted_is_gone_with_all_that_belonged_to_it(store):
    gone, stays = tagged("t", id="1"), tagged("t", id="2")
    await store.put([gone, stays])

    receipt = await store.delete(["1", "never there", "1"])

    assert (receipt.rows, receipt.bodies) == (1, 1)
    assert receipt.bytes > 0
    assert await store.get("1") is None
    assert await _ids(store, tags=("t",)) == ["2"]
    assert await store.delete(["1"]) == Receipt()
    assert await store.get("2") == stays


async def test_a_piece_stays_while_somebody_uses_it_and_goes_with_the_last_one(store):
    short, long = conversation(2)
    (other,) = conversation(1, "o", organization_id="other")
    await store.put([short, long, other])

    first = await store.delete([short.id])
    assert first.pieces == 0
    assert await store.get(long.id) == long
    second = await store.delete([long.id])
    assert second.pieces == 3  # the tool and two messages

    assert await store.get(other.id, "other") == other
    assert (await store.delete([other.id], "other")).pieces == 2


async def test_forks_of_a_conversation_do_not_take_each_others_pieces(store):
    trunk = conversation(6)
    branch = conversation(3)
    for number, call in enumerate(branch[1:], start=1):
        asked = json.loads(call.bodies.request_body)
        asked["messages"][1]["content"] = f"another {asked['messages'][1]['content']}"
        bodies = replace(call.bodies, request_body=json.dumps(asked).encode(), request=asked)
        branch[number] = replace(call, id=f"fork {number}", bodies=bodies)
    await store.put(trunk + branch[1:])

    await store.delete([call.id for call in trunk])

    assert [await store.get(call.id) for call in branch[1:]] == branch[1:]
    await store.delete([call.id for call in branch])
    await store.put(trunk)
    assert [await store.get(call.id) for call in trunk] == trunk


async def test_bodies_can_be_deleted_alone(store):
    calls = conversation(3)
    await store.put(calls)

    receipt = await store.delete([call.id for call in calls], bodies_only=True)

    assert (receipt.rows, receipt.bodies, receipt.pieces) == (0, 3, 4)
    assert await store.get(calls[0].id) == replace(calls[0], bodies=None)
    assert await store.delete([calls[0].id], bodies_only=True) == Receipt()


@pytest.mark.parametrize(
    ("conditions", "left"),
    [
        ({"until": NOON + _minutes(2)}, ["2", "3", "4"]),
        ({"session_id": "s"}, ["0", "2", "3", "4"]),
        ({"user_id": "u"}, ["0", "1", "3", "4"]),
        ({"tags": ("t",)}, ["0", "1", "2", "4"]),
        ({"model": "m"}, ["0", "1", "2", "3"]),
        ({"search": "nowhere else"}, ["1", "2", "3", "4"]),
        ({"status": Status.STARTED}, ["0", "1", "2", "3", "4"]),
        ({"organization_id": "other"}, ["0", "1", "2", "3", "4"]),
        ({"limit": 1}, []),
    ],
)
async def test_all_that_matches_is_deleted(store, conditions, left):
    different = [
        {"bodies": replace(BODIES, response="nowhere else")},
        {"context": Context(session_id="s")},
        {"context": Context(user_id="u")},
        {"context": Context(tags=("t",))},
        {"response_model": "m"},
    ]
    bare_ones = {"context": Context(), "bodies": BODIES}
    batch = [
        record(id=str(number), started_at=NOON + _minutes(number), **(bare_ones | members))
        for number, members in enumerate(different)
    ]
    await store.put([*batch, record(id="5", organization_id="other")])

    receipt = await store.delete_matching(CompletionQuery(**conditions))

    assert sorted(await _ids(store)) == left
    assert receipt.rows == receipt.bodies == (1 if "organization_id" in conditions else 5 - len(left))


async def test_the_bodies_of_all_that_matches_are_deleted_in_as_many_batches_as_it_takes(store):
    await store.put([record(id=f"{number:04}", bodies=replace(BODIES, response=number)) for number in range(1100)])

    receipt = await store.delete_matching(CompletionQuery(until=NOON + _minutes(1)), bodies_only=True)

    assert (receipt.rows, receipt.bodies) == (0, 1100)
    assert len(await _ids(store, limit=None)) == 1100
    assert await store.delete_matching(CompletionQuery(), bodies_only=True) == Receipt()


async def test_the_oldest_go_first_until_the_store_is_small_enough(store):
    noise = random.Random(1).randbytes
    batch = [record(id=f"{number:03}", bodies=Bodies(request_body=noise(20_000))) for number in range(200)]
    for start in range(0, 200, 50):
        await store.put(batch[start : start + 50])
    full = await store.disk_bytes()

    assert await store.shrink(full) == Receipt()
    receipt = await store.shrink(full // 2, bodies_only=True)

    assert await store.disk_bytes() <= full // 2
    assert 90 <= receipt.bodies <= 160
    assert receipt.rows == 0
    with_bodies = [(await store.get(completion.id)).bodies is not None for completion in batch]
    assert with_bodies == sorted(with_bodies)
    assert (await store.shrink(0)).rows == 200
    assert await _ids(store) == []


async def test_who_reads_while_others_delete_gets_whole_records_or_none(store):
    calls = conversation(30)
    await store.put(calls)

    async def read() -> None:
        for _ in range(20):
            for found in (await store.find(CompletionQuery(with_bodies=True))).completions:
                assert found == calls[int(found.id)]

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        for call in calls[::-1]:
            group.create_task(store.delete([call.id]))

    assert await _ids(store) == []
