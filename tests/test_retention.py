"""What goes by itself and what stays, on both stores."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from empty_stores import empty_store
from llm_proxy.errors import StoreUnavailable
from llm_proxy.metrics import Ledger
from llm_proxy.model.account import Organization
from llm_proxy.model.completion import Bodies
from llm_proxy.model.query import CompletionQuery
from llm_proxy.retention import Ages, Limits, Retention, Sizes
from llm_proxy.store.deletion import Receipt
from llm_proxy.store.postgres import PostgresStore
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_removal import SqlRemoval
from llm_proxy.store.sqlite import SqliteStore
from records import NOON, record
from running import until

DAY = timedelta(days=1)


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request, tmp_path):
    if request.param == "sqlite":
        store = SqliteStore(empty_store(tmp_path / "store.sqlite3"))
    else:
        postgres = request.getfixturevalue("postgres")
        name = postgres.create_database(request.getfixturevalue("postgres_database"))
        store = PostgresStore(postgres.url(name))
    await store.migrate()
    yield store
    await store.close()
    if request.param == "postgres":
        postgres.drop_database(name)


def retention(store, ledger=None, **limits):
    return Retention(store, SqlAccounts(store), SqlRemoval(store), limits=Limits(**limits), ledger=ledger or Ledger())


async def left(store, organization_id="default"):
    """Id of each record, and whether what was said is there."""
    query = CompletionQuery(organization_id=organization_id, with_bodies=True, limit=None)
    return {one.id: one.bodies is not None for one in (await store.find(query)).completions}


def aged(days, **different):
    return record(started_at=NOON - days * DAY, **different)


async def test_records_go_at_their_age_and_bodies_at_theirs(store):
    ledger = Ledger()
    await store.put([aged(0.5, id="new"), aged(2, id="older"), aged(9, id="old")])

    removed = await retention(store, ledger, ages=Ages(records=7 * DAY, bodies=DAY)).sweep(NOON)
    again = await retention(store, ledger, ages=Ages(records=7 * DAY, bodies=DAY)).sweep(NOON)

    assert await left(store) == {"new": True, "older": False}
    assert (removed.rows, removed.bodies) == (1, 2)
    assert again == Receipt()
    assert (ledger.get("deleted.records"), ledger.get("deleted.bodies")) == (1, 2)


async def test_an_organisation_may_keep_shorter_or_for_ever_by_its_name_or_id(store):
    accounts = SqlAccounts(store)
    for name in ("short", "ever", "like-all"):
        await accounts.add_organization(Organization(id=f"id-{name}", name=name, created_at=NOON))
    everybody = ["default", "id-short", "id-ever", "id-like-all"]
    await store.put([aged(3, id="3", organization_id=one) for one in everybody])
    await store.put([aged(9, id="9", organization_id=one) for one in everybody])

    own = {"short": Ages(records=DAY), "id-ever": Ages()}
    await retention(store, ages=Ages(records=7 * DAY), own_ages=own).sweep(NOON)

    assert [sorted(await left(store, one)) for one in everybody] == [["3"], [], ["3", "9"], ["3"]]


def large(number, **different):
    """A record whose body does not compress away."""
    said = "".join(f"{number * 7919 + at * 104729:x}" for at in range(4000))
    return record(
        id=f"{number:03}",
        started_at=NOON + timedelta(seconds=number),
        bodies=replace(Bodies(), request={"messages": [{"role": "user", "content": said}]}),
        **different,
    )


@pytest.mark.parametrize("bodies_only", [True, False])
async def test_the_oldest_go_when_the_store_is_too_large(store, bodies_only):
    for number in range(120):
        await store.put([large(number)])
    size = await store.disk_bytes()

    sizes = Sizes(bodies=size // 2) if bodies_only else Sizes(everything=size // 2)
    removed = await retention(store, sizes=sizes).sweep(NOON)

    kept = await left(store)
    assert await store.disk_bytes() <= size // 2
    assert (removed.rows > 0) != bodies_only
    assert removed.bodies > 0
    assert kept["119"]
    assert "000" not in kept or not kept["000"]


@pytest.mark.parametrize("bodies_only", [True, False])
async def test_the_oldest_of_an_organisation_go_when_it_has_too_much_and_nothing_of_another_one(store, bodies_only):
    await SqlAccounts(store).add_organization(Organization(id="id-acme", name="acme", created_at=NOON))
    for number in range(120):
        await store.put([large(number, organization_id=one) for one in ("id-acme", "default")])
    before, others = await store.size("id-acme"), await store.size("default")

    limit = Sizes(bodies=before.body_bytes // 2) if bodies_only else Sizes(everything=before.body_bytes // 2)
    removed = await retention(store, own_sizes={"acme": limit}).sweep(NOON)
    again = await retention(store, own_sizes={"id-acme": limit}).sweep(NOON)

    after, kept = await store.size("id-acme"), await left(store, "id-acme")
    assert after.body_bytes + (0 if bodies_only else after.record_bytes) <= before.body_bytes // 2
    assert (removed.rows, again) == (0 if bodies_only else before.records - after.records, Receipt())
    assert 50 <= removed.bodies <= 110
    assert list(dict(sorted(kept.items())).values()) == sorted(kept.values())
    assert kept["119"]
    assert (await store.size("default"), len(await left(store))) == (others, 120)


async def test_without_limits_nothing_goes_and_nobody_looks(store):
    await store.put([aged(9999)])

    await retention(store).run(interval_s=9999, now=lambda: NOON, leading=pytest.fail)

    assert len(await left(store)) == 1


async def test_it_looks_again_and_again_also_after_the_store_was_away_but_only_while_it_leads(store, capsys):
    await store.put([aged(9, id="old")])
    leads, looks = iter([False, StoreUnavailable("gone fishing"), StoreUnavailable("gone fishing"), True]), []

    @contextlib.asynccontextmanager
    async def leading():
        looks.append(sorted(await left(store)))
        said = next(leads, True)
        if isinstance(said, StoreUnavailable):
            raise said
        yield said

    running = asyncio.create_task(
        retention(store, ages=Ages(records=DAY)).run(interval_s=0.001, now=lambda: datetime.now(UTC), leading=leading)
    )
    await until(lambda: looks and not looks[-1], "the end of what is old")
    running.cancel()
    await asyncio.wait([running])

    assert looks[:4] == [["old"]] * 4
    assert capsys.readouterr().out.count("what is old cannot be deleted") == 1
