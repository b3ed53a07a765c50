"""That the commands reach what they are for, which is tested where it is wired."""

import json

from click.testing import CliRunner

from llm_proxy.cli import cli


def run(*arguments, tmp_path):
    return CliRunner().invoke(cli, [*arguments, "--data-dir", str(tmp_path / "data")])


def test_the_configuration_is_checked(tmp_path):
    done = run("check", tmp_path=tmp_path)

    assert done.exit_code == 0
    assert "ok    upstreams: default\n" in done.output


def test_it_is_told_where_a_request_would_go(tmp_path):
    done = run("route", "--model", "gpt-4o", "--header", "X-LLM-Tags: a", "--json", tmp_path=tmp_path)

    told = json.loads(done.output)
    assert (done.exit_code, told["model"], told["belongs_to"]["tags"]) == (0, "gpt-4o", ["a"])
