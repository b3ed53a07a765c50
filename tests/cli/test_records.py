"""That the commands reach what they are for, which is tested where it is wired."""

import asyncio
import json

import pytest
from click.testing import CliRunner

from empty_stores import empty_store
from llm_proxy.cli import cli
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.wiring.layout import DataDir
from records import record


@pytest.fixture
def run(tmp_path):
    async def fill():
        DataDir(tmp_path / "data").prepare()
        store = SqliteStore(empty_store(DataDir(tmp_path / "data").database))
        await store.put([record(id="one"), record(id="two")])
        await store.close()

    def run(*arguments):
        return CliRunner().invoke(cli, [*arguments, "--data-dir", str(tmp_path / "data")])

    asyncio.run(fill())
    return run


def test_records_are_carried_out_deleted_and_carried_in_again(run, tmp_path):
    exported = run("export", "--format", "jsonl", "--output", str(tmp_path / "all.jsonl"))
    deleted = run("delete", "--id", "one", "--yes", "--json")
    imported = run("import", str(tmp_path / "all.jsonl"))
    listed = [json.loads(line)["id"] for line in run("logs", "--json").output.splitlines() if line.startswith("{")]

    assert (exported.exit_code, deleted.exit_code, imported.exit_code) == (0, 0, 0)
    assert json.loads(deleted.output)["rows"] == 1
    assert sorted(listed) == ["one", "two"]


def test_a_demo_wants_its_flags_together(run):
    done = CliRunner().invoke(cli, ["demo", "--keep", "there", "--through", "http://127.0.0.1:1"])

    assert done.exit_code == 2
    assert "--through needs --upstream-port, and goes without --keep" in done.output
