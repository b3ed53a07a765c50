"""What each command runs is tested where it is wired (tests/wiring/test_serve.py); here, that the commands reach it."""

import subprocess
import sys

import pytest

from running import PATIENCE_S, bare_environment


def said(tmp_path, *arguments):
    """What the command says, in a process of its own: it sets up the log of the whole process."""
    command = [sys.executable, "-m", "llm_proxy", *arguments, "--data-dir", str(tmp_path / "data")]
    done = subprocess.run(
        command, capture_output=True, text=True, env=bare_environment(tmp_path), timeout=PATIENCE_S, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


@pytest.mark.parametrize("command", ["proxy", "worker"])
def test_what_needs_redis_says_so_when_there_is_none(command, tmp_path):
    line = said(tmp_path, command)

    assert f"`llm-proxy {command}` needs Redis: set LLM_PROXY_REDIS_URL" in line
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("command", ["serve", "store"])
def test_where_to_listen_is_said_by_flags(command, tmp_path):
    line = said(tmp_path, command, "--host", "192.0.2.1", "--port", "81")

    assert line.startswith("llm-proxy: cannot listen on 192.0.2.1:81: ")
