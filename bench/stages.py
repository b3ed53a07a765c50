"""What each step costs on the way of a call from the journal to the store, in processor time of one thread.

Run as ``python -m bench.stages [--postgres URL]``, with a database that is empty. Calls are written into a journal as a
proxy writes them, and each step of the worker is then done by itself, for batches as the worker takes them: calls of
1 KB that repeat each other, as those of ``make bench``, and calls of 6 KB with little in common, as those of
``bench.pipeline``. Told is the median over the batches, since other work on the machine makes some of them slower. What
is in none of the steps is the event loop and handing batches from thread to thread.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeVar
from uuid import UUID

from msgspec.structs import replace

from bench.storage import PROVIDER_HEADERS, SDK_HEADERS, chats
from bench.workloads import answer, plain, request
from llm_proxy.journal.format import Answer, Closing, Frames, Kind, Opening, encode
from llm_proxy.journal.reader import ANNOUNCE_AFTER_S, JournalReader
from llm_proxy.journal.writer import JournalLimits, JournalWriter
from llm_proxy.metrics import Ledger
from llm_proxy.model.completion import Completion
from llm_proxy.model.exchange import Ending, Endpoint, Exchange, new_id
from llm_proxy.settings.table import Settings
from llm_proxy.store.bodies import Packer
from llm_proxy.store.postgres_writer import PostgresWriter
from llm_proxy.store.rows import Rows, to_rows
from llm_proxy.store.sqlite_writer import SqliteWriter
from llm_proxy.understand import understand
from llm_proxy.wiring.pricing import make_pricer
from llm_proxy.worker import BATCH_RECORDS, Pricer, collect_rarely

BATCHES = 12
#: The first ones find things cold that all later ones find warm.
NOT_COUNTED = 2
OPENING = Opening(
    method="POST",
    target=b"/v1/chat/completions",
    endpoint=Endpoint.CHAT,
    headers=[(name.encode(), value.encode() if value else None) for name, value in SDK_HEADERS],
    upstream="default",
    provider="openai",
    client="127.0.0.1",
    key_fingerprint="5f1c0a3b…cdef",
)
ANSWER = Answer(200, [(name.encode(), value.encode()) for name, value in PROVIDER_HEADERS], 1500)

_Result = TypeVar("_Result")


class Stopwatch:
    """Microseconds of this thread per call, for each step and batch."""

    def __init__(self) -> None:
        self._spent: dict[str, list[float]] = {}

    def time(self, step: str, action: Callable[[], _Result]) -> _Result:
        begun = time.thread_time()
        result = action()
        self._spent.setdefault(step, []).append((time.thread_time() - begun) / BATCH_RECORDS * 1e6)
        return result

    def show(self, what: str) -> None:
        medians = {step: median(spent[NOT_COUNTED:]) for step, spent in self._spent.items()}
        # Putting packs, too; by itself it was measured beside that.
        medians["write"] = medians.pop("put") - medians["pack"]
        steps = ", ".join(f"{step} {spent_us:.0f}" for step, spent_us in medians.items())
        print(f"{what}: {sum(medians.values()):.0f} µs per call: {steps}")


def bodies_of(size: str, count: int) -> list[tuple[bytes, bytes]]:
    """Request and response of so many calls."""
    if size == "1 KB":
        wire = request(plain(1024), 8080), answer(plain(1024))
        asked, said = (message.partition(b"\r\n\r\n")[2] for message in wire)
        return [(asked, said)] * count
    kept = [call.bodies for call in chats(count)]
    return [(bodies.request_body or b"", bodies.response_body or b"") for bodies in kept if bodies is not None]


def write_journal(directory: Path, bodies: list[tuple[bytes, bytes]]) -> None:
    journal = JournalWriter(directory, limits=JournalLimits(), ledger=Ledger())
    for asked, said in bodies:
        frames = Frames(UUID(new_id()).bytes)
        frames.add(Kind.OPEN, time.time_ns() // 1000, encode(OPENING))
        frames.add(Kind.REQUEST, 10, asked)
        frames.add(Kind.RESPONSE, 400_000, encode(ANSWER))
        frames.add(Kind.CHUNK, 400_100, said)
        frames.add(Kind.CLOSE, 400_200, encode(Closing(Ending.COMPLETE, None, len(asked))))
        journal.open(frames)
    journal.close()


def measure(size: str, directory: Path, writer: SqliteWriter | PostgresWriter) -> Stopwatch:
    """All steps, batch for batch."""
    write_journal(directory / "journal", bodies_of(size, BATCHES * BATCH_RECORDS))
    reader = JournalReader(directory / "journal", ledger=Ledger(), announce_after_s=ANNOUNCE_AFTER_S)
    price = make_pricer(Settings.model_validate({"data_dir": directory}))
    packer, watch = Packer(), Stopwatch()
    writer.migrate()
    collect_rarely()
    for _ in range(BATCHES):
        exchanges = watch.time("read", partial(reader.poll, limit=BATCH_RECORDS))
        completions = watch.time("understand", partial(understood, exchanges))
        completions = watch.time("price", partial(priced, completions, price))
        watch.time("pack", partial(packed, completions, packer))
        watch.time("put", partial(writer.put, completions))
        watch.time("acknowledge", partial(acknowledge, exchanges, reader))
    writer.close()
    return watch


def understood(exchanges: list[Exchange]) -> list[Completion]:
    return [understand(exchange) for exchange in exchanges]


def priced(completions: list[Completion], price: Pricer) -> list[Completion]:
    return [replace(completion, cost=price(completion)) for completion in completions]


def packed(completions: list[Completion], packer: Packer) -> list[Rows]:
    return [to_rows(completion, packer) for completion in completions]


def acknowledge(exchanges: list[Exchange], reader: JournalReader) -> None:
    reader.mark_stored([exchange.id for exchange in exchanges], counted_as="stored")
    reader.tidy()


def main(postgres_url: str | None) -> None:
    for size in ("1 KB", "6 KB"):
        with tempfile.TemporaryDirectory() as made:
            measure(size, Path(made), SqliteWriter(Path(made, "calls.sqlite3"))).show(f"{size}, SQLite")
    if postgres_url is not None:
        for size in ("1 KB", "6 KB"):
            with tempfile.TemporaryDirectory() as made:
                writer = PostgresWriter(postgres_url, statement_timeout_s=60)
                measure(size, Path(made), writer).show(f"{size}, PostgreSQL")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What each step costs from the journal to the store.")
    parser.add_argument("--postgres", metavar="URL", help="an empty database, to be written to as well")
    main(parser.parse_args().postgres)
