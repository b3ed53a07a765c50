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


@pytest.mark.parametrize("command", ["serve", "store"])
def test_prices_that_are_none_are_told_in_a_line_before_anything_is_made(command, tmp_path):
    prices, config, data_dir = tmp_path / "prices.json", tmp_path / "llm-proxy.toml", tmp_path / "data"
    prices.write_text('{"gpt-x": {"input_cost_per_token": "much"}}')
    config.write_text("[pricing]\nfile = 'prices.json'\n")

    done = CliRunner().invoke(cli, [command, "--config", str(config), "--data-dir", str(data_dir)])

    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == (
        f"pricing.file: {prices}: gpt-x: input_cost_per_token: must be a number of dollars, 0 or more"
    )
    assert not data_dir.exists()
