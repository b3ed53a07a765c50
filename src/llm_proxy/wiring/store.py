"""The store process: APIs and pages, beside the proxies on a Unix socket, or on a port of its own.

Without Redis it also is the worker, which takes the journal of this host in.
"""

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount, Route

from llm_proxy.api import (
    log10,
    log10_feedback,
    log10_legacy,
    maxim,
    maxim_reading,
    maxim_uploads,
    openapi,
    ops,
    own,
    resource,
)
from llm_proxy.api.auth import Gate
from llm_proxy.api.login import Logins
from llm_proxy.api.seal import Seal
from llm_proxy.app_server import serve_app
from llm_proxy.assignment import Assignment
from llm_proxy.child import Lifeline, main
from llm_proxy.decode import pushed
from llm_proxy.decode.generation import completion_of
from llm_proxy.journal.reader import ANNOUNCE_AFTER_S, JournalReader
from llm_proxy.metrics import Ledger, read_all
from llm_proxy.priority import STORE, give_way
from llm_proxy.queue.in_journal import JournalQueue
from llm_proxy.settings.table import Settings
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_feedback import SqlFeedback
from llm_proxy.store.sql_keepsakes import SqlKeepsakes
from llm_proxy.store.sql_logins import SqlLogins
from llm_proxy.store.sql_overviews import SqlOverviews
from llm_proxy.store.sql_removal import SqlRemoval
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.store.sql_traces import SqlTraces
from llm_proxy.ui import pages
from llm_proxy.ui.access import Access
from llm_proxy.ui.sharing import Sharing
from llm_proxy.wiring.calls_rooms import rooms_of_calls
from llm_proxy.wiring.house_rooms import rooms_of_the_house
from llm_proxy.wiring.keys_known import watch_into_file
from llm_proxy.wiring.layout import DataDir, store_socket
from llm_proxy.wiring.pricing import make_pricer, priced
from llm_proxy.wiring.sign_on import mark_of, sign_on_of
from llm_proxy.wiring.sole_reader import sole_reader
from llm_proxy.wiring.stores import open_store
from llm_proxy.wiring.upgrade import check_store, upgrading
from llm_proxy.wiring.uploads import open_blobs, signing_secret
from llm_proxy.worker import Worker, collect_rarely

#: How long a page may still be on its way at shutdown, in seconds; the proxies, which ask for them, have gone by then.
_DRAIN_S = 2.0


async def run(settings: Settings, assignment: Assignment, lifeline: Lifeline) -> None:
    """Serve until the lifeline ends; where there is no Redis, also work until the journal is taken in."""
    give_way(STORE)
    data = DataDir(settings.data_dir)
    async with contextlib.AsyncExitStack() as held:
        if assignment.takes_journal and not assignment.replaces:
            await held.enter_async_context(sole_reader(data))
        store = open_store(settings)
        held.push_async_callback(store.close)
        upgrade = await held.enter_async_context(upgrading(store))

        async def work(stopping: asyncio.Event) -> None:
            if not assignment.takes_journal or not await upgrade.done(stopping):
                return
            # One that replaces another serves before that: while the other ends, it is this one that is asked.
            claim = sole_reader(data, stopping) if assignment.replaces else contextlib.nullcontext(True)
            async with claim as is_reader:
                if is_reader:
                    ledger = data.ledger(assignment.name)
                    await _work(settings, store, ledger, stopping=stopping, is_replaced=lambda: lifeline.retired)

        served = [*_routes(settings, store, assignment.calls_url), *_ops(data, store)]
        await serve_app(
            resource.OneSlash(Starlette(routes=served, exception_handlers={404: pages.nowhere})),
            _listener(assignment),
            lifeline,
            keep_alive_s=settings.timeouts.keep_alive_s,
            drain_s=_DRAIN_S,
            alongside=work,
        )
    if assignment.runtime_dir is not None and lifeline.orphaned:
        # The supervisor removes it; but one that was killed does not.
        shutil.rmtree(assignment.runtime_dir, ignore_errors=True)


