"""``llm-proxy demo`` as its users run it: with a proxy of its own, and through one that runs already."""

import signal
import socket
import subprocess
import sys
import uuid
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from llm_proxy.model.exchange import Ending
from llm_proxy.model.query import CompletionQuery
from llm_proxy.settings.table import Settings
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.wiring import demo
from llm_proxy.wiring.layout import DataDir
from running import PATIENCE_S, bare_environment, serve

COMMAND = (sys.executable, "-m", "llm_proxy", "demo")
ENDINGS = {
    "/v1/chat/completions gpt-4o-mini": {Ending.COMPLETE, Ending.UPSTREAM_ERROR, Ending.CLIENT_DISCONNECTED},
    "/v1/chat/completions demo-unreliable": {Ending.UPSTREAM_BROKE_OFF},
    "/v1/embeddings text-embedding-3-small": {Ending.COMPLETE},
    "/v1/responses gpt-4o-mini": {Ending.COMPLETE},
}
CALLS = 9


def marked_environment(there):
    """With a mark by which processes are found that were left behind, and a place for temporary files."""
    temporary = there / "tmp"
    temporary.mkdir()
    return bare_environment(there) | {"TMPDIR": str(temporary), "MARK": uuid.uuid4().hex}


@pytest.fixture
def environment(tmp_path):
    return marked_environment(tmp_path)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The demo, run once: what it printed, where its data is, and its environment."""
    there = tmp_path_factory.mktemp("demo")
    # What the user has set is not for this proxy; a name that is no setting would keep it from starting.
    settings = {"LLM_PROXY_UPSTREAM": "http://127.0.0.1:1/v1", "LLM_PROXY_NO_SETTING": "1"}
    environment = marked_environment(there) | settings
    return run("--keep", str(there / "kept"), environment=environment), there / "kept", environment


def run(*arguments, environment):
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, env=environment, timeout=2 * PATIENCE_S, check=False
    )


def left_behind(environment):
    found = [path.name for path in Path(environment["TMPDIR"]).iterdir()]
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("MARK") == environment["MARK"] and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.cmdline())
    return found


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


async def records_in(data_dir):
    store = SqliteStore(DataDir(data_dir).database, read_only=True)
    page = await store.find(CompletionQuery(limit=None))
    await store.close()
    return page.completions


async def test_every_kind_of_call_is_on_record_with_its_ending(played):
    done, kept, environment = played

    records = await records_in(kept)

    endings = {}
    for record in records:
        _, slash, path = record.path.rpartition("/v1/")
        endings.setdefault(f"{slash}{path} {record.model}", set()).add(record.ending)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(records) == CALLS
    assert endings == ENDINGS
    assert all("demo" in record.context.tags for record in records)
    assert len({record.context.session_id for record in records} - {None}) == 1
    assert left_behind(environment) == []


async def test_it_shows_what_it_does_and_what_was_recorded(played):
    done, kept, _ = played

    made, _, recorded = done.stdout.partition("What is on record")

    assert "  chat                         200  The capital of France is Paris.\n" in made
    assert all(record.id in recorded for record in await records_in(kept))
    assert "upstream_broke_off: " in recorded
    assert "client_disconnected: " in recorded
    assert '"content": "Rain finds the river' in recorded
    assert f"llm-proxy logs --data-dir {kept}" in recorded


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=str)
def test_however_it_is_ended_nothing_is_left_behind(environment, number, status):
    with subprocess.Popen(
        COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        while "chat  " not in process.stdout.readline():
            assert process.poll() is None

        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == status
    assert "Traceback" not in said
    assert left_behind(environment) == []


async def test_calls_can_go_through_a_proxy_that_runs(tmp_path, environment):
    port = free_port()
    async with serve(tmp_path, f"http://127.0.0.1:{port}/v1") as product:
        done = run(
            "--through", product.base_url, "--upstream-port", str(port), "--data-dir", str(product.data_dir),
            environment=environment,
        )  # fmt: skip

        assert (done.returncode, done.stderr) == (0, "")
        assert product.process.poll() is None
    assert len(await records_in(product.data_dir)) == CALLS
    assert left_behind(environment) == []


async def test_a_proxy_that_points_elsewhere_is_told_apart_and_how_to_start_it_is_said(tmp_path, environment):
    port = free_port()
    async with serve(tmp_path, f"http://127.0.0.1:{free_port()}/v1") as product:
        done = run("--through", product.url, "--upstream-port", str(port), environment=environment)

    assert done.returncode == 2
    assert done.stderr == (
        f"llm-proxy: the call did not come from {product.url} to the scripted upstream; start that proxy with"
        f" `llm-proxy serve --upstream http://127.0.0.1:{port}/v1`\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--through", "localhost:8080", "--upstream-port", "{free}"),
            "--through: 'localhost:8080' is no URL of a proxy",
        ),
        (
            ("--through", "http://127.0.0.1:{nobody}", "--upstream-port", "{free}"),
            "no answer from the proxy at http://127",
        ),
        (("--upstream-port", "{taken}"), "--upstream-port: cannot listen on 127.0.0.1:{taken}: Address already in use"),
        (("--keep", "/dev/null/there"), "the private proxy did not start: data_dir: /dev/null/there cannot be used"),
    ],
)
def test_what_keeps_it_from_playing_is_said_in_one_line(environment, arguments, message):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {"free": free_port(), "nobody": free_port(), "taken": taken.getsockname()[1]}

        done = run(*(argument.format(**ports) for argument in arguments), environment=environment)

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"llm-proxy: {message.format(**ports)}")
    assert left_behind(environment) == []


async def test_records_that_never_appear_are_not_waited_for_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "_RECORD_S", 0.1)

    assert await demo._recorded(["0193"], Settings(data_dir=tmp_path)) == {}
