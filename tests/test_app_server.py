"""A server in a child process of its own; how one hands connections over is in test_handover.py."""

import asyncio
import contextlib
import socket
import subprocess
import sys

from llm_proxy.app_server import serve_app
from llm_proxy.assignment import Assignment
from llm_proxy.child import Lifeline
from llm_proxy.settings.table import Settings
from running import PATIENCE_S

SCRIPT = """
import socket
from llm_proxy.app_server import serve_app
from llm_proxy.child import main

async def app(scope, receive, send):
    raise NotImplementedError

async def alongside(stopping):
    {what}

async def run(settings, assignment, lifeline):
    port = socket.create_server(("127.0.0.1", 0))
    await serve_app(app, port, lifeline, keep_alive_s=1, drain_s=1, alongside=alongside)
    print("ended well", lifeline.orphaned)

main(run)
"""


def outcome(tmp_path, what):
    """What a child says, and its exit status, which does ``what`` beside its server."""
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE_S)
    with ours, theirs, contextlib.ExitStack() as left:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT.format(what=what)],
            stdin=theirs.fileno(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        left.callback(process.kill)
        ours.sendall(Assignment(role="store", index=0, settings=Settings(data_dir=tmp_path).to_json()).to_line())
        assert ours.recv(64) == b"ready\n"
        ours.shutdown(socket.SHUT_RDWR)
        said, complaint = process.communicate(timeout=PATIENCE_S)
        return process.returncode, said, complaint


def test_what_fails_beside_the_server_ends_the_process(tmp_path):
    status, said, complaint = outcome(tmp_path, "raise OSError('no journal')")

    assert (status, said) == (1, "")
    assert "no journal" in complaint


def test_what_runs_beside_the_server_is_told_to_stop_when_the_lifeline_ends(tmp_path):
    assert outcome(tmp_path, "await stopping.wait(); print('told')") == (0, "told\nended well True\n", "")


async def test_calls_that_are_broken_off_at_shutdown_are_over_when_it_is():
    happened, called = [], asyncio.Event()

    async def app(scope, receive, send):
        called.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(20):
                await asyncio.sleep(0)
            happened.append("the call is over")

    ours, theirs = socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener, theirs:
        serving = asyncio.create_task(serve_app(app, listener, Lifeline(theirs), keep_alive_s=PATIENCE_S, drain_s=0))
        _, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await called.wait()
        ours.close()
        await serving
        happened.append("the server is over")
        writer.close()

    assert happened == ["the call is over", "the server is over"]
