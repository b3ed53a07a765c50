import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from journal.disks import files_no_longer_than, small_disk
from journal.frames import Recording, wire
from llm_proxy.errors import JournalFull, JournalUnwritable
from llm_proxy.journal.format import HEADER_BYTES, MAX_PAYLOAD_BYTES, FrameParser, Frames, Kind
from llm_proxy.journal.reader import JournalReader
from llm_proxy.journal.writer import OWED_PER_APPEND, JournalLimits, JournalWriter, journal_bytes
from llm_proxy.metrics import Ledger
from llm_proxy.model.exchange import Ending, Exchange

NEVER = JournalLimits(fsync="never")


def segments(root: Path) -> list[Path]:
    return sorted(root.glob("*/*.seg"))


def kinds(root: Path) -> list[int]:
    """The kinds of all whole frames, which must be all there is."""
    found = []
    for segment in segments(root):
        parser = FrameParser()
        found += [frame.kind for frame in parser.feed(segment.read_bytes())]
        assert parser.pending_bytes + parser.damaged_bytes == 0
    return found


def delivered(root: Path) -> dict[str, Exchange]:
    return {one.id: one for one in JournalReader(root, ledger=Ledger()).poll(limit=100_000)}


def number_of_open_files(below: Path) -> int:
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        try:
            count += str(link.readlink()).startswith(str(below))
        except FileNotFoundError:  # the one of this very loop
            continue
    return count


def wait_for(claim):
    deadline = time.monotonic() + 30
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "journal").mkdir()
    return tmp_path / "journal"


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def writer(root, ledger):
    journal = JournalWriter(root, limits=NEVER, ledger=ledger)
    yield journal
    journal.close()


def test_what_was_appended_is_in_the_file_when_append_returns(root, writer, ledger):
    call = Recording()
    frames = call.open(b"{}")
    expected = wire(frames)

    writer.open(frames)

    assert segments(root)[0].read_bytes() == expected
    assert (frames.size, frames.parts) == (0, [])
    assert (ledger.get("accepted"), ledger.get("journal_bytes")) == (1, len(expected))


def test_nobody_else_may_read_the_journal(root, writer):
    writer.open(Recording().all())

    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*")}

    assert len(modes) == 3
    for path, mode in modes.items():
        assert mode == (0o700 if path.is_dir() else 0o600)


def test_a_payload_longer_than_a_frame_becomes_several_frames_of_the_same_time():
    frames = Frames(bytes(16))

    frames.add(Kind.CHUNK, 5, bytes(MAX_PAYLOAD_BYTES + 1))

    assert [len(part) for part in frames.parts] == [HEADER_BYTES, MAX_PAYLOAD_BYTES, HEADER_BYTES, 1]
    assert frames.size == sum(map(len, frames.parts))


def test_more_frames_than_one_system_call_takes_are_written_all_the_same(root, writer):
    frames = Frames(bytes(16))
    for number in range(3000):
        frames.add(Kind.CHUNK, number, b"x")

    writer.append(frames)

    assert kinds(root) == [Kind.CHUNK] * 3000


def test_a_segment_that_is_full_is_followed_by_another(root, ledger):
    writer = JournalWriter(root, limits=JournalLimits(segment_bytes=500, fsync="never"), ledger=ledger)
    calls = [Recording() for _ in range(20)]

    for call in calls:
        writer.open(call.all())
    writer.close()

    assert [path.name for path in segments(root)][:2] == ["00000001.seg", "00000002.seg"]
    assert delivered(root).keys() == {call.id for call in calls}
    assert number_of_open_files(root) == 0


@pytest.mark.parametrize("fsync", ["never", "interval", "always"])
def test_every_mode_of_fsync_writes_the_same_and_closes_its_files(root, ledger, fsync):
    limits = JournalLimits(segment_bytes=300, fsync=fsync, fsync_interval_s=0.01)
    writer = JournalWriter(root, limits=limits, ledger=ledger)

    for _ in range(10):
        writer.open(Recording().all())
    wait_for(lambda: number_of_open_files(root) == 2)  # finished segments are closed while the writer goes on
    writer.close()

    assert len(delivered(root)) == 10
    assert number_of_open_files(root) == 0


