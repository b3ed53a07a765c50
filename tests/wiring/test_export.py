"""``llm-proxy export`` as its function does it, on stores of real files."""

import asyncio
import csv
import io
import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from empty_stores import empty_store
from llm_proxy.errors import ConfigError
from llm_proxy.model.completion import Bodies, Status
from llm_proxy.model.exchange import Endpoint
from llm_proxy.model.query import CompletionQuery
from llm_proxy.settings.table import Settings
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.transfer.flat import COLUMNS
from llm_proxy.transfer.jsonl import decode_record
from llm_proxy.wiring import export
from llm_proxy.wiring.export import run_export
from llm_proxy.wiring.layout import DataDir
from records import BODIES, NOON, record, tagged
from running import PATIENCE_S, bare_environment

EVERYTHING = {
    "tags": (),
    "session": None,
    "user": None,
    "model": None,
    "status": None,
    "since": None,
    "search": None,
    "limit": 0,
}


def fill(directory, completions):
    async def put():
        store = SqliteStore(empty_store(DataDir(directory).database))
        for start in range(0, len(completions), 2000):
            await store.put(completions[start : start + 2000])
        await store.close()

    asyncio.run(put())


def many(count, **different):
    return [record(started_at=NOON + timedelta(milliseconds=number), **different) for number in range(count)]


@pytest.fixture
def run(tmp_path):
    def run(format_, output=None, **conditions):
        settings = Settings(data_dir=tmp_path)
        return run_export(settings, format_=format_, output=output, **(EVERYTHING | conditions))

    return run


def test_every_record_comes_out_whole_and_newest_first(tmp_path, run, capsysbinary):
    calls = many(3)
    fill(tmp_path, calls)

    assert run("jsonl") == 0

    captured = capsysbinary.readouterr()
    assert [decode_record(line) for line in captured.out.splitlines()] == calls[::-1]
    assert captured.err == b"llm-proxy: exported 3 records\n"


def test_a_file_appears_whole_and_for_its_owner_only(tmp_path, run, capsys):
    fill(tmp_path, many(2))
    output = tmp_path / "out" / "calls.jsonl"
    output.parent.mkdir()
    output.write_text("of yesterday")

    assert run("jsonl", output) == 0

    assert len(output.read_bytes().splitlines()) == 2
    assert [file.name for file in output.parent.iterdir()] == ["calls.jsonl"]
    assert output.stat().st_mode & 0o777 == 0o600
    assert capsys.readouterr() == ("", f"llm-proxy: exported 2 records to {output}\n")


def test_an_export_that_fails_leaves_the_old_file_as_it_was(tmp_path, run, monkeypatch):
    class Breaking(export.JsonlWriter):
        def close(self):
            raise OSError(28, "No space left on device")

    monkeypatch.setitem(export.WRITERS, "jsonl", Breaking)
    fill(tmp_path, many(2))
    output = tmp_path / "out" / "calls.jsonl"
    output.parent.mkdir()
    output.write_text("of yesterday")

    with pytest.raises(ConfigError, match=r"calls\.jsonl: cannot be written: No space left on device"):
        run("jsonl", output)

    assert output.read_text() == "of yesterday"
    assert [file.name for file in output.parent.iterdir()] == ["calls.jsonl"]


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path, run):
    with pytest.raises(ConfigError, match="nowhere/calls: cannot be written: No such file or directory"):
        run("jsonl", tmp_path / "nowhere" / "calls")


def test_a_link_stays_one_and_a_device_too(tmp_path, run):
    fill(tmp_path, many(1))
    target, link = tmp_path / "target.jsonl", tmp_path / "link.jsonl"
    target.write_text("old")
    link.symlink_to(target)

    assert run("jsonl", link) == 0
    assert run("jsonl", Path(os.devnull)) == 0

    assert link.is_symlink()
    assert len(target.read_bytes().splitlines()) == 1
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize(
    ("conditions", "left"),
    [
        ({"tags": ("a",)}, {"a", "ab"}),
        ({"tags": ("a", "b")}, {"ab"}),
        ({"status": "failed"}, {"b"}),
        ({"model": "tiny"}, {"ab"}),
        ({"search": "lighthouse"}, {"a"}),
        ({"since": "2026-11-24T12:00:30Z"}, {"ab", "b"}),
        ({"limit": 1}, {"b"}),
        ({"session": "nobody's"}, set()),
    ],
)
def test_the_conditions_of_logs_choose_the_records(tmp_path, run, capsysbinary, conditions, left):
    minute = timedelta(minutes=1)
    lighthouse = Bodies(request={"messages": [{"role": "user", "content": "The lighthouse"}]})
    fill(
        tmp_path,
        [
            tagged("a", preview="a", bodies=lighthouse),
            tagged("a", "b", preview="ab", model="tiny", started_at=NOON + minute),
            tagged("b", preview="b", status=Status.FAILED, started_at=NOON + 2 * minute),
        ],
    )

    assert run("jsonl", **conditions) == 0

    assert {json.loads(line)["preview"] for line in capsysbinary.readouterr().out.splitlines()} == left


def test_nothing_to_export_is_said(run, capsys):
    assert run("jsonl") == 0

    assert capsys.readouterr() == (
        "",
        "llm-proxy: exported 0 records\nllm-proxy: no recorded call meets these conditions\n",
    )


