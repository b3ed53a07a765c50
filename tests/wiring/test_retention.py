from datetime import UTC, datetime, timedelta

import pytest

from empty_stores import empty_store
from llm_proxy.metrics import read_all
from llm_proxy.retention import Ages, Limits, Sizes
from llm_proxy.settings.table import Settings
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.retention import leading, limits_of
from records import record
from running import serve, until


def test_days_of_the_settings_are_ages_and_an_empty_section_keeps_for_ever():
    settings = Settings.model_validate(
        {
            "retention": {
                "max_age_days": 1.5,
                "max_bytes": 9,
                "organizations": {
                    "a": {"bodies_max_age_days": 1.0},
                    "b": {},
                    "c": {"max_bytes": 5, "bodies_max_bytes": 4},
                },
            }
        }
    )

    limits = limits_of(settings.retention)

    assert limits == Limits(
        ages=Ages(records=timedelta(hours=36)),
        own_ages={"a": Ages(bodies=timedelta(days=1)), "b": Ages()},
        own_sizes={"a": Sizes(), "b": Sizes(), "c": Sizes(everything=5, bodies=4)},
        sizes=Sizes(everything=9),
    )
    assert limits.are_set
    assert not limits_of(Settings().retention).are_set


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_one_process_at_a_time_leads(tmp_path, request, kind):
    url = request.getfixturevalue("postgres").url() if kind == "postgres" else None
    settings = Settings.model_validate({"data_dir": str(tmp_path), "store": {"url": url}})

    async with leading(settings) as first, leading(settings) as second:
        held = first, second
    async with leading(settings) as later:
        pass

    assert (held, later) == ((True, False), True)


async def test_a_running_product_deletes_what_is_old_and_counts_it(upstream, tmp_path):
    data = DataDir(tmp_path / "data")
    data.prepare()
    store = SqliteStore(empty_store(data.database))
    await store.put([record(id="old", started_at=datetime.now(UTC) - timedelta(days=9))])
    await store.close()

    async with serve(tmp_path, upstream.url, env={"LLM_PROXY_RETENTION__MAX_AGE_DAYS": "7"}) as product:
        await until(lambda: read_all(data.counters)["deleted.records"], "a deletion")
        answer = await product.chat()
        (record_,) = await product.ended(1)
        numbers = await product.numbers()

    assert record_["id"] == answer.headers["x-llm-proxy-id"]
    assert numbers['deleted_total{what="records"}'] == 1