def test_writing_through_goes_on_after_a_failed_write_and_ends_with_the_writer(root, ledger, monkeypatch):
    synced, sync, failures = [], os.fdatasync, []
    monkeypatch.setattr(os, "fdatasync", lambda file: (sync(file), synced.append(file)))
    monkeypatch.setattr(threading, "excepthook", lambda failure: failures.append(failure.exc_value))
    writer = JournalWriter(root, limits=JournalLimits(fsync="interval", fsync_interval_s=0.01), ledger=ledger)
    writer.open(Recording().all())
    wait_for(lambda: synced)
    with files_no_longer_than(0), pytest.raises(JournalUnwritable):
        writer.open(Recording().all())
    writer._unsynced.set()  # as by a write just before the failed one
    wait_for(lambda: not writer._unsynced.is_set())
    synced.clear()

    writer.open(Recording().all())

    wait_for(lambda: synced)
    writer.close()
    wait_for(lambda: not [one for one in threading.enumerate() if one.name == "journal-fsync"])
    assert failures == []


def test_a_half_written_frame_is_cut_back_and_writing_goes_on_when_there_is_room(root, writer, ledger):
    first, lost, second = Recording(), Recording(), Recording()
    writer.open(first.all())
    whole = segments(root)[0].read_bytes()

    with files_no_longer_than(len(whole) + 50), pytest.raises(JournalUnwritable, match="too large"):
        writer.open(lost.all(bytes(500)))
    writer.open(second.all())

    assert segments(root)[0].read_bytes() == whole
    assert delivered(root).keys() == {first.id, second.id}
    assert ledger.get("accepted") == 2


def test_a_reader_that_saw_half_a_frame_before_it_was_cut_back_misses_nothing(root, writer):
    first, second = Recording(), Recording()
    writer.open(first.all())
    reader = JournalReader(root, ledger=Ledger())
    half = wire(Recording().all())[:50]
    with segments(root)[0].open("ab") as segment:  # what a reader sees while the kernel writes
        segment.write(half)
    assert [one.id for one in reader.poll(limit=10)] == [first.id]

    with files_no_longer_than(0), pytest.raises(JournalUnwritable):
        writer.open(Recording().all())
    writer.open(second.all())

    assert [one.id for one in reader.poll(limit=10)] == [second.id]


def test_failures_leave_no_empty_segments_behind(root, writer):
    with files_no_longer_than(0):
        for _ in range(50):
            with pytest.raises(JournalUnwritable):
                writer.open(Recording().all())

    assert segments(root) == []


def test_a_full_segment_takes_more_if_no_other_can_be_begun(root, ledger):
    writer = JournalWriter(root, limits=JournalLimits(segment_bytes=10, fsync="never"), ledger=ledger)
    writer.open(Recording().all())
    (root / writer._directory.name / "00000002.seg").touch()  # in the way

    writer.open(Recording().all())
    writer.close()

    assert len(segments(root)[0].read_bytes()) > 2 * 10
    assert len(delivered(root)) == 2


def fill(writer: JournalWriter) -> list[str]:
    """Record calls until the disk is full; returns their ids."""
    recorded = []
    for _ in range(10_000):
        call = Recording()
        try:
            writer.open(call.all(bytes(1000)))
        except JournalUnwritable:
            return recorded
        recorded.append(call.id)
    raise AssertionError("that is a large disk")