def test_csv_has_a_row_a_call(tmp_path, run, capsysbinary):
    fill(tmp_path, many(3, preview="=1+1"))

    assert run("csv") == 0

    rows = list(csv.DictReader(io.StringIO(capsysbinary.readouterr().out.decode(), newline="")))
    assert list(rows[0]) == list(COLUMNS)
    assert [row["preview"] for row in rows] == ["'=1+1"] * 3


def test_parquet_has_a_row_a_call(tmp_path, run, capsys):
    parquet = pytest.importorskip("pyarrow.parquet")
    calls = many(3)
    fill(tmp_path, calls)

    assert run("parquet", tmp_path / "calls.parquet") == 0

    assert parquet.read_table(tmp_path / "calls.parquet")["id"].to_pylist() == [call.id for call in reversed(calls)]


def test_what_is_left_out_is_counted_by_reason(tmp_path, run, capsysbinary):
    fill(tmp_path, [*many(2), *many(2, endpoint=Endpoint.EMBEDDINGS), record(status=Status.FAILED)])

    assert run("openai-finetune") == 0

    captured = capsysbinary.readouterr()
    assert [set(json.loads(line)) for line in captured.out.splitlines()] == [{"messages"}] * 2
    assert captured.err.decode().splitlines() == [
        "llm-proxy: exported 2 records",
        "llm-proxy: left out 3 records: no chat completion (2), not finished, but failed (1)",
    ]


@pytest.mark.parametrize("with_bodies", [True, False])
@pytest.mark.parametrize("limit", [None, 1, 7, 10, 25, 100])
def test_however_the_records_are_read_each_comes_once(tmp_path, monkeypatch, with_bodies, limit):
    monkeypatch.setattr(export, "_LISTED", 10)
    monkeypatch.setattr(export, "_READ_RECORDS", 4)
    monkeypatch.setattr(export, "_READ_BYTES", 1000)
    calls = [replace(call, response_bytes=number % 5 * 300) for number, call in enumerate(many(25))]
    fill(tmp_path, calls)

    async def read():
        store = SqliteStore(DataDir(tmp_path).database, read_only=True)
        query = CompletionQuery(limit=limit)
        found = [completion async for completion in export.records(store, query, with_bodies=with_bodies)]
        await store.close()
        return found

    found = asyncio.run(read())

    assert [call.id for call in found] == [call.id for call in reversed(calls)][:limit]
    assert all((call.bodies is not None) is with_bodies for call in found)


def test_an_export_goes_on_while_records_are_written(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_LISTED", 10)
    calls = many(30)
    fill(tmp_path, calls)

    async def read():
        reader = SqliteStore(DataDir(tmp_path).database, read_only=True)
        writer = SqliteStore(DataDir(tmp_path).database)
        found = []
        async for completion in export.records(reader, CompletionQuery(limit=None), with_bodies=True):
            found.append(completion.id)
            # One that is newer, and one among those that are still to come.
            await writer.put([record(started_at=NOON + timedelta(hours=1)), record(started_at=NOON)])
        await reader.close()
        await writer.close()
        return found

    found = asyncio.run(read())

    assert len(found) == len(set(found))
    assert set(found) >= {call.id for call in calls}


MEASURE = """
import sys
from pathlib import Path
from llm_proxy.settings.table import Settings
from llm_proxy.wiring.export import run_export
any_ = dict.fromkeys(["session", "user", "model", "status", "since", "search"])
directory, output, format_, limit = sys.argv[1:]
run_export(
    Settings(data_dir=Path(directory)), format_=format_, output=Path(output), limit=int(limit), tags=(), **any_
)
print(Path("/proc/self/status").read_text())
"""


def peak_kb(*arguments, home):
    """The most memory that the export had at a time."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=bare_environment(home),
        timeout=1.4 * PATIENCE_S,
        check=True,
    )
    return int(re.search(r"VmHWM:\s+(\d+) kB", done.stdout)[1])


def test_memory_does_not_grow_with_the_lines_that_are_written(stored, tmp_path):
    few = peak_kb(stored, tmp_path / "out", "jsonl", 500, home=tmp_path)
    all_of_them = peak_kb(stored, tmp_path / "out", "jsonl", 0, home=tmp_path)

    assert (tmp_path / "out").stat().st_size > 50_000_000
    assert all_of_them - few < 15_000


def test_memory_does_not_grow_with_the_row_groups_that_are_written(stored, tmp_path):
    pytest.importorskip("pyarrow")

    one_group = peak_kb(stored, tmp_path / "out", "parquet", 4000, home=tmp_path)
    three_groups = peak_kb(stored, tmp_path / "out", "parquet", 10_000, home=tmp_path)

    # Three groups are 50 MB, and each is in memory more than once while it is written.
    assert three_groups - one_group < 40_000


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A store of 10 000 records with 6 KB each."""
    directory = tmp_path_factory.mktemp("stored")
    text = "All work and no play makes Jack a dull boy. " * 60
    bodies = replace(BODIES, request_body=text.encode(), response_body=text.encode(), request=None, response=None)
    fill(directory, many(10_000, bodies=bodies, request_bytes=len(text), response_bytes=len(text)))
    return directory
