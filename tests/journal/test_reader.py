import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from journal.disks import files_no_longer_than
from journal.frames import Recording, wire
from journal.lifecycle import Journal
from llm_proxy.journal import reader as reader_module
from llm_proxy.journal.reader import JournalReader
from llm_proxy.journal.writer import JournalLimits, JournalWriter
from llm_proxy.metrics import Ledger, read_all
from llm_proxy.model.exchange import Ending, Exchange, new_id

test_whatever_happens_each_call_is_delivered_until_it_is_stored_and_never_after = Journal.TestCase


@pytest.fixture
def root(tmp_path):
    (tmp_path / "journal").mkdir()
    return tmp_path / "journal"


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def reader(root, ledger):
    return JournalReader(root, ledger=ledger)


def start_writer(root: Path, segment_bytes: int = 2**20) -> JournalWriter:
    return JournalWriter(root, limits=JournalLimits(segment_bytes=segment_bytes, fsync="never"), ledger=Ledger())


def die(writer: JournalWriter) -> None:
    """What the kernel does for a process that is killed."""
    os.close(writer._segment)
    os.close(writer._lock)


def restart(root: Path, ledger: Ledger | None = None) -> JournalReader:
    return JournalReader(root, ledger=ledger or Ledger())


def seen(exchanges: list[Exchange]) -> list[tuple[str, Ending | None]]:
    return [(one.id, one.ending) for one in exchanges]


def store(reader: JournalReader, exchanges: list[Exchange]) -> None:
    reader.mark_stored([one.id for one in exchanges if one.ending is not None])
    reader.tidy()


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_a_journal_that_does_not_exist_yet_is_empty(tmp_path):
    reader = JournalReader(tmp_path / "nowhere", ledger=Ledger())

    assert reader.poll(limit=10) == []
    reader.tidy()


def test_a_call_is_delivered_once_while_it_runs_and_again_when_it_has_ended(root, reader):
    writer, call = start_writer(root), Recording()
    writer.open(call.open())
    assert seen(reader.poll(limit=10)) == [(call.id, None)]
    assert reader.poll(limit=10) == []
    writer.append(call.answer())
    writer.append(call.chunk(b"a"))
    assert reader.poll(limit=10) == []

    writer.append(call.close())

    assert seen(reader.poll(limit=10)) == [(call.id, Ending.COMPLETE)]
    assert reader.poll(limit=10) == []
    writer.close()


def test_a_call_that_is_over_soon_is_delivered_once_and_one_that_goes_on_is_told_of(root, ledger):
    reader = JournalReader(root, ledger=ledger, announce_after_s=0.5)
    writer, short, long = start_writer(root), Recording(), Recording()
    writer.open(short.open())
    writer.open(long.open())
    first = reader.poll(limit=10)
    writer.append(short.close())

    second = reader.poll(limit=10)
    third = until_there_is_something(reader)

    assert (first, seen(second), seen(third)) == ([], [(short.id, Ending.COMPLETE)], [(long.id, None)])
    assert reader.poll(limit=10) == []
    writer.close()