def test_on_a_disk_that_is_full_calls_fail_to_be_recorded_until_there_is_room(tmp_path, ledger):
    with small_disk(tmp_path / "disk", "256k") as root:
        ballast = root / "ballast"
        ballast.write_bytes(bytes(100 * 1024))
        writer = JournalWriter(root, limits=NEVER, ledger=ledger)
        recorded = fill(writer)
        with pytest.raises(JournalUnwritable, match="No space left"):
            writer.append(Recording().all(bytes(5000)))

        ballast.unlink()
        late = Recording()
        writer.open(late.all())
        writer.close()

        assert delivered(root).keys() == {*recorded, late.id}
        assert set(kinds(root)) == {Kind.OPEN, Kind.REQUEST, Kind.RESPONSE, Kind.CHUNK, Kind.CLOSE}


def test_that_calls_are_not_recorded_is_told_once_and_once_more_when_they_are(root, ledger):
    told = []
    writer = JournalWriter(root, limits=NEVER, ledger=ledger, on_trouble=told.append, calm_s=0)

    with files_no_longer_than(1000):
        for _ in range(3):
            with pytest.raises(JournalUnwritable):
                writer.open(Recording().open(bytes(5000)))
    for _ in range(3):
        writer.open(Recording().open())
    writer.close()

    [reason, over] = told
    assert "File too large" in reason
    assert over is None


def test_a_writer_may_start_while_nothing_can_be_written_and_records_when_it_can(tmp_path, ledger):
    (tmp_path / "journal").write_text("in the way")
    writer = JournalWriter(tmp_path / "journal", limits=NEVER, ledger=ledger)
    with pytest.raises(JournalUnwritable, match="journal: Not a directory"):
        writer.probe()

    (tmp_path / "journal").unlink()
    call = Recording()
    writer.open(call.all())
    writer.close()

    assert delivered(tmp_path / "journal").keys() == {call.id}


def test_a_directory_that_could_not_be_claimed_leaves_nothing_behind(root, ledger):
    root.rmdir()
    root.symlink_to("/proc/self")  # a directory in which nothing can be made

    writer = JournalWriter(root, limits=NEVER, ledger=ledger)

    with pytest.raises(JournalUnwritable):
        writer.probe()
    assert number_of_open_files(root) == 0


def test_an_ending_that_is_owed_is_written_with_the_next_frame(root, writer):
    call = Recording()
    writer.open(call.open())
    closing = call.close(Ending.UPSTREAM_BROKE_OFF)
    with files_no_longer_than(0), pytest.raises(JournalUnwritable):
        writer.append(closing)
    writer.append_later(closing)

    writer.probe()

    assert delivered(root)[call.id].ending is Ending.UPSTREAM_BROKE_OFF


def test_an_ending_that_cannot_be_written_yet_stays_owed_and_fails_nobody_else(root, writer, ledger):
    call, other = Recording(), Recording()
    writer.open(call.open())
    writer.append_later(call.close(reason="x" * 5000))

    size = segments(root)[0].stat().st_size
    with files_no_longer_than(size + 2000):
        writer.open(other.all())
    assert ledger.get("accepted") == 2
    assert delivered(root)[call.id].ending is None
    writer.probe()

    assert delivered(root)[call.id].ending is Ending.COMPLETE
    assert delivered(root)[other.id].ending is Ending.COMPLETE


