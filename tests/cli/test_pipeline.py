"""That the commands reach what they are for, which is tested where it is wired."""

import json

import pytest
from click.testing import CliRunner

from llm_proxy.cli import cli
from llm_proxy.queue.in_journal import JournalQueue
from llm_proxy.wiring.layout import DataDir
from queue_exchanges import exchange


def run(*arguments, data_dir):
    return CliRunner().invoke(cli, [*arguments, "--data-dir", str(data_dir)])


@pytest.fixture
def letters(tmp_path):
    data = DataDir(tmp_path / "data")
    data.prepare()
    queue = JournalQueue(None, dead_letters=data.dead_letters)
    for name in ("one", "two"):
        queue._write_dead_letter(exchange(id=name), "never")
    return data


def test_status_tells_the_account_and_can_be_a_check(tmp_path):
    DataDir(tmp_path / "data").prepare()

    told = run("status", "--json", data_dir=tmp_path / "data")
    checked = run("status", "--check", data_dir=tmp_path / "data")

    assert json.loads(told.output)["host"]["missing"] == 0
    assert (told.exit_code, checked.exit_code) == (0, 0)


def test_the_schema_is_checked_walked_and_then_the_newest(tmp_path):
    before = run("migrate", "--check", data_dir=tmp_path / "data")
    walked = run("migrate", data_dir=tmp_path / "data")
    after = run("migrate", "--check", data_dir=tmp_path / "data")

    assert (before.exit_code, walked.exit_code, after.exit_code) == (1, 0, 0)


def test_dead_letters_are_listed_shown_tried_again_and_dropped(letters):
    listed = run("deadletters", "list", "--json", data_dir=letters.root)
    shown = run("deadletters", "show", "one", data_dir=letters.root)
    retried = run("deadletters", "retry", "one", data_dir=letters.root)
    dropped = run("deadletters", "drop", "--all", data_dir=letters.root)
    nothing = run("deadletters", "list", data_dir=letters.root)

    assert [json.loads(line)["id"] for line in listed.output.splitlines()] == ["one", "two"]
    assert json.loads(shown.output)["exchange"]["id"] == "one"
    assert (retried.output, dropped.output) == ("one: is tried again\n", "two: is deleted\n")
    assert (nothing.output, nothing.exit_code) == ("", 0)


@pytest.mark.parametrize("arguments", [(), ("one", "--all")])
@pytest.mark.parametrize("command", ["retry", "drop"])
def test_which_dead_letters_are_meant_must_be_said_in_one_way(letters, command, arguments):
    done = run("deadletters", command, *arguments, data_dir=letters.root)

    assert done.exit_code == 2
    assert "name calls by their ids, or say --all" in done.output
