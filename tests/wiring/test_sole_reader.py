import asyncio
import contextlib

from llm_proxy.metrics import read_all
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.sole_reader import sole_reader


async def test_a_second_reader_waits_until_the_first_has_let_go(tmp_path, monkeypatch):
    monkeypatch.setattr("llm_proxy.wiring.sole_reader._CLAIM_INTERVAL_S", 0.01)
    data = DataDir(tmp_path)
    data.prepare()
    events = []

    async def read(name):
        async with sole_reader(data):
            events.append(f"{name} reads")
            await asyncio.sleep(0.05)
            events.append(f"{name} ends")

    async with asyncio.timeout(30):
        await asyncio.gather(read("first"), read("second"))

    assert events in (
        ["first reads", "first ends", "second reads", "second ends"],
        ["second reads", "second ends", "first reads", "first ends"],
    )


async def test_a_reader_that_fails_lets_go(tmp_path):
    data = DataDir(tmp_path)
    data.prepare()

    with contextlib.suppress(ValueError):
        async with sole_reader(data):
            raise ValueError

    async with asyncio.timeout(30), sole_reader(data):
        pass


async def test_what_an_earlier_reader_of_another_role_saw_waiting_is_not_added_to_what_this_one_sees(tmp_path):
    data = DataDir(tmp_path)
    data.prepare()
    earlier, proxy = data.ledger("store-0"), data.ledger("proxy-0")
    earlier.put("waiting", 7)
    earlier.add("stored", 3)
    proxy.add("accepted", 10)

    async with sole_reader(data):
        data.ledger("shipper-0").put("waiting", 7)
        numbers = read_all(data.counters)

    assert (numbers["accepted"], numbers["stored"], numbers["waiting"]) == (10, 3, 7)