async def _work(
    settings: Settings, store: SqlStore, ledger: Ledger, *, stopping: asyncio.Event, is_replaced: Callable[[], bool]
) -> None:
    """Take the journal in until told to stop, and what it has by then unless another process goes on with it."""
    worker = _worker(settings, store, ledger)
    collect_rarely()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run())
        watching = group.create_task(watch_into_file(store, DataDir(settings.data_dir).keys).run())
        await stopping.wait()
        watching.cancel()
        worker.stop(leaving_rest=is_replaced())


def _worker(settings: Settings, store: SqlStore, ledger: Ledger) -> Worker:
    data = DataDir(settings.data_dir)
    reader = JournalReader(data.journal, ledger=ledger, announce_after_s=ANNOUNCE_AFTER_S, ledgers=data.counters)
    queue = JournalQueue(reader, dead_letters=data.dead_letters)
    return Worker(
        queue,
        store,
        price=make_pricer(settings),
        estimates=settings.usage.estimate,
        suspect_note=data.suspect,
        note_use=SqlAccounts(store).note_use,
        note_overhead=ledger.observe_overhead,
    )


def _routes(settings: Settings, store: SqlStore, calls_url: str | None = None) -> list[Route | Mount]:
    accounts = SqlAccounts(store)
    admin_key = settings.auth.admin_key
    opens_all = None if admin_key is None else admin_key.get_secret_value()
    price = make_pricer(settings)
    traces, data = SqlTraces(store, priced(completion_of, price)), DataDir(settings.data_dir)
    sign_on, secret = sign_on_of(settings, accounts, data.fingerprint_secret()), data.fingerprint_secret()
    logins = Logins(secret, SqlLogins(store), admin_key=opens_all, provider=mark_of(settings))
    gate = Gate(accounts, admin_key=opens_all, is_open=settings.auth.open, is_closed=sign_on is not None, logins=logins)
    log = log10.Log10(store, SqlFeedback(store), gate, pushed.fold, price)
    blobs = open_blobs(settings)
    files = maxim_uploads.Files(traces, blobs, Seal(signing_secret(settings), b"uploads"))
    sources = own.Sources(
        store=store, accounts=accounts, overviews=SqlOverviews(store), removal=SqlRemoval(store, blobs), traces=traces
    )
    tables = (
        *own.tables(sources, gate),
        *(part.table(log) for part in (log10, log10_feedback, log10_legacy)),
        maxim.table(files),
        maxim_uploads.table(files),
        maxim_reading.table(maxim_reading.Records(store, traces)),
    )
    documents = openapi.routes(*tables)
    served = [*documents, *resource.routes(gate, *tables), *maxim_uploads.routes(files), *resource.nothing_else()]
    access = Access(logins, gate.holder, link=data.login_link, sign_on=sign_on)
    house = rooms_of_the_house(settings, store, forget=gate.forget, keep_in=access.keep_in)
    rooms = (*rooms_of_calls(store, calls_url=calls_url), *house)
    sharing = Sharing(store, SqlKeepsakes(store), Seal(secret, b"share"))
    return [*served, *pages.routes(store, gate.admit, *rooms, access=access, sharing=sharing)]


def _ops(data: DataDir, store: SqlStore) -> list[Route]:
    return ops.routes(check=partial(check_store, store), numbers=partial(read_all, data.counters))


def _listener(assignment: Assignment) -> socket.socket:
    """The port that it was given, or else a socket beside the proxies."""
    if assignment.listen_fd is not None:
        return socket.socket(fileno=assignment.listen_fd)
    assert assignment.runtime_dir is not None
    path = store_socket(assignment.runtime_dir)
    Path(path).parent.mkdir(mode=0o700, exist_ok=True)  # an earlier store process may have removed it
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - of an earlier process; asyncio's loop is not held up by it
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(128)
    return listener


if __name__ == "__main__":
    main(run)
