import asyncio
import json

import pytest

from llm_proxy.errors import ConfigError
from llm_proxy.journal.reader import JournalReader
from llm_proxy.metrics import Ledger, read_all
from llm_proxy.model.query import CompletionQuery
from llm_proxy.queue.base import Delivery
from llm_proxy.queue.in_journal import JournalQueue
from llm_proxy.queue.redis_publisher import Parcel
from llm_proxy.settings.table import Settings
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.wiring.deadletters import drop_dead_letters, list_dead_letters, retry_dead_letters, show_dead_letter
from llm_proxy.wiring.layout import DataDir
from queue_ends import Ends
from queue_exchanges import exchange


@pytest.fixture
def settings(tmp_path):
    settings = Settings(data_dir=tmp_path / "data")
    DataDir(settings.data_dir).prepare()
    return settings


@pytest.fixture
def with_redis(settings, redis):
    streams = {"prefix": Ends(redis.url).prefix}
    return settings.model_validate(
        {"data_dir": str(settings.data_dir), "redis": {"url": redis.url}, "streams": streams}
    )


def bury_file(settings, sent, reason="the store rejects it"):
    data, ledger = DataDir(settings.data_dir), Ledger()
    queue = JournalQueue(JournalReader(data.journal, ledger=ledger), dead_letters=data.dead_letters)
    asyncio.run(queue.bury(Delivery(sent), reason))


def in_redis(settings, act):
    """Run ``act`` with both ends of the queue of these settings."""

    async def run():
        ends = Ends(settings.redis.url.get_secret_value(), settings.streams.prefix)
        try:
            return await act(ends)
        finally:
            await ends.close()

    return asyncio.run(run())


def bury_in_redis(settings, sent, reason="the store rejects it"):
    async def act(ends):
        worker = ends.worker()
        await ends.publisher().publish([Parcel.of(sent)])
        (delivery,) = await worker.take(limit=1, wait_s=5)
        await worker.bury(delivery, reason)

    in_redis(settings, act)


def stored(settings):
    async def find():
        store = SqliteStore(DataDir(settings.data_dir).database, read_only=True)
        try:
            return [completion.id for completion in (await store.find(CompletionQuery(limit=None))).completions]
        finally:
            await store.close()

    return asyncio.run(find())


def test_nothing_is_listed_where_nothing_was_buried(settings, with_redis, capsys):
    assert (list_dead_letters(settings, as_json=False), list_dead_letters(with_redis, as_json=True)) == (0, 0)

    assert capsys.readouterr() == ("", "")


def test_files_and_entries_in_redis_are_listed_together(with_redis, capsys):
    here, there = exchange(), exchange()
    bury_file(with_redis, here, "bad\x1b[31m " + "x" * 200)
    bury_in_redis(with_redis, there)

    list_dead_letters(with_redis, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    list_dead_letters(with_redis, as_json=True)
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert [line.split()[0] for line in lines] == [here.id, there.id]
    assert "\x1b" not in lines[0]
    assert lines[0].endswith("…")
    assert [(letter["id"], letter["deliveries"]) for letter in listed] == [(here.id, None), (there.id, 1)]
    assert listed[1]["reason"] == "the store rejects it"


def test_one_is_shown_with_everything_that_is_known(with_redis, capsys):
    here, there = exchange(request_body=b"\xff\xfe"), exchange()
    bury_file(with_redis, here)
    bury_in_redis(with_redis, there)

    show_dead_letter(with_redis, here.id)
    first = json.loads(capsys.readouterr().out)
    show_dead_letter(with_redis, there.id)
    second = json.loads(capsys.readouterr().out)

    assert first["exchange"]["request_body"] == {"base64": "//4="}
    assert second["exchange"]["request_body"] == there.request_body.decode()
    assert second["exchange"]["chunks"] == {"times_us": [410_000, 520_000], "sizes": [12, 52]}


def test_a_file_that_is_tried_again_is_a_record_and_no_file_any_more(settings, capsys):
    sent = exchange()
    bury_file(settings, sent)

    status = retry_dead_letters(settings, [sent.id])

    assert status == 0
    assert stored(settings) == [sent.id]
    assert list(DataDir(settings.data_dir).dead_letters.iterdir()) == []
    numbers = read_all(DataDir(settings.data_dir).counters)
    assert (numbers["stored"], numbers["revived"]) == (1, 1)
    assert capsys.readouterr().out == f"{sent.id}: is tried again\n"


def test_a_file_that_cannot_be_read_stays_and_says_why(settings, capsys):
    directory = DataDir(settings.data_dir).dead_letters
    directory.mkdir()
    (directory / "x.json").write_text("{}")

    status = retry_dead_letters(settings, [], everything=True)

    assert status == 1
    assert "x: stays a dead letter" in capsys.readouterr().out
    assert [path.name for path in directory.iterdir()] == ["x.json"]


def test_an_entry_in_redis_that_is_tried_again_waits_for_a_worker(with_redis):
    sent = [exchange(), exchange()]
    for one in sent:
        bury_in_redis(with_redis, one)

    retry_dead_letters(with_redis, [sent[0].id])

    depth = in_redis(with_redis, lambda ends: ends.depth())
    assert (depth.waiting, depth.dead_letters, depth.retried) == (1, 1, 1)


def test_all_can_be_deleted(with_redis, capsys):
    bury_file(with_redis, exchange())
    bury_in_redis(with_redis, exchange())

    drop_dead_letters(with_redis, [], everything=True)

    assert capsys.readouterr().out.count("is deleted") == 2
    list_dead_letters(with_redis, as_json=False)
    assert capsys.readouterr().out == ""
    assert in_redis(with_redis, lambda ends: ends.depth()).dropped == 1


@pytest.mark.parametrize("command", [retry_dead_letters, drop_dead_letters])
def test_a_call_that_is_no_dead_letter_is_named_and_nothing_is_done(settings, command):
    sent = exchange()
    bury_file(settings, sent)

    with pytest.raises(ConfigError, match="no dead letter of nobody"):
        command(settings, [sent.id, "nobody"])

    assert len(list(DataDir(settings.data_dir).dead_letters.iterdir())) == 1


def test_a_redis_that_is_away_is_said_in_one_line(settings):
    away = settings.model_validate(
        {"data_dir": str(settings.data_dir), "redis": {"url": "redis://:secret@127.0.0.1:1"}}
    )

    with pytest.raises(ConfigError, match="cannot be reached") as raised:
        list_dead_letters(away, as_json=False)

    assert "secret" not in str(raised.value)