def until_there_is_something(reader: JournalReader) -> list[Exchange]:
    deadline = time.monotonic() + 30
    while not (exchanges := reader.poll(limit=10)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return exchanges


def test_an_unfinished_call_of_a_dead_writer_is_aborted_and_keeps_its_partial_answer(root, reader):
    writer, call = start_writer(root), Recording()
    writer.open(call.open())
    writer.append(call.answer())
    writer.append(call.chunk(b"Once upon"))
    reader.poll(limit=10)

    die(writer)
    (exchange,) = reader.poll(limit=10)

    assert (exchange.ending, exchange.response_body, exchange.truncated) == (Ending.ABORTED, b"Once upon", False)
    assert reader.poll(limit=10) == []


def test_the_torn_tail_of_a_dead_writer_is_counted_and_spoils_nothing(root, reader, ledger):
    writer, call = start_writer(root), Recording()
    writer.open(call.open())
    writer.append(call.answer())
    os.write(writer._segment, wire(call.chunk(b"torn off"))[:-3])

    die(writer)
    (exchange,) = reader.poll(limit=10)

    assert (exchange.ending, exchange.response_body, exchange.truncated) == (Ending.ABORTED, b"", False)
    assert ledger.get("journal_damaged_bytes") == len(wire(call.chunk(b"torn off"))) - 3


def test_damage_in_the_middle_costs_one_frame_and_marks_the_calls_that_ran(root, reader, ledger):
    writer, early, hit, late = start_writer(root), Recording(), Recording(), Recording()
    writer.open(early.all())
    writer.append(hit.open())
    writer.append(hit.answer())
    at = writer._size
    writer.append(hit.chunk(b"lost"))
    writer.append(hit.chunk(b"kept"))
    writer.append(hit.close())
    writer.append(late.all())
    path = writer._directory / "00000001.seg"
    content = bytearray(path.read_bytes())
    content[at + 6] ^= 0x40  # its length: now it claims more than there is
    path.write_bytes(content)

    writer.close()
    found = {one.id: one for one in reader.poll(limit=10)}

    assert found.keys() == {early.id, hit.id, late.id}
    assert {one.ending for one in found.values()} == {Ending.COMPLETE}
    assert found[hit.id].response_body == b"kept"
    assert [found[call.id].truncated for call in (early, hit, late)] == [False, True, False]
    assert ledger.get("journal_damaged_bytes") == len(wire(hit.chunk(b"lost")))


def test_a_call_may_span_many_segments(root, reader):
    writer, long = start_writer(root, 300), Recording()
    writer.open(long.open())
    writer.append(long.answer())
    for number in range(20):
        writer.append(long.chunk(b"%02d" % number * 20))
        writer.open(Recording().all())
    writer.append(long.close())
    writer.close()

    found = {one.id: one for one in reader.poll(limit=100)}

    assert len(found) == 21
    assert found[long.id].response_body == b"".join(b"%02d" % number * 20 for number in range(20))
    assert not any(one.truncated for one in found.values())


def test_a_segment_stays_until_all_calls_opened_in_it_are_stored(root, reader):
    writer, long = start_writer(root, 300), Recording()
    writer.open(long.open())
    short = [Recording() for _ in range(6)]
    for call in short:
        writer.open(call.all())
    store(reader, reader.poll(limit=100))
    segments = len(list(root.rglob("*.seg")))
    assert segments >= 3

    writer.append(long.close())
    exchanges = reader.poll(limit=100)
    assert seen(exchanges) == [(long.id, Ending.COMPLETE)]
    reader.tidy()
    assert len(list(root.rglob("*.seg"))) >= segments
    store(reader, exchanges)

    assert len(list(root.rglob("*.seg"))) == 1
    assert not [path for path in root.rglob("*.done") if path.name == "00000001.done"]
    writer.close()


def test_after_a_restart_what_was_stored_does_not_come_again_and_the_rest_does(root, reader):
    writer, long = start_writer(root, 300), Recording()
    writer.open(long.open())
    writer.append(long.answer())
    short = [Recording() for _ in range(6)]
    for call in short:
        writer.append(long.chunk(b"x"))
        writer.open(call.all())
    store(reader, [one for one in reader.poll(limit=100) if one.id != short[-1].id])

    again = restart(root)
    first = again.poll(limit=100)
    writer.append(long.close())
    second = again.poll(limit=100)

    assert sorted(seen(first), key=str) == sorted([(long.id, None), (short[-1].id, Ending.COMPLETE)], key=str)
    assert [(one.id, one.response_body) for one in second] == [(long.id, b"x" * 6)]
    writer.close()


def test_a_call_stored_while_its_segment_is_still_written_does_not_come_again(root, reader):
    writer, first, second = start_writer(root), Recording(), Recording()
    writer.open(first.all())
    store(reader, reader.poll(limit=10))
    writer.open(second.all())

    assert seen(restart(root).poll(limit=10)) == [(second.id, Ending.COMPLETE)]
    writer.close()


def test_a_torn_note_of_what_was_stored_spoils_neither_earlier_nor_later_ones(root, reader):
    writer = start_writer(root)
    calls = [Recording() for _ in range(3)]
    for call in calls:
        writer.open(call.all())
    first, second, third = reader.poll(limit=10)
    store(reader, [first])
    done = next(root.rglob("*.done"))
    with done.open("ab") as file:
        file.write(b"torn")

    store(reader, [third])

    assert seen(restart(root).poll(limit=10)) == [(second.id, Ending.COMPLETE)]
    writer.close()


def test_on_a_full_disk_what_is_stored_is_forgotten_all_the_same_and_noted_later(root, reader):
    writer = start_writer(root)
    calls = [Recording() for _ in range(3)]
    for call in calls:
        writer.open(call.all())
    first, second, third = reader.poll(limit=10)

    with files_no_longer_than(0):
        store(reader, [first])
    store(reader, [second])

    assert seen(restart(root).poll(limit=10)) == [(third.id, Ending.COMPLETE)]
    writer.close()


def test_everything_is_gone_when_everything_is_stored(root, reader):
    for _ in range(3):
        writer = start_writer(root, 200)
        for _ in range(5):
            writer.open(Recording().all())
        writer.close()

    store(reader, reader.poll(limit=100))

    assert files(root) == []
    assert reader.poll(limit=100) == []


def test_the_empty_directory_of_a_writer_that_recorded_nothing_goes_when_it_is_dead(root, reader):
    writer = start_writer(root)
    reader.poll(limit=10)
    reader.tidy()
    assert len(files(root)) == 3

    writer.close()
    reader.poll(limit=10)
    reader.tidy()

    assert files(root) == []


def test_a_writer_that_died_before_its_lock_was_made_is_a_dead_writer(root, reader):
    (root / new_id()).mkdir()

    reader.poll(limit=10)
    reader.tidy()

    assert files(root) == []


def test_a_directory_half_made_by_a_writer_that_died_is_removed_once_it_is_old(root):
    old, young, other = (root / f".{name}" for name in (new_id(), new_id(), "snapshot"))
    for hidden in (old, young, other):
        hidden.mkdir()
        (hidden / "writer.lock").touch()
    for hidden in (old, other):
        os.utime(hidden, (time.time() - 7200, time.time() - 7200))

    JournalReader(root, ledger=Ledger())

    assert sorted(path.name for path in root.iterdir()) == sorted([young.name, other.name])


def test_what_is_no_writers_is_left_alone(root, reader):
    (root / "lost+found").mkdir()
    (root / "notes.txt").write_text("mine")
    (root / "backup").mkdir()
    (root / "backup" / "00000001.seg").write_bytes(b"mine")

    assert reader.poll(limit=10) == []
    reader.tidy()

    assert files(root) == ["backup", "backup/00000001.seg", "lost+found", "notes.txt"]


def test_a_writer_whose_lock_is_held_is_alive(root, reader):
    writer, call = start_writer(root), Recording()
    writer.open(call.open())
    os.close(writer._lock)
    with (writer._directory / "writer.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert seen(reader.poll(limit=10)) == [(call.id, None)]

    assert seen(reader.poll(limit=10)) == [(call.id, Ending.ABORTED)]
    os.close(writer._segment)


def test_a_reader_that_leaves_at_a_limit_goes_on_behind_it(root, reader):
    writers = [start_writer(root, 400) for _ in range(2)]
    calls = [Recording() for _ in range(30)]
    for number, call in enumerate(calls):
        writers[number % 2].open(call.all() if number % 5 else call.open())
    for writer in writers:
        die(writer)

    batches = []
    while batch := reader.poll(limit=1):
        assert len(batch) == 1
        batches += batch

    assert len(batches) == 30
    assert {one.id for one in batches} == {call.id for call in calls}
    assert sum(one.ending is Ending.ABORTED for one in batches) == 6
    store(reader, batches)
    assert files(root) == []


def test_a_busy_writer_does_not_keep_the_others_waiting(root, reader):
    busy, quiet, call = start_writer(root), start_writer(root), Recording()
    for _ in range(20):
        busy.open(Recording().all())
    quiet.open(call.all())

    taken = reader.poll(limit=5) + reader.poll(limit=5)

    assert call.id in {one.id for one in taken}
    busy.close()
    quiet.close()


def test_long_bodies_are_not_given_out_all_at_once(root, reader, monkeypatch):
    monkeypatch.setattr(reader_module, "POLL_BODY_BYTES", 1_000_000)
    writer = start_writer(root)
    for _ in range(10):
        writer.open(Recording().all(bytes(400_000)))
    writer.close()

    batches = []
    while batch := reader.poll(limit=1000):
        batches.append(len(batch))

    assert sum(batches) == 10
    assert max(batches) == 3


def test_a_segment_that_is_given_up_while_the_reader_looks_for_it_is_passed_over(root, reader):
    writer, call = start_writer(root, 100), Recording()
    writer.open(Recording().all())
    writer.open(call.open())
    segments = reader_module._WriterLog._later_segments

    def vanishing(log):
        return [log._directory / "00000001.seg.gone", *segments(log)]

    reader._find_writers()
    (log,) = reader._writers.values()
    log._later_segments = lambda: vanishing(log)
    taken = reader.poll(limit=1)
    del log._later_segments
    taken += reader.poll(limit=10)

    assert len(taken) == 2
    writer.close()


def test_the_gauges_say_what_waits(root, reader, ledger):
    writer, running = start_writer(root), Recording()
    for _ in range(3):
        writer.open(Recording().all())
    writer.open(running.open())

    exchanges = reader.poll(limit=10)
    reader.tidy()
    before = {name: ledger.get(name) for name in ("waiting", "in_flight", "journal_waiting_bytes")}
    store(reader, exchanges)
    after = {name: ledger.get(name) for name in ("waiting", "in_flight", "oldest_waiting_seconds")}

    assert before == {"waiting": 4, "in_flight": 1, "journal_waiting_bytes": writer._size}
    assert after == {"waiting": 1, "in_flight": 1, "oldest_waiting_seconds": 0}
    writer.close()


def test_segments_that_are_not_read_yet_count_as_bytes_on_disk(root, reader, ledger):
    writer = start_writer(root, 100)
    for _ in range(10):
        writer.open(Recording().all())
    writer.close()

    reader.poll(limit=1)
    reader.tidy()

    assert ledger.get("journal_waiting_bytes") == sum(path.stat().st_size for path in root.rglob("*.seg"))


def test_a_journal_of_many_small_calls_is_read_in_reasonable_time(root, reader):
    writer = start_writer(root, 2**20)
    for _ in range(10_000):
        writer.open(Recording().all())
    writer.close()

    count = 0
    while batch := reader.poll(limit=200):
        store(reader, batch)
        count += len(batch)
    reader.tidy()

    assert count == 10_000
    assert files(root) == []


def test_a_directory_that_vanishes_under_the_reader_is_forgotten(root, reader):
    writer = start_writer(root)
    writer.open(Recording().all())
    exchanges = reader.poll(limit=10)
    writer.close()
    shutil.rmtree(writer._directory)

    store(reader, exchanges)
    assert reader.poll(limit=10) == []
    reader.tidy()

    assert reader._writers == {}


#: A process that is killed when it comes to count: what it did before is done, and its count is not.
KILLED_WHILE_COUNTING = """
import os, sys
from pathlib import Path
from journal.frames import Recording
from llm_proxy.journal.reader import JournalReader
from llm_proxy.journal.writer import JournalLimits, JournalWriter
from llm_proxy.metrics import Ledger, read_all

class Killed(Ledger):
    def add(self, name, amount=1):
        if name == sys.argv[2]:
            os.kill(os.getpid(), 9)
        super().add(name, amount)

root = Path(sys.argv[1])
if sys.argv[2] == "accepted":
    writer = JournalWriter(root / "journal", limits=JournalLimits(), ledger=Killed(root / "counters/proxy-0.ledger"))
    writer.open(Recording().all())
else:
    ledger = Killed(root / "counters/store-0.ledger")
    reader = JournalReader(root / "journal", ledger=ledger, ledgers=root / "counters")
    reader.mark_stored([one.id for one in reader.poll(limit=3)], counted_as="stored")
"""


def kill_while_counting(root: Path, what: str) -> None:
    """Let a process be killed with ``what`` done and not counted."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", KILLED_WHILE_COUNTING, str(root), what]
    assert subprocess.run(command, env=environment, check=False).returncode == -9


def test_a_call_of_which_the_writer_died_before_it_could_count_it_is_counted_by_the_reader(tmp_path, root):
    (tmp_path / "counters").mkdir()
    kill_while_counting(tmp_path, "accepted")
    before = read_all(tmp_path / "counters")["accepted"]

    for _ in range(2):
        reader = JournalReader(root, ledger=Ledger(), ledgers=tmp_path / "counters")
        exchanges = reader.poll(limit=10)
        store(reader, exchanges)

    assert (before, read_all(tmp_path / "counters")["accepted"]) == (0, 1)
    assert files(root) == []


def test_what_is_not_counted_yet_is_kept_until_it_can_be(tmp_path, root):
    (tmp_path / "counters").mkdir()
    kill_while_counting(tmp_path, "accepted")
    reader = JournalReader(root, ledger=Ledger(), ledgers=tmp_path / "counters")

    with (tmp_path / "counters" / "proxy-0.ledger").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        store(reader, reader.poll(limit=10))
        kept = files(root)
    reader.tidy()

    assert len(kept) == 4
    assert files(root) == []
    assert read_all(tmp_path / "counters")["accepted"] == 1


def test_calls_of_which_the_reader_died_before_it_could_count_them_are_counted_by_the_next_one(tmp_path, root):
    (tmp_path / "counters").mkdir()
    writer = start_writer(root)
    for _ in range(5):
        writer.open(Recording().all())
    kill_while_counting(tmp_path, "stored")
    before = read_all(tmp_path / "counters")["stored"]

    ledger = Ledger(tmp_path / "counters" / "store-0.ledger")
    reader = JournalReader(root, ledger=ledger, ledgers=tmp_path / "counters")
    rest = reader.poll(limit=10)
    reader.mark_stored([one.id for one in rest], counted_as="stored")

    assert (before, len(rest), read_all(tmp_path / "counters")["stored"]) == (0, 2, 5)
    writer.close()
