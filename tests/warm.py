"""Commands of the product in processes of their own that need not import it first, which is most of what they take.

A server that has imported what they need forks one process for each. For tests of what a command does, not of how it
starts.
"""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from running import PATIENCE_S

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["llm_proxy.wiring.logs", "llm_proxy.store.postgres", "llm_proxy.store.sqlite"])


def run(arguments: Sequence[str], *, env: Mapping[str, str], there: Path) -> "subprocess.CompletedProcess[str]":
    """Run ``llm-proxy`` with ``arguments``, ``there`` being a directory for what it prints."""
    printed, said = there / "stdout", there / "stderr"
    process = _SERVER.Process(target=_command, args=(list(arguments), dict(env), printed, said))
    process.start()
    process.join(PATIENCE_S)
    if process.exitcode is None:
        process.kill()
        process.join()
    assert process.exitcode is not None
    return subprocess.CompletedProcess(list(arguments), process.exitcode, printed.read_text(), said.read_text())


def _command(arguments: list[str], env: dict[str, str], printed: Path, said: Path) -> None:
    from llm_proxy.cli import main  # noqa: PLC0415  # in the process that is to run it

    os.environ.clear()
    os.environ.update(env)
    for path, stream in ((printed, 1), (said, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    sys.argv = ["llm-proxy", *arguments]
    main()
