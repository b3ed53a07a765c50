"""``llm-proxy export``: recorded calls as a file of another format, whether or not anything else runs.

Never writes to the store. However much is recorded, little of it is in memory: a page of a list, and of bodies as many
records as have some megabytes together. A file appears under its name when it is whole, or not at all. Standard output
is for records alone; the summary, and on a terminal a bar, go to standard error.
"""

import asyncio
import contextlib
import os
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from llm_proxy.errors import ConfigError
from llm_proxy.model.completion import Completion
from llm_proxy.model.query import CompletionQuery, Cursor
from llm_proxy.settings.table import Settings
from llm_proxy.store.base import Store
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.transfer.base import RecordWriter
from llm_proxy.transfer.csv import CsvWriter
from llm_proxy.transfer.finetune import FinetuneWriter
from llm_proxy.transfer.jsonl import JsonlWriter
from llm_proxy.transfer.parquet import ParquetWriter
from llm_proxy.wiring.logs import query_of
from llm_proxy.wiring.owners import check_owners, of_each, owners
from llm_proxy.wiring.progress import Advance, progress
from llm_proxy.wiring.stores import open_store

#: The ids of the organisations that are meant.
Whose: TypeAlias = Callable[[SqlStore], Coroutine[Any, Any, list[str]]]

#: By what ``--format`` calls them.
WRITERS: dict[str, Callable[[BinaryIO], RecordWriter]] = {
    "jsonl": JsonlWriter,
    "csv": CsvWriter,
    "parquet": ParquetWriter,
    "openai-finetune": FinetuneWriter,
}

#: Records of a list read at a time.
_LISTED = 500
#: Records read at a time with their bodies, and the bytes that those had on the wire: decoded they take several times
#: as many. One record is read in any case.
_READ_RECORDS = 50
_READ_BYTES = 4 * 2**20
#: Taken for the size of a record that was imported, of which the wire is not known.
_UNKNOWN_BYTES = 2**18
#: Stands for standard output, as the absence of a file does.
_STANDARD_OUTPUT = Path("-")


def run_export(
    settings: Settings,
    *,
    format_: str,
    output: Path | None,
    organization: str | None = None,
    everywhere: bool = False,
    **conditions: Any,
) -> int:
    """Write the records that meet ``conditions`` to ``output``; the exit status. Raises ConfigError."""
    check_owners(organization, everywhere=everywhere)
    query = query_of(with_bodies=False, **conditions)
    output = None if output == _STANDARD_OUTPUT else output
    if output is None and format_ == "parquet" and sys.stdout.isatty():
        raise ConfigError("export: Parquet is not for terminals; name a file with --output, or redirect")
    with (
        progress("exporting", total=query.limit, wanted=output is not None or not sys.stdout.isatty()) as advance,
        _errors_of(output),
        _opened(output) as file,
    ):
        whose = partial(owners, organization=organization, everywhere=everywhere)
        skipped, written = asyncio.run(_export(settings, query, whose, WRITERS[format_](file), advance))
    _say(f"exported {_records(written)}{f' to {output}' if output else ''}")
    if skipped:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in skipped.most_common())
        _say(f"left out {_records(skipped.total())}: {reasons}")
    if not written and not skipped:
        _say("no recorded call meets these conditions")
    return 0


async def _export(
    settings: Settings, query: CompletionQuery, whose: Whose, writer: RecordWriter, advance: Advance
) -> tuple[Counter[str], int]:
    """Why records were left out, and how many were not."""
    skipped: Counter[str] = Counter()
    seen = 0
    store = open_store(settings, read_only=True)
    try:
        async for completion in records_of(store, query, await whose(store), with_bodies=writer.with_bodies):
            if reason := writer.write(completion):
                skipped[reason] += 1
            seen += 1
            advance(seen)
    finally:
        await store.close()
    writer.close()
    return skipped, seen - skipped.total()


async def records_of(
    store: Store, query: CompletionQuery, ids: Sequence[str], *, with_bodies: bool
) -> AsyncIterator[Completion]:
    """What matches of each of these organisations, one after the other; the limit is for all together."""
    seen = 0
    for one in of_each(query, ids):
        left = None if query.limit is None else query.limit - seen
        async for completion in records(store, replace(one, limit=left), with_bodies=with_bodies):
            yield completion
            seen += 1


async def records(store: Store, query: CompletionQuery, *, with_bodies: bool) -> AsyncIterator[Completion]:
    """What matches, newest first, as little at a time as its sizes allow."""
    left = query.limit
    while left is None or left > 0:
        page = await store.find(replace(query, limit=_LISTED if left is None else min(_LISTED, left)))
        for size in _runs(page.completions) if with_bodies else ():
            # What was listed may have changed since; so each piece begins behind what came last.
            whole = await store.find(replace(query, limit=size, with_bodies=True))
            for completion in whole.completions:
                yield completion
            if whole.completions:
                last = whole.completions[-1]
                query = replace(query, after=Cursor(started_at=last.started_at, id=last.id))
        if not with_bodies:
            for completion in page.completions:
                yield completion
            query = replace(query, after=page.next)
        if page.next is None:
            return
        left = None if left is None else left - len(page.completions)


def _runs(listed: Sequence[Completion]) -> Iterator[int]:
    """How many of ``listed`` to read at a time, one number after the other."""
    count = size = 0
    for completion in listed:
        known = [size for size in (completion.request_bytes, completion.response_bytes) if size is not None]
        bytes_ = sum(known) if known else _UNKNOWN_BYTES
        if count and (count == _READ_RECORDS or size + bytes_ > _READ_BYTES):
            yield count
            count = size = 0
        count, size = count + 1, size + bytes_
    if count:
        yield count


@contextlib.contextmanager
def _opened(output: Path | None) -> Iterator[BinaryIO]:
    """A file that gets its name at the end of the block; standard output, and what is no file, as they are."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif output.exists() and not output.is_file():
        with output.open("wb") as device:
            yield device
    else:
        output = output.resolve()
        # Readable for its owner only, as all that prompts are in.
        handle, name = tempfile.mkstemp(prefix=f".{output.name}.", suffix=".part", dir=output.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(handle)
            Path(name).replace(output)
        except BaseException:
            Path(name).unlink()
            raise


@contextlib.contextmanager
def _errors_of(output: Path | None) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:  # `llm-proxy export | head`
        raise
    except OSError as exc:
        raise ConfigError(f"{output or 'standard output'}: cannot be written: {exc.strerror}") from exc


def _records(count: int) -> str:
    return f"{count} {'record' if count == 1 else 'records'}"


def _say(line: str) -> None:
    print(f"llm-proxy: {line}", file=sys.stderr)  # noqa: T201 - this is what the command says
