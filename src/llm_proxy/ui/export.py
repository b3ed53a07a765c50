"""The calls of a filter as a file, while it is written: how far it has come is asked beside it.

A file goes out as it is made, so that it takes no room here, however many calls it has; and between two calls others
are answered.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import BinaryIO, Protocol, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import ASGIApp

from llm_proxy.errors import Refused
from llm_proxy.model.account import Principal
from llm_proxy.model.completion import Completion
from llm_proxy.model.filters import parse
from llm_proxy.model.query import CompletionQuery
from llm_proxy.store.base import Findings
from llm_proxy.ui import present
from llm_proxy.ui.calls import href
from llm_proxy.ui.histogram import span
from llm_proxy.ui.reach import asked
from llm_proxy.ui.room import Table, looks
from llm_proxy.ui.templating import page, problem

#: Bytes that are gathered before they are sent.
_PIECE_BYTES = 2**16
#: Exports of which it is remembered how far they came.
_REMEMBERED = 50
#: How long to count what there is to export, in seconds.
_PATIENCE_S = 1.0
_TOKEN = re.compile(r"[A-Za-z0-9-]{8,64}")


class Writer(Protocol):
    """Writes records to a file, and says of one that it has no place for why that is so."""

    with_bodies: bool

    def write(self, completion: Completion) -> str | None:
        """Write one record, or say why not."""

    def close(self) -> None:
        """Write what belongs at the end."""


class Records(Protocol):
    """Reads what matches, as little at a time as its sizes allow."""

    def __call__(self, query: CompletionQuery, *, with_bodies: bool) -> AsyncIterator[Completion]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A kind of file."""

    name: str
    title: str
    about: str
    extension: str
    media_type: str


FORMATS = {
    one.name: one
    for one in (
        Format(
            name="jsonl",
            title="JSON lines",
            about="All that is known of each call; nothing is lost, and it can be imported again.",
            extension="jsonl",
            media_type="application/x-ndjson",
        ),
        Format(
            name="csv",
            title="CSV",
            about="A row for each call, without its bodies, for spreadsheets.",
            extension="csv",
            media_type="text/csv",
        ),
        Format(
            name="parquet",
            title="Parquet",
            about="The same columns and the bodies, for data frames and DuckDB.",
            extension="parquet",
            media_type="application/vnd.apache.parquet",
        ),
        Format(
            name="openai-finetune",
            title="Fine-tuning",
            about="Chat calls that ended well, as examples in the format of OpenAI; others are left out, and counted.",
            extension="jsonl",
            media_type="application/x-ndjson",
        ),
    )
}


@dataclass(slots=True)
class Progress:
    """How far an export has come."""

    organization_id: str
    written: int = 0
    bytes: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    finished: bool = False


class Exports:
    """All exports of a process."""

    def __init__(self, records: Records, writers: Mapping[str, Callable[[BinaryIO], Writer]]) -> None:
        self._records = records
        self._writers = writers
        self._running: dict[str, Progress] = {}

    def progress(self, token: str, organization_id: str) -> Progress | None:
        """How far the one of this token has come, if it is the organisation's."""
        found = self._running.get(token)
        return found if found is not None and found.organization_id == organization_id else None

    def begin(self, token: str, query: CompletionQuery, format_name: str) -> AsyncIterator[bytes]:
        """The file, piece by piece. Raises ConfigError if what writes it is not installed."""
        outbox = _Outbox()
        writer = self._writers[format_name](cast("BinaryIO", outbox))
        progress = Progress(organization_id=query.organization_id)
        self._running.pop(token, None)
        self._running[token] = progress
        while len(self._running) > _REMEMBERED:
            del self._running[next(iter(self._running))]
        return self._pieces(query, writer, outbox, progress)

    async def _pieces(
        self, query: CompletionQuery, writer: Writer, outbox: "_Outbox", progress: Progress
    ) -> AsyncIterator[bytes]:
        async for completion in self._records(query, with_bodies=writer.with_bodies):
            reason = writer.write(completion)
            if reason is None:
                progress.written += 1
            else:
                progress.left_out[reason] += 1
            if outbox.waiting >= _PIECE_BYTES:
                piece = outbox.take()
                progress.bytes += len(piece)
                yield piece
            # Records come many at a time: others are answered between any two.
            await asyncio.sleep(0)
        writer.close()
        piece = outbox.take()
        progress.bytes += len(piece)
        progress.finished = True
        yield piece


