"""The journal against a model of it: whatever happens in whatever order, each call opened comes until it is stored."""

import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from journal.disks import files_no_longer_than
from journal.frames import Recording, wire
from llm_proxy.errors import JournalUnwritable
from llm_proxy.journal.reader import JournalReader
from llm_proxy.journal.writer import JournalLimits, JournalWriter
from llm_proxy.metrics import Ledger
from llm_proxy.model.exchange import Ending, Exchange

ENDINGS = st.sampled_from([Ending.COMPLETE, Ending.CLIENT_DISCONNECTED, Ending.UPSTREAM_BROKE_OFF])


@dataclass(eq=False)
class Call:
    recording: Recording
    writer: JournalWriter
    #: Where its first frames are.
    segment: Path
    body: bytes = b""
    #: As the proxy sees it; None while it runs.
    ending: Ending | None = None
    #: Whether the ending is in the journal.
    written: bool = False
    stored: bool = False


@dataclass(eq=False)
class Reading:
    """What one reader delivered in its life."""

    reader: JournalReader
    announced: set[str] = field(default_factory=set)
    ended: dict[str, Exchange] = field(default_factory=dict)


class Journal(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.writers: list[JournalWriter] = []
        self.calls: dict[str, Call] = {}
        self.ledger = Ledger()

    @initialize()
    def begin(self):
        self.restart_reader()

    # The proxy's side.

    @precondition(lambda self: len(self.writers) < 3)
    @rule(segment_bytes=st.sampled_from([1, 300, 1000]))
    def start_writer(self, segment_bytes):
        limits = JournalLimits(segment_bytes=segment_bytes, fsync="never")
        self.writers.append(JournalWriter(self.root, limits=limits, ledger=self.ledger))

    @precondition(lambda self: self.writers)
    @rule(which=st.integers(0, 2))
    def open(self, which):
        writer = self.writers[which % len(self.writers)]
        recording = Recording()

        writer.open(recording.open())
        writer.append(recording.answer())

        self._opened(writer, recording)

    @precondition(lambda self: self.writers)
    @rule(which=st.integers(0, 2), room=st.integers(0, 200))
    def open_on_a_full_disk(self, which, room):
        writer = self.writers[which % len(self.writers)]
        recording = Recording()
        with files_no_longer_than(writer._size + room):
            try:
                writer.open(recording.open())
            except JournalUnwritable:
                return
        self._opened(writer, recording)

    @precondition(lambda self: self._running())
    @rule(which=st.integers(0, 20), piece=st.binary(min_size=1, max_size=300))
    def relay(self, which, piece):
        call = self._one_running(which)
        call.writer.append(call.recording.chunk(piece))
        call.body += piece

    @precondition(lambda self: self._running())
    @rule(which=st.integers(0, 20), piece=st.binary(min_size=1, max_size=300), room=st.integers(0, 200))
    def relay_on_a_full_disk(self, which, piece, room):
        call = self._one_running(which)
        with files_no_longer_than(call.writer._size + room):
            try:
                call.writer.append(call.recording.chunk(piece))
            except JournalUnwritable:
                return
        call.body += piece

    @precondition(lambda self: self._running())
    @rule(which=st.integers(0, 20), ending=ENDINGS)
    def end(self, which, ending):
        call = self._one_running(which)
        call.writer.append(call.recording.close(ending))
        call.ending, call.written = ending, True

    @precondition(lambda self: self._running())
    @rule(which=st.integers(0, 20), ending=ENDINGS)
    def end_on_a_full_disk(self, which, ending):
        call = self._one_running(which)
        frames = call.recording.close(ending)
        call.ending = ending
        with files_no_longer_than(0):
            try:
                call.writer.append(frames)
            except JournalUnwritable:
                call.writer.append_later(frames)

    @precondition(lambda self: self.writers)
    @rule(which=st.integers(0, 2))
    def probe(self, which):
        writer = self.writers[which % len(self.writers)]
        writer.probe()
        self._owed_is_written(writer)

    @precondition(lambda self: self.writers)
    @rule(which=st.integers(0, 2))
    def stop_writer(self, which):
        writer = self.writers.pop(which % len(self.writers))
        writer.close()
        self._owed_is_written(writer)
        self._the_rest_is_aborted(writer)

    @precondition(lambda self: self.writers)
    @rule(which=st.integers(0, 2), torn=st.integers(0, 30))
    def kill_writer(self, which, torn):
        writer = self.writers.pop(which % len(self.writers))
        if writer._segment >= 0:
            os.write(writer._segment, wire(Recording().open())[:torn])
            os.close(writer._segment)
        os.close(writer._lock)
        for call in self._calls_of(writer):
            # What it owed may have been written with something else, or not: only the journal knows.
            if call.ending is not None and not call.written:
                call.written = wire(call.recording.close(call.ending)) in self._content_of(writer)
        self._the_rest_is_aborted(writer)

    # The worker's side.

    @rule(limit=st.integers(1, 8))
    def poll(self, limit):
        exchanges = self.reading.reader.poll(limit=limit)

        assert len(exchanges) <= limit
        for exchange in exchanges:
            self._check(exchange)

    @rule(share=st.integers(0, 2**16))
    def store(self, share):
        chosen = [one for number, one in enumerate(sorted(self.reading.ended)) if share >> number & 1]
        self.reading.reader.mark_stored(chosen)
        for exchange_id in chosen:
            self.calls[exchange_id].stored = True

    @rule()
    def tidy(self):
        self.reading.reader.tidy()

    @rule()
    def restart_reader(self):
        self.reading = Reading(JournalReader(self.root, ledger=Ledger()))

    @invariant()
    def what_is_not_stored_is_on_disk(self):
        for call in self.calls.values():
            assert call.stored or call.segment.exists()

    def teardown(self):
        try:
            for writer in self.writers:
                writer.close()
                self._owed_is_written(writer)
                self._the_rest_is_aborted(writer)
            while exchanges := self.reading.reader.poll(limit=3):
                for exchange in exchanges:
                    self._check(exchange)
            self.store(-1)
            self.reading.reader.tidy()

            assert all(call.stored for call in self.calls.values())
            assert self.ledger.get("accepted") == len(self.calls)
            assert list(self.root.iterdir()) == []
        finally:
            shutil.rmtree(self.root)

    def _check(self, exchange: Exchange):
        call = self.calls[exchange.id]
        assert not call.stored
        assert call.body.startswith(exchange.response_body or b"")
        if exchange.ending is None:
            assert exchange.id not in self.reading.announced
            assert not call.written
            self.reading.announced.add(exchange.id)
            return
        assert exchange.id not in self.reading.ended
        assert exchange.ending is call.ending
        assert (exchange.response_body or b"") == call.body
        self.reading.ended[exchange.id] = exchange

    def _opened(self, writer: JournalWriter, recording: Recording):
        self._owed_is_written(writer)
        home = next(path for path in sorted(self.root.glob("*/*.seg")) if wire(recording.open()) in path.read_bytes())
        self.calls[recording.id] = Call(recording, writer, home)

    def _running(self) -> list[Call]:
        return [call for call in self.calls.values() if call.ending is None and call.writer in self.writers]

    def _one_running(self, which: int) -> Call:
        running = self._running()
        return running[which % len(running)]

    def _calls_of(self, writer: JournalWriter) -> list[Call]:
        return [call for call in self.calls.values() if call.writer is writer]

    def _content_of(self, writer: JournalWriter) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(writer._directory.glob("*.seg")))

    def _owed_is_written(self, writer: JournalWriter):
        for call in self._calls_of(writer):
            call.written = call.written or (call.ending is not None and not writer._owed)

    def _the_rest_is_aborted(self, writer: JournalWriter):
        for call in self._calls_of(writer):
            if not call.written:
                call.ending, call.written = Ending.ABORTED, True


Journal.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
