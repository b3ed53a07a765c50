"""``llm-proxy import``: records of a file, of ours or of another program, into the store.

Safe while anything else runs, and safe to repeat: a record has the same id each time. Batches are small, so that who
writes the store beside this waits for milliseconds. A row that is no record costs itself only; it is counted with its
place and the reason, and the exit status says that there was one.
"""

import asyncio
import contextlib
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from llm_proxy.errors import NotImportable, StoreRejected, StoreUnavailable
from llm_proxy.model.completion import Completion
from llm_proxy.settings.table import Settings
from llm_proxy.store.base import Store
from llm_proxy.transfer.base import BadRow, Row
from llm_proxy.transfer.guess import FORMATS, Format, guess_format
from llm_proxy.transfer.helicone import read_helicone
from llm_proxy.transfer.jsonl import read_records
from llm_proxy.transfer.litellm import read_litellm
from llm_proxy.transfer.llm_logs import count_llm, read_llm
from llm_proxy.transfer.objects import read_objects
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.progress import Advance, progress
from llm_proxy.wiring.stores import open_store

__all__ = ["FORMATS", "run_import"]

#: A batch is put when it has so many records, or so many bytes of the file: tens of milliseconds of writing.
_BATCH_RECORDS = 100
_BATCH_BYTES = 4 * 2**20
#: Told apart, and places named for each. A reason may quote the file, so there may be as many as there are rows.
_REASONS = 20
_PLACES = 5
#: No escape sequence in a file shall act on the terminal that shows why it was not taken.
_CONTROL_CHARACTERS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], "\ufffd")
_LINE_CHARACTERS = 500


def run_import(settings: Settings, *, file: Path, format_: Format | None) -> int:
    """Put the records of ``file`` into the store; the exit status. ``format_`` None: as its content says."""
    outcome = _Outcome()
    try:
        format_ = format_ or guess_format(file)
        with _source(file, format_) as source, progress("importing", total=source.total) as advance:
            asyncio.run(_import(settings, source, outcome, advance))
    except (NotImportable, StoreUnavailable) as exc:
        _say(str(exc))
        if outcome.stored:
            _say(f"{_records(outcome.stored)} got in until then; to import the file again doubles nothing")
        return 2
    _say(f"imported {_records(outcome.stored)} from {file} ({format_})")
    for reason, places in outcome.places.items():
        count = outcome.bad[reason]
        more = f" and {count - len(places)} more" if count > len(places) else ""
        _say(f"left out {_records(count)}: {reason} ({', '.join(places)}{more})")
    return 1 if outcome.bad else 0


@dataclass(slots=True)
class _Outcome:
    stored: int = 0
    #: By reason.
    bad: Counter[str] = field(default_factory=Counter)
    #: Of each reason, the first few.
    places: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def left_out(self, row: BadRow) -> None:
        reason = row.reason if row.reason in self.bad or len(self.bad) < _REASONS else "for other reasons"
        self.bad[reason] += 1
        if len(self.places[reason]) < _PLACES:
            self.places[reason].append(row.place)


@dataclass(frozen=True, slots=True)
class _Source:
    rows: Iterator[Row]
    #: How much of ``total`` is read by now: bytes of a file, rows of a database.
    done: Callable[[], int] | None
    total: int


@contextlib.contextmanager
def _source(path: Path, format_: Format) -> Iterator[_Source]:
    if format_ == "llm":
        yield _Source(read_llm(path), None, count_llm(path))
        return
    try:
        file = path.open("rb")
    except OSError as exc:
        raise NotImportable(f"{path}: {exc.strerror}") from exc
    with file:
        if format_ == "jsonl":
            rows = read_records(file)
        else:
            read = read_helicone if format_ == "helicone" else read_litellm
            rows = read(read_objects(file))
        yield _Source(rows, file.tell, os.fstat(file.fileno()).st_size)


async def _import(settings: Settings, source: _Source, outcome: _Outcome, advance: Advance) -> None:
    if settings.store.url is None:
        DataDir(settings.data_dir).prepare()
    store = open_store(settings)
    try:
        await store.migrate()
        batch: list[Completion] = []
        begun = 0
        for number, row in enumerate(source.rows, 1):
            if isinstance(row, BadRow):
                outcome.left_out(row)
            else:
                batch.append(row)
            done = source.done() if source.done else number
            if len(batch) >= _BATCH_RECORDS or (source.done and done - begun >= _BATCH_BYTES):
                await _put(store, batch, outcome)
                batch, begun = [], done
                advance(done)
        await _put(store, batch, outcome)
    finally:
        await store.close()


async def _put(store: Store, batch: Sequence[Completion], outcome: _Outcome) -> None:
    """Store a batch; or, if a record in it can never be stored, the others."""
    try:
        await store.put(batch)
        outcome.stored += len(batch)
    except StoreRejected:
        for completion in batch:
            try:
                await store.put([completion])
                outcome.stored += 1
            except StoreRejected as exc:
                reason = str(exc).removeprefix(f"{completion.id}: ")
                outcome.left_out(BadRow(place=completion.id, reason=f"the store does not take it: {reason}"))


def _records(count: int) -> str:
    return f"{count} {'record' if count == 1 else 'records'}"


def _say(line: str) -> None:
    shown = line[:_LINE_CHARACTERS].translate(_CONTROL_CHARACTERS)
    print(f"llm-proxy: {shown}", file=sys.stderr)  # noqa: T201 - this is what the command says
