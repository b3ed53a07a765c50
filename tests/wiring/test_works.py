"""What the page of the pipeline shows and does, from a real directory, store and Redis."""

import json

import pytest

from empty_stores import empty_store
from llm_proxy.journal.reader import JournalReader
from llm_proxy.metrics import Ledger
from llm_proxy.queue.base import Delivery
from llm_proxy.queue.in_journal import JournalQueue
from llm_proxy.settings.table import Settings
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.works import PipelineWorks
from queue_ends import Ends
from queue_exchanges import exchange
from records import record


@pytest.fixture
def settings(tmp_path):
    settings = Settings(data_dir=tmp_path / "data", retention={"max_age_days": 30, "max_bytes": 5_000_000_000})
    DataDir(settings.data_dir).prepare()
    return settings


@pytest.fixture
async def store(settings):
    store = SqliteStore(empty_store(DataDir(settings.data_dir).database))
    yield store
    await store.close()


async def bury(settings, sent, reason="the store rejects it"):
    data = DataDir(settings.data_dir)
    queue = JournalQueue(JournalReader(data.journal, ledger=Ledger()), dead_letters=data.dead_letters)
    await queue.bury(Delivery(sent), reason)


async def test_the_account_of_this_host_is_what_its_processes_counted(settings, store):
    ledger = DataDir(settings.data_dir).ledger("proxy-0")
    for name, amount in (("accepted", 5), ("stored", 3), ("dead", 1), ("dropped.log_off", 2)):
        ledger.add(name, amount)

    [account] = await PipelineWorks(settings, store).accounts()

    told = {label: (number, sign) for label, number, sign in account.lines}
    assert (told["Accepted"], told["Stored"], told["Dead letters"]) == ((5, 1), (3, -1), (1, -1))
    assert told["Not recorded at all"] == (2, 0)
    assert account.missing == 1
    assert sum(number * sign for number, sign in told.values()) == account.missing


async def test_a_queue_in_redis_has_an_account_of_its_own_and_says_when_it_is_away(settings, store, redis):
    away = Settings.model_validate({"data_dir": str(settings.data_dir), "redis": {"url": "redis://127.0.0.1:1"}})
    there = Settings.model_validate(
        {
            "data_dir": str(settings.data_dir),
            "redis": {"url": redis.url},
            "streams": {"prefix": Ends(redis.url).prefix},
        }
    )

    [_, found] = await PipelineWorks(there, store).accounts()
    [_, missing] = await PipelineWorks(away, store).accounts()

    assert (found.title, found.missing, found.problem) == ("Redis", 0, None)
    assert missing.problem is not None


async def test_dead_letters_are_listed_shown_tried_again_and_dropped(settings, store):
    first, second = exchange(), exchange()
    for one in (first, second):
        await bury(settings, one)
    works = PipelineWorks(settings, store)

    listed = await works.letters(10)
    shown = json.loads(await works.letter(first.id))
    retried, dropped = await works.retry([first.id]), await works.drop([second.id])

    assert {one.call_id for one in listed} == {first.id, second.id}
    assert listed[0].reason == "the store rejects it"
    assert len(await works.letters(1)) == 0
    assert shown["exchange"]["id"] == first.id
    assert retried == [f"{first.id} is tried again"]
    assert dropped == [f"{second.id} is deleted"]
    assert await store.get(first.id) is not None
    assert await works.letter(first.id) is None
    assert "there is no dead letter" in (await works.drop([first.id]))[0]
    assert "there is no dead letter" in (await works.retry([first.id]))[0]


async def test_storage_is_told_by_organisation_and_by_table_when_it_is_measured(settings, store):
    await store.put([record(id="1")])
    works = PipelineWorks(settings, store)

    told, measured = await works.storage(measured=False), await works.storage(measured=True)

    assert told.disk_bytes > 0
    assert (told.organizations, told.tables) == ((), ())
    assert [(name, records) for name, records, _, _ in measured.organizations] == [("default", 1)]
    assert "completions" in dict(measured.tables)


def test_retention_is_told_as_it_is_set(settings, store):
    assert dict(PipelineWorks(settings, store).retention()) == {
        "Records go": "after 30 days",
        "Bodies go": "never",
        "Store": "5.0 GB",
        "Store for bodies": "without limit",
    }
