"""What each command runs is tested where it is wired (tests/wiring/test_serve.py); here, that the commands reach it."""

import pytest
from click.testing import CliRunner

from llm_proxy.cli import cli
from llm_proxy.errors import ConfigError


@pytest.mark.parametrize("command", ["proxy", "worker"])
def test_what_needs_redis_says_so_when_there_is_none(command, tmp_path):
    done = CliRunner().invoke(cli, [command, "--data-dir", str(tmp_path / "data")])

    assert isinstance(done.exception, ConfigError)
    assert f"`llm-proxy {command}` needs Redis: set LLM_PROXY_REDIS_URL" in str(done.exception)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("command", ["serve", "store"])
def test_where_to_listen_is_said_by_flags(command, tmp_path):
    done = CliRunner().invoke(cli, [command, "--host", "192.0.2.1", "--port", "81", "--data-dir", str(tmp_path)])

    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).startswith("cannot listen on 192.0.2.1:81: ")