def test_any_number_of_endings_may_be_owed_and_each_append_writes_some(root, writer):
    owed = 2000  # more than Python has stack for
    calls = [Recording() for _ in range(owed)]
    for call in calls:
        writer.append(call.open())
    for call in calls:
        writer.append_later(call.close())

    writer.probe()
    after_one = kinds(root).count(Kind.CLOSE)
    for _ in range(owed // OWED_PER_APPEND):
        writer.probe()

    assert 0 < after_one < owed
    assert all(one.ending is Ending.COMPLETE for one in delivered(root).values())


def test_what_is_owed_is_written_when_the_writer_is_closed(root, ledger):
    writer = JournalWriter(root, limits=NEVER, ledger=ledger)
    calls = [Recording() for _ in range(250)]
    for call in calls:
        writer.append(call.open())
        writer.append_later(call.close())

    writer.close()

    assert {one.ending for one in delivered(root).values()} == {Ending.COMPLETE}


def test_a_closed_writer_takes_nothing_more(root, ledger):
    writer = JournalWriter(root, limits=NEVER, ledger=ledger)
    writer.close()
    writer.close()

    with pytest.raises(JournalUnwritable, match="closed"):
        writer.append(Recording().all())


def test_nothing_is_opened_beyond_the_size_cap_and_what_is_open_goes_on(root, ledger):
    writer = JournalWriter(root, limits=JournalLimits(max_bytes=2000, fsync="never"), ledger=ledger)
    running = Recording()
    writer.open(running.open(bytes(3000)))

    with pytest.raises(JournalFull, match="cap of 2000 bytes"):
        writer.open(Recording().open())
    with pytest.raises(JournalFull):
        writer.probe()
    writer.append(running.close())
    writer.close()

    assert delivered(root)[running.id].ending is Ending.COMPLETE
    assert ledger.get("accepted") == 1


def test_the_size_cap_is_that_of_all_writers_together_and_room_that_is_made_is_found(root, ledger):
    limits = JournalLimits(max_bytes=2000, fsync="never")
    other = JournalWriter(root, limits=limits, ledger=ledger)
    other.open(Recording().all(bytes(3000)))
    other.close()
    writer = JournalWriter(root, limits=limits, ledger=ledger)
    with pytest.raises(JournalFull):
        writer.probe()

    reader = JournalReader(root, ledger=Ledger())
    reader.mark_stored(one.id for one in reader.poll(limit=10))
    reader.tidy()

    wait_for(lambda: _can_write(writer))
    writer.close()


def _can_write(writer: JournalWriter) -> bool:
    try:
        writer.probe()
    except JournalFull:
        return False
    return True


def test_the_size_of_a_journal_that_does_not_exist_is_nothing(tmp_path):
    assert journal_bytes(tmp_path / "nowhere") == 0


_CHILD = """
import sys
from pathlib import Path
from journal.frames import Recording
from llm_proxy.journal.writer import JournalLimits, JournalWriter
from llm_proxy.metrics import Ledger

root, fsync, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
writer = JournalWriter(root, limits=JournalLimits(segment_bytes=40_000, fsync=fsync), ledger=Ledger())
running = []
for number in range(10**9):
    call = Recording()
    writer.open(call.open())
    print("open", call.id, flush=True)
    running.append(call)
    for other in running:
        writer.append(other.chunk(b"%d;" % number * 300))
        print("chunk", other.id, number, flush=True)
    if number % 3 == 2:
        ended = running.pop(number % len(running))
        writer.append(ended.close())
        print("close", ended.id, flush=True)
"""


@pytest.mark.parametrize(
    ("fsync", "seed"), [("never", 1), ("never", 2), ("interval", 3), ("interval", 4), ("always", 5)]
)
def test_what_a_killed_writer_had_reported_is_read_back(root, fsync, seed):
    chance = random.Random(seed)
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(root), fsync, str(seed)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    reported = [child.stdout.readline().split() for _ in range(chance.randrange(1, 600))]
    child.send_signal(signal.SIGKILL)
    rest, _ = child.communicate()
    reported += [line.split() for line in rest.splitlines(keepends=True) if line.endswith("\n")]

    found = delivered(root)

    assert found.keys() >= {words[1] for words in reported}
    for verb, *words in reported:
        exchange = found[words[0]]
        if verb == "chunk":
            assert f"{words[1]};".encode() * 300 in exchange.response_body
        if verb == "close":
            assert exchange.ending is Ending.COMPLETE
    closed = {words[1] for words in reported if words[0] == "close"}
    late = [one for one in found.values() if one.ending is Ending.COMPLETE and one.id not in closed]
    assert len(late) <= 1  # the one that was written and not yet reported
    assert all(one.ending is Ending.ABORTED for one in found.values() if one.id not in closed and one not in late)
