"""``llm-proxy reprice`` on both stores, and what it leaves as it is."""

import asyncio
import json
from decimal import Decimal

import pytest
from msgspec.structs import replace

from llm_proxy.model.completion import Cost, CostSource, Usage
from llm_proxy.model.query import CompletionQuery
from llm_proxy.settings.table import Settings
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.reprice import repriced, run_reprice
from llm_proxy.wiring.stores import open_store
from records import NO_COST, bare, record

ALL = {
    "tags": (), "session": None, "user": None, "model": None, "status": None, "since": None, "search": None, "limit": 0,
}  # fmt: skip
OWN = Cost(usd=Decimal(3), source=CostSource.OVERRIDE)
TOLD = Cost(usd=Decimal(2), source=CostSource.REPORTED)
LISTED = Cost(usd=Decimal(1), source=CostSource.LIST)


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request, tmp_path):
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"house-model": {"input_cost_per_token": 0.001, "output_cost_per_token": 0.002}}))
    given = {"data_dir": str(tmp_path / "data"), "pricing": {"file": str(prices)}}
    if request.param == "sqlite":
        yield Settings.model_validate(given)
        return
    postgres = request.getfixturevalue("postgres")
    name = postgres.create_database(request.getfixturevalue("postgres_database"))
    yield Settings.model_validate(given | {"store": {"url": postgres.url(name)}})
    postgres.drop_database(name)


def in_store(settings, use):
    async def run():
        store = open_store(settings)
        try:
            await store.migrate()
            return await use(store)
        finally:
            await store.close()

    DataDir(settings.data_dir).prepare()
    return asyncio.run(run())


def stored(settings):
    page = in_store(settings, lambda store: store.find(CompletionQuery(with_bodies=True)))
    return {completion.id: completion for completion in page.completions}


def test_records_cost_what_the_prices_of_now_say_and_nothing_else_of_them_changes(settings, capsys):
    usage = Usage(input_tokens=1000, output_tokens=500)
    ours = record(id="ours", model="house-model", response_model=None, usage=usage, cost=NO_COST)
    old = record(id="old", usage=usage)
    told = record(id="told", usage=usage, cost=TOLD)
    running = bare(id="running")
    in_store(settings, lambda store: store.put([ours, old, told, running]))

    status = run_reprice(settings, **ALL)

    now = stored(settings)
    assert status == 0
    assert (now["ours"].cost.usd, now["ours"].cost.source) == (2, CostSource.OVERRIDE)
    assert (now["old"].cost.usd, now["old"].cost.source) == (Decimal("0.0075"), CostSource.LIST)
    assert replace(now["ours"], cost=NO_COST) == ours
    assert (now["told"], now["running"]) == (told, running)
    assert capsys.readouterr().out == (
        "looked at 4 records: the cost of 2 is another one now, that of 1 is not known\n"
    )


def test_only_what_meets_the_conditions_is_priced_again(settings):
    in_store(settings, lambda store: store.put([record(id="one"), record(id="other", model="x", response_model="y")]))

    run_reprice(settings, **(ALL | {"model": "gpt-4o"}))

    now = stored(settings)
    assert now["one"].cost is not None
    assert now["other"].cost is None


def test_where_nothing_is_recorded_nothing_is_made(tmp_path, capsys):
    run_reprice(Settings(data_dir=tmp_path), **ALL)

    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out.startswith("looked at 0 records")


@pytest.mark.parametrize(
    ("before", "now", "stays"),
    [
        (None, LISTED, False),
        (NO_COST, LISTED, False),
        (LISTED, replace(LISTED, usd=Decimal(5)), False),
        (LISTED, OWN, False),
        (LISTED, TOLD, False),
        (TOLD, OWN, True),
        (TOLD, LISTED, True),
        (LISTED, NO_COST, True),
        (OWN, None, True),
        (NO_COST, None, True),
        (NO_COST, replace(NO_COST, reason="no_model"), False),
    ],
)
def test_what_is_known_gives_way_to_what_is_known_better(before, now, stays):
    after = repriced(record(cost=before), lambda _: now)

    assert after == (before if stays else now)


def test_without_its_bodies_a_record_keeps_its_cost_but_for_the_prices_of_the_operator():
    without = record(cost=replace(LISTED, usd=Decimal(5)), bodies=None)

    assert repriced(without, lambda _: LISTED) == without.cost
    assert repriced(without, lambda _: OWN) == OWN