class _Outbox:
    """A file that is taken away as it is written."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.waiting = 0

    def write(self, content: bytes) -> int:
        piece = bytes(content)
        self._pieces.append(piece)
        self.waiting += len(piece)
        return len(piece)

    def flush(self) -> None:
        """Nothing is kept from being taken."""

    def take(self) -> bytes:
        """What was written since the last time."""
        content = b"".join(self._pieces)
        self._pieces.clear()
        self.waiting = 0
        return content


def table(exports: Exports, findings: Findings) -> Table:
    """What is asked for where."""
    return {
        "/export": looks(partial(_form, findings), by_project=True),
        "/export/file": looks(partial(_file, exports), by_project=True),
        "/export/progress": looks(partial(_progress, exports), by_project=True),
    }


async def _form(findings: Findings, request: Request, principal: Principal) -> ASGIApp:
    """What there is to export, and as what."""
    written, now = request.query_params.get("q", "").strip(), datetime.now(UTC)
    try:
        found = parse(written, now=now)
    except ValueError as exc:
        return problem(400, "No such filter", str(exc))
    query = asked(principal, found, now=now)
    first = await findings.first_at(principal.organization_id, project_id=principal.project_id)
    start, end, parts = span(first or now, now)
    buckets = await findings.histogram(query, start, end, count=parts, patience_s=_PATIENCE_S)
    count, is_all = sum(one.calls or 0 for one in buckets), all(one.calls is not None for one in buckets)
    return page(
        "export.html",
        written=present.visible(str(found)),
        formats=FORMATS.values(),
        shown_count=_shown(count, is_all=is_all),
        total=count if is_all else "",
        command=_command(str(found)),
        list_href=href(found),
    )


def _shown(count: int, *, is_all: bool) -> str:
    if is_all:
        return f"{present.count(count)} call{'' if count == 1 else 's'}"
    return f"{present.count(count)} calls or more" if count else "Calls of which there was no time to count any"


def _command(written: str) -> str:
    quoted = "'" + written.replace("'", "'\\''") + "'"
    where = f" --where {present.visible(quoted)}" if written else ""
    return f"llm-proxy export --format jsonl{where} --output calls.jsonl"


async def _file(exports: Exports, request: Request, principal: Principal) -> ASGIApp:
    given, now = request.query_params, datetime.now(UTC)
    kind = FORMATS.get(given.get("format", ""))
    token = given.get("token", "")
    if kind is None or (token and not _TOKEN.fullmatch(token)):
        raise Refused(f"there is no such format; there are {', '.join(FORMATS)}", status=400, code="invalid_request")
    try:
        found = parse(given.get("q", ""), now=now)
    except ValueError as exc:
        raise Refused(str(exc), status=400, code="invalid_request") from exc
    query = asked(principal, found, now=now)
    name = f"calls-{now:%Y%m%d-%H%M%S}.{kind.extension}"
    return StreamingResponse(
        exports.begin(token or "none", query, kind.name),
        media_type=kind.media_type,
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


async def _progress(exports: Exports, request: Request, principal: Principal) -> ASGIApp:
    found = exports.progress(request.query_params.get("token", ""), principal.organization_id)
    if found is None:
        return JSONResponse(None)
    reasons = [{"reason": reason, "count": count} for reason, count in found.left_out.most_common()]
    return JSONResponse(
        {"written": found.written, "bytes": found.bytes, "left_out": reasons, "finished": found.finished}
    )
