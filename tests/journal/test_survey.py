import os

import pytest

from journal.frames import WALL_US, Recording
from llm_proxy.journal.reader import JournalReader
from llm_proxy.journal.survey import Survey, survey
from llm_proxy.journal.writer import JournalLimits, JournalWriter
from llm_proxy.metrics import Ledger

NOTHING = Survey(waiting=0, in_flight=0, first_ended_us=None)


@pytest.fixture
def writer(tmp_path):
    limits = JournalLimits(segment_bytes=1000, fsync="never")
    writer = JournalWriter(tmp_path / "journal", limits=limits, ledger=Ledger())
    yield writer
    writer.close()


def test_what_waits_is_counted_without_a_reader_over_all_segments(writer, tmp_path):
    running, ended = Recording(), [Recording() for _ in range(10)]
    writer.open(running.open(b"x" * 5000))
    for one in ended:
        writer.open(one.all())

    found = survey(tmp_path / "journal")

    assert len(list((tmp_path / "journal").rglob("*.seg"))) > 2
    assert found == Survey(waiting=11, in_flight=1, first_ended_us=WALL_US + 90)


def test_what_is_stored_does_not_wait_also_while_its_segment_is_still_there(writer, tmp_path):
    for _ in range(5):
        writer.open(Recording().all())
    reader = JournalReader(tmp_path / "journal", ledger=Ledger())

    reader.mark_stored([one.id for one in reader.poll(limit=2)])
    before = survey(tmp_path / "journal")
    reader.tidy()

    assert before.waiting == 3
    assert survey(tmp_path / "journal") == before


def test_calls_of_a_writer_that_died_do_not_run_any_more(writer, tmp_path):
    writer.open(Recording().open())
    os.close(writer._lock)
    writer._lock = -1

    found = survey(tmp_path / "journal")

    assert (found.waiting, found.in_flight, found.first_ended_us) == (1, 0, None)


def test_a_call_that_spans_segments_has_ended_when_its_end_is_in_a_later_one(writer, tmp_path):
    one = Recording()
    writer.open(one.open(b"x" * 2000))
    writer.append(one.answer())
    writer.append(one.close())

    assert survey(tmp_path / "journal") == Survey(waiting=1, in_flight=0, first_ended_us=WALL_US + 90)


def test_where_there_is_no_journal_nothing_waits(tmp_path):
    (tmp_path / "lost+found").mkdir()

    assert survey(tmp_path) == NOTHING
    assert survey(tmp_path / "nowhere") == NOTHING
