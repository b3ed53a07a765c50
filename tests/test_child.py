import gc
import signal
import socket
import subprocess
import sys

import psutil
import pytest

from llm_proxy.assignment import Assignment
from llm_proxy.settings.table import Settings
from llm_proxy.wiring.layout import DataDir
from running import PATIENCE_S, bare_environment


@pytest.fixture
def start_child(tmp_path):
    """Start a process of a role as the supervisor does; gives the process and the supervisor's end of its lifeline."""
    started = []

    def start(*, role="store", runtime_dir=None, **settings):
        DataDir(tmp_path).prepare()
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", f"llm_proxy.wiring.{role}"],
                stdin=theirs.fileno(),
                stderr=subprocess.PIPE,
                env=bare_environment(tmp_path),
            )
        started.append((process, ours))
        told = Settings(data_dir=tmp_path, **settings).to_json()
        assignment = Assignment(role=role, index=0, settings=told, runtime_dir=str(runtime_dir or tmp_path / "run"))
        ours.settimeout(PATIENCE_S)
        return process, ours, assignment

    yield start
    for process, ours in started:
        ours.close()
        process.kill()
        process.communicate()


def test_a_child_says_once_that_it_is_ready(start_child):
    process, lifeline, assignment = start_child()

    lifeline.sendall(assignment.to_line())

    assert lifeline.recv(64) == b"ready\n"
    assert process.poll() is None


def test_an_assignment_may_come_in_pieces(start_child):
    _, lifeline, assignment = start_child()
    line = assignment.to_line()

    for start in range(0, len(line), 500):
        lifeline.sendall(line[start : start + 500])

    assert lifeline.recv(64) == b"ready\n"


def test_the_store_process_gives_way_to_those_that_answer_calls(start_child):
    process, lifeline, assignment = start_child()

    lifeline.sendall(assignment.to_line())
    lifeline.recv(64)

    assert psutil.Process(process.pid).nice() > psutil.Process().nice()


def test_the_end_of_its_lifeline_ends_it(start_child):
    process, lifeline, assignment = start_child()
    lifeline.sendall(assignment.to_line())
    lifeline.recv(64)

    lifeline.close()

    assert process.wait(PATIENCE_S) == 0


def test_sigterm_ends_it(start_child):
    process, lifeline, assignment = start_child()
    lifeline.sendall(assignment.to_line())
    lifeline.recv(64)

    process.terminate()

    assert process.wait(PATIENCE_S) == 0


async def test_sigint_of_a_terminal_is_for_the_supervisor_alone(start_child):
    process, lifeline, assignment = start_child()
    lifeline.sendall(assignment.to_line())
    lifeline.recv(64)

    process.send_signal(signal.SIGINT)
    # Pending signals are handled before the next one is: when that has ended it, the first one has not.
    process.terminate()

    assert process.wait(PATIENCE_S) == 0


def test_one_that_is_started_by_hand_says_who_starts_it(tmp_path):
    ours, theirs = socket.socketpair()
    ours.close()

    with theirs:
        done = subprocess.run(
            [sys.executable, "-m", "llm_proxy.wiring.store"],
            stdin=theirs.fileno(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    assert done.returncode == 1
    assert done.stderr == "this is started by llm-proxy serve\n"


def test_a_configured_key_is_in_no_argument(start_child):
    process, lifeline, assignment = start_child(upstream_key="sk-configured-0123456789")
    lifeline.sendall(assignment.to_line())
    lifeline.recv(64)

    arguments = " ".join(psutil.Process(process.pid).cmdline())

    assert "llm_proxy.wiring.store" in arguments
    assert "sk-configured" not in arguments


def test_what_was_imported_is_no_work_for_the_cycle_collector(tmp_path):
    ours, theirs = socket.socketpair()
    script = """if True:
        import gc
        from llm_proxy.child import main

        async def run(*_):
            print(gc.get_freeze_count(), *gc.get_threshold())

        main(run)
    """
    told = Settings(data_dir=tmp_path).to_json()
    ours.sendall(Assignment(role="store", index=0, settings=told, runtime_dir="").to_line())

    with ours, theirs:
        done = subprocess.run(
            [sys.executable, "-c", script],
            stdin=theirs.fileno(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=True,
        )

    frozen, *thresholds = map(int, done.stdout.split())
    assert frozen > 10_000
    assert thresholds > list(gc.get_threshold())
