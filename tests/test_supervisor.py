import asyncio
import fcntl
import os
import pty
import signal
import socket
import subprocess
import sys
import termios

import httpx
import pytest

from llm_proxy.assignment import Assignment
from llm_proxy.metrics import Ledger
from llm_proxy.settings.table import Settings
from llm_proxy.supervisor import Plan, Supervisor
from running import CHAT, PATIENCE_S, bare_environment, serve, until
from upstreams import LAST_CHUNK, SSE_HEAD, chat_chunk, chunk

STREAM = {**CHAT, "stream": True}


def deaths(product, role):
    return [
        line
        for line in product.logged()
        if line["event"] == "a process died; starting it again" and line["process"] == f"{role}-0"
    ]


async def read_until(response, piece):
    """Read a streamed answer until ``piece`` has come; returns what came."""
    seen = b""
    stream = response.aiter_raw()
    async for data in stream:
        seen += data
        if piece in seen:
            return seen, stream
    raise AssertionError(f"the answer ended without {piece!r}: {seen!r}")


async def test_a_killed_proxy_is_started_again_and_clients_wait_instead_of_being_refused(upstream, tmp_path):
    async with serve(tmp_path, upstream.url) as product:
        before = await product.child("proxy")

        await product.kill("proxy")
        answer = await product.chat()

        assert answer.status_code == 200
        assert (await product.child("proxy")).pid != before.pid
        assert [line["exit_status"] for line in deaths(product, "proxy")] == [-signal.SIGKILL]
        assert (await product.numbers())['restarts_total{role="proxy"}'] == 1


async def test_while_the_store_is_away_calls_go_on_and_are_taken_in_later(upstream, tmp_path):
    async with serve(tmp_path, upstream.url) as product:
        await product.kill("store")
        answer = await product.chat()
        records = await product.ended(1)

        assert answer.status_code == 200
        assert [record["id"] for record in records] == [answer.headers["x-llm-proxy-id"]]
        assert len(deaths(product, "store")) == 1


async def test_a_crash_loop_is_reported_and_costs_only_the_process_that_crashes(upstream, tmp_path):
    def in_a_loop():
        return [line for line in product.logged() if line["event"].startswith("crash loop")]

    async with serve(tmp_path, upstream.url) as product:
        while not in_a_loop():
            for store in product.processes("store"):
                store.kill()
            await asyncio.sleep(0.02)
        answer = await product.chat()

        assert answer.status_code == 200
        assert in_a_loop()[0]["process"] == "store-0"
        assert in_a_loop()[0]["deaths"] == 5
        assert len(await product.ended(1)) == 1


def test_a_proxy_that_never_comes_up_ends_the_program(tmp_path, capfd):
    settings = Settings(data_dir=tmp_path).to_json()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hopeless = Assignment(
            role="no_such_role", index=0, settings=settings, runtime_dir=str(tmp_path), listen_fd=listener.fileno()
        )
        supervisor = Supervisor([hopeless], listener, ledger=_AnyLedger(), drain_s=0)

        status = supervisor.run(on_ready=lambda: pytest.fail("nothing is ready"))

    assert status == 1
    assert "a process does not come up; giving up" in "".join(capfd.readouterr())


class _AnyLedger(Ledger):
    """Counts restarts of a role that the account does not know."""

    def add(self, name: str, amount: int = 1) -> None:
        super().add("restarts.store", amount)


async def test_a_store_that_does_not_come_up_keeps_nobody_from_calling(upstream, tmp_path):
    in_the_way = tmp_path / "data" / "store.sqlite3"
    in_the_way.mkdir(parents=True)

    async with serve(tmp_path, upstream.url) as product:
        answer = await product.chat()
        in_the_way.rmdir()
        records = await product.ended(1)

    assert [record["id"] for record in records] == [answer.headers["x-llm-proxy-id"]]
    assert "the store cannot be opened" in {line["event"] for line in product.logged()}


async def test_sigterm_lets_running_streams_end_and_what_they_brought_is_stored(upstream, tmp_path):
    go_on = asyncio.Event()
    upstream.script(SSE_HEAD, chunk(chat_chunk("before")), go_on, chunk(chat_chunk("after")), LAST_CHUNK)

    async with serve(tmp_path, upstream.url) as product:
        async with product.client.stream("POST", f"{product.base_url}/chat/completions", json=STREAM) as response:
            seen, rest = await read_until(response, b"before")
            product.process.terminate()
            await until(lambda: refuses(product.port), "an end of accepting")
            go_on.set()
            seen += b"".join([piece async for piece in rest])
        status = await product.end()

        assert b"after" in seen
        assert status == 0
        assert product.processes() == []
        (record,) = await product.records()
        assert (record["ending"], record["status"]) == ("complete", "finished")
        assert [line for line in product.logged() if line["level"] != "info"] == []


async def test_a_stream_that_outlasts_the_drain_is_broken_off_and_kept_as_aborted(upstream, tmp_path):
    upstream.script(SSE_HEAD, chunk(chat_chunk("partial")), asyncio.Event())

    async with serve(tmp_path, upstream.url, env={"LLM_PROXY_TIMEOUTS__DRAIN_S": "0.2"}) as product:
        async with product.client.stream("POST", f"{product.base_url}/chat/completions", json=STREAM) as response:
            _, rest = await read_until(response, b"partial")
            product.process.terminate()
            with pytest.raises(httpx.RemoteProtocolError):
                assert [piece async for piece in rest] == []
        status = await product.end()

        assert status == 0
        (record,) = await product.records()
        assert (record["ending"], record["status"]) == ("aborted", "failed")
        assert "stopped while the call ran" in record["failure_reason"]
        assert record["response"]["choices"][0]["message"]["content"] == "partial"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
