"""What the library means, and that it is loaded only where it is needed."""

import subprocess
import sys

import pytest
from redis import exceptions

from llm_proxy.queue.redis_client import FAILURES, what_is_wrong


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (exceptions.OutOfMemoryError("OOM command not allowed"), "is full (maxmemory)"),
        (exceptions.ResponseError("OOM command not allowed when used memory > 'maxmemory'."), "is full (maxmemory)"),
        (exceptions.ReadOnlyError("READONLY"), "is read-only, a replica"),
        (exceptions.BusyLoadingError("LOADING"), "is loading its data"),
        (exceptions.AuthenticationError("WRONGPASS"), "does not let us in: WRONGPASS"),
        (exceptions.NoPermissionError("NOPERM"), "does not let us in: NOPERM"),
        (exceptions.TimeoutError(), "does not answer"),
        (TimeoutError(), "does not answer"),
        (exceptions.ConnectionError("refused"), "cannot be reached: refused"),
        (OSError("no route"), "cannot be reached: no route"),
        (exceptions.ResponseError("ERR odd"), "refuses: ERR odd"),
    ],
    ids=repr,
)
def test_each_failure_has_words_that_stand_behind_the_servers_name(failure, words):
    assert isinstance(failure, FAILURES)
    assert what_is_wrong(failure) == words


def test_a_store_without_redis_does_not_load_the_library():
    program = "import sys, llm_proxy.wiring.store; print('redis' in sys.modules, 'llm_proxy.queue' in sys.modules)"

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert said.stdout.split() == ["False", "True"]
