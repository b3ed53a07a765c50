"""Count what waits in the journal, beside whoever writes and reads it.

Looks at the heads of frames only, and passes over their payloads: it believes their lengths, and its numbers are those
of one moment after the other. Never changes anything.
"""

import contextlib
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from llm_proxy.journal.format import DONE_SUFFIX, SEGMENT_SUFFIX, Kind, heads
from llm_proxy.journal.reader import is_writer, lock_is_free, read_done


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What is in the journal and need not be anywhere else yet."""

    #: Calls that are not noted as stored.
    waiting: int
    #: Of these, those that have not ended.
    in_flight: int
    #: When the first of those that have ended did so, in microseconds since 1970; None if there is none.
    first_ended_us: int | None


def survey(root: Path) -> Survey:
    """Count all the writers' calls."""
    waiting, in_flight, ended_us = 0, 0, []
    for directory in root.glob("*"):
        if is_writer(directory.name):
            opened, ended = _calls(directory)
            # Those of a writer that has died have ended, too, though nobody knows when.
            in_flight += 0 if lock_is_free(directory) else len(opened.keys() - ended.keys())
            waiting += len(opened)
            ended_us += [opened[key] + ended.get(key, 0) for key in opened.keys() & ended.keys()]
    return Survey(waiting=waiting, in_flight=in_flight, first_ended_us=min(ended_us, default=None))


def _calls(directory: Path) -> tuple[dict[bytes, int], dict[bytes, int]]:
    """When each call that is not stored was opened, since 1970, and when it ended, since then; in microseconds."""
    opened: dict[bytes, int] = {}
    ended: dict[bytes, int] = {}
    for segment in sorted(directory.glob(f"*{SEGMENT_SUFFIX}")):
        for kind, exchange_id, time_us in _heads_in(segment):
            if kind == Kind.OPEN:
                opened[exchange_id] = time_us
            elif kind == Kind.CLOSE:
                ended[exchange_id] = time_us
        # After the frames: what is stored meanwhile is not counted as waiting.
        for key in read_done(segment.with_suffix(DONE_SUFFIX)):
            opened.pop(key, None)
    return opened, ended


def _heads_in(segment: Path) -> Iterator[tuple[int, bytes, int]]:
    with contextlib.ExitStack() as opened:
        try:
            file = opened.enter_context(segment.open("rb"))
            content = opened.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (FileNotFoundError, ValueError):  # it was deleted meanwhile, or is empty
            return
        yield from heads(content)