async def test_who_asks_a_second_time_does_not_wait_for_streams_and_loses_nothing(upstream, tmp_path, number):
    upstream.script(SSE_HEAD, chunk(chat_chunk("partial")), asyncio.Event())

    async with serve(tmp_path, upstream.url, env={"LLM_PROXY_TIMEOUTS__DRAIN_S": str(10 * PATIENCE_S)}) as product:
        async with product.client.stream("POST", f"{product.base_url}/chat/completions", json=STREAM) as response:
            _, rest = await read_until(response, b"partial")
            product.process.send_signal(number)
            await until(lambda: refuses(product.port), "an end of accepting")
            status = await product.stop(number)
            with pytest.raises(httpx.RemoteProtocolError):
                assert [piece async for piece in rest] == []

        assert status == 0
        assert product.processes() == []
        (record,) = await product.records()
        assert record["ending"] == "aborted"
        assert record["response"]["choices"][0]["message"]["content"] == "partial"


async def test_who_asks_twice_at_once_does_not_wait_either(upstream, tmp_path):
    upstream.script(SSE_HEAD, chunk(chat_chunk("partial")), asyncio.Event())

    async with serve(tmp_path, upstream.url, env={"LLM_PROXY_TIMEOUTS__DRAIN_S": str(10 * PATIENCE_S)}) as product:
        async with product.client.stream("POST", f"{product.base_url}/chat/completions", json=STREAM) as response:
            _, rest = await read_until(response, b"partial")
            status = await product.stop(signal.SIGTERM, signal.SIGINT)
            with pytest.raises(httpx.RemoteProtocolError):
                assert [piece async for piece in rest] == []

        assert status == 0
        assert [record["ending"] for record in await product.records()] == ["aborted"]


async def test_children_of_a_killed_supervisor_drain_and_end_by_themselves_and_nothing_is_lost(upstream, tmp_path):
    go_on = asyncio.Event()
    upstream.script(SSE_HEAD, chunk(chat_chunk("before")), go_on, chunk(chat_chunk("after")), LAST_CHUNK)

    async with serve(tmp_path, upstream.url) as product:
        async with product.client.stream("POST", f"{product.base_url}/chat/completions", json=STREAM) as response:
            seen, rest = await read_until(response, b"before")
            product.process.kill()
            await until(lambda: refuses(product.port), "an end of accepting")
            await until(lambda: not product.processes("store"), "the end of the store")
            go_on.set()
            seen += b"".join([piece async for piece in rest])
        await product.gone()

    assert b"after" in seen
    async with serve(tmp_path, upstream.url) as product:
        (record,) = await product.ended(1)
        assert record["ending"] == "complete"


def refuses(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S).close()
    except ConnectionRefusedError:
        return True
    return False


class _NeverComesUp:
    """A configuration whose processes die as soon as they are started."""

    def __init__(self, assignment):
        self.assignment = assignment
        self.came_up = None
        self.gone = []

    def begin(self):
        return subprocess.Popen(["/bin/echo", "new"], stdout=subprocess.PIPE)

    def plan(self, said):
        assert said == b"new\n"
        return Plan(assignments=[self.assignment], drain_s=0, reload_drain_s=0)

    def settle(self, *, came_up):
        self.came_up = came_up

    def ended(self, assignment):
        self.gone.append(assignment.name)
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_configuration_whose_processes_do_not_come_up_changes_nothing(tmp_path, capfd):
    settings = Settings(data_dir=tmp_path).to_json()
    nobody = Assignment(role="no_such_role", index=0, settings=settings)
    reloading = _NeverComesUp(nobody)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        supervisor = Supervisor([nobody], listener, ledger=_AnyLedger(), drain_s=0, reloading=reloading)

        status = supervisor.run(on_ready=lambda: os.kill(os.getpid(), signal.SIGHUP))

    assert status == 0
    assert reloading.came_up is False
    assert reloading.gone == ["no_such_role-1"]


def test_a_closed_terminal_ends_what_runs_in_it_though_its_signal_is_that_of_a_reload(tmp_path):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "llm_proxy", "store", "--port", "0", "--data-dir", str(tmp_path)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=bare_environment(tmp_path),
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no threads run here
    )
    os.close(theirs)
    seen = b""
    while b"data lies in" not in seen:
        seen += os.read(ours, 4096)

    process.send_signal(signal.SIGHUP)
    while b"configuration reloaded" not in seen:
        seen += os.read(ours, 4096)
    runs_on = process.poll() is None
    os.close(ours)

    assert runs_on
    assert process.wait(PATIENCE_S) == 0


class _Comes:
    """A configuration with one more process, of which the work can wait."""

    def __init__(self, assignment):
        self.assignment = assignment
        self.came_up = None

    def begin(self):
        return subprocess.Popen(["/bin/echo", "new"], stdout=subprocess.PIPE)

    def plan(self, said):
        return Plan(assignments=[self.assignment], drain_s=0, reload_drain_s=0)

    def settle(self, *, came_up):
        self.came_up = came_up
        os.kill(os.getpid(), signal.SIGTERM)

    def ended(self, assignment):
        pass


def test_nobody_waits_for_what_can_wait_neither_at_the_start_nor_at_a_reload(tmp_path):
    nobody = Assignment(role="no_such_role", index=0, settings=Settings(data_dir=tmp_path).to_json(), can_wait=True)
    reloading = _Comes(nobody)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        supervisor = Supervisor([nobody], listener, ledger=Ledger(), drain_s=0, reloading=reloading)

        status = supervisor.run(on_ready=lambda: os.kill(os.getpid(), signal.SIGHUP))

    assert (status, reloading.came_up) == (0, True)
