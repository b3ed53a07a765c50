"""``llm-proxy import`` as its function does it, into stores of real files."""

import asyncio
import json
import re
import sqlite3
import subprocess
import sys
from datetime import timedelta

import pytest

from llm_proxy.model.completion import Status
from llm_proxy.model.query import CompletionQuery
from llm_proxy.settings.table import Settings
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.transfer.jsonl import encode_record
from llm_proxy.wiring import imports
from llm_proxy.wiring.export import run_export
from llm_proxy.wiring.imports import run_import
from llm_proxy.wiring.layout import DataDir
from records import NOON, bare, record
from running import PATIENCE_S, bare_environment
from transfer.samples import SAMPLES, llm_database


@pytest.fixture
def take(tmp_path):
    def take(file, format_=None):
        return run_import(Settings(data_dir=tmp_path / "data"), file=file, format_=format_)

    return take


@pytest.fixture
def stored(tmp_path):
    def stored():
        async def read():
            store = SqliteStore(DataDir(tmp_path / "data").database, read_only=True)
            page = await store.find(CompletionQuery(limit=None, with_bodies=True))
            await store.close()
            return list(page.completions)

        return asyncio.run(read())

    return stored


def lines_of(path, *records):
    path.write_bytes(b"".join(encode_record(completion) + b"\n" for completion in records))
    return path


def test_our_own_records_come_back_equal(tmp_path, take, stored, capsys):
    calls = [record(started_at=NOON + timedelta(seconds=number)) for number in range(3)] + [bare()]
    file = lines_of(tmp_path / "calls.jsonl", *calls)

    assert take(file) == 0

    assert sorted(stored(), key=lambda call: call.id) == sorted(calls, key=lambda call: call.id)
    assert capsys.readouterr() == ("", f"llm-proxy: imported 4 records from {file} (jsonl)\n")


@pytest.mark.parametrize(
    ("name", "format_", "count"),
    [
        ("helicone.jsonl", "helicone", 3),
        ("helicone.csv", "helicone", 2),
        ("litellm.jsonl", "litellm", 2),
        ("litellm.csv", "litellm", 2),
    ],
)
def test_rows_of_other_programs_come_in_as_what_their_content_says(take, stored, capsys, name, format_, count):
    assert take(SAMPLES / name) == 0

    assert len(stored()) == count
    assert {call.context.tags[-1] for call in stored()} == {f"imported:{format_}"}
    assert f"imported {count} records from {SAMPLES / name} ({format_})" in capsys.readouterr().err


@pytest.mark.parametrize("version", ["0.12", "0.27.1", "0.36"])
def test_importing_twice_doubles_nothing(tmp_path, take, stored, version):
    file = llm_database(version, tmp_path / "logs.db")

    assert take(file) == 0
    once = stored()
    assert take(file) == 0

    assert stored() == once
    assert len(once) in (2, 6)


def test_a_bad_row_costs_itself_only_and_is_told_with_its_place(tmp_path, take, stored, capsys):
    good = [record() for _ in range(3)]
    lines = [encode_record(call) for call in good]
    file = tmp_path / "calls.jsonl"
    file.write_bytes(b"\n".join([lines[0], b"{torn", lines[1], *[b"[]"] * 8, lines[2]]))

    assert take(file) == 1

    assert len(stored()) == 3
    assert capsys.readouterr().err.splitlines() == [
        f"llm-proxy: imported 3 records from {file} (jsonl)",
        "llm-proxy: left out 1 record: no valid JSON (line 2)",
        "llm-proxy: left out 8 records: no llm_proxy_record of ours"
        " (line 4, line 5, line 6, line 7, line 8 and 3 more)",
    ]


def test_what_a_file_says_acts_on_no_terminal_and_fills_no_screen(tmp_path, take, capsys):
    line = json.loads(encode_record(record()))
    wrong = [json.dumps(line | {"status": f"\x1b[31m{number}" + "x" * 10_000}) for number in range(100)]
    (tmp_path / "calls.jsonl").write_text("\n".join(wrong))

    assert take(tmp_path / "calls.jsonl") == 1

    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert len(said.splitlines()) == 22
    assert max(map(len, said.splitlines())) < 600
    assert said.splitlines()[-1].startswith("llm-proxy: left out 80 records: for other reasons (line 21, ")


def test_a_record_that_the_store_never_takes_costs_itself_only(tmp_path, take, stored, capsys):
    good = [record() for _ in range(3)]
    impossible = record(chunk_count=2**70)
    file = lines_of(tmp_path / "calls.jsonl", good[0], impossible, *good[1:])

    assert take(file) == 1

    assert {call.id for call in stored()} == {call.id for call in good}
    assert "left out 1 record: the store does not take it: " in capsys.readouterr().err


def test_a_record_that_has_ended_is_not_undone_by_an_older_export(tmp_path, take, stored):
    ended = record()
    started = bare(id=ended.id)

    assert take(lines_of(tmp_path / "newer.jsonl", ended)) == 0
    assert take(lines_of(tmp_path / "older.jsonl", started)) == 0

    assert [call.status for call in stored()] == [Status.FINISHED]


@pytest.mark.parametrize(
    ("content", "format_", "why"),
    [
        (b"hello", None, "not known what this is"),
        (b"hello", "llm", "cannot be read as a database of llm"),
        (None, None, "No such file or directory"),
        (None, "jsonl", "No such file or directory"),
        (None, "llm", "unable to open database file"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line_and_nothing_is_made(tmp_path, take, capsys, content, format_, why):
    if content is not None:
        (tmp_path / "file").write_bytes(content)

    assert take(tmp_path / "file", format_) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert why in line
    assert str(tmp_path / "file") in line
    assert not (tmp_path / "data").exists()


def test_a_format_that_is_given_is_believed(take, stored, capsys):
    assert take(SAMPLES / "helicone.jsonl", "litellm") == 1

    assert stored() == []
    assert "left out 3 records: no time in startTime" in capsys.readouterr().err


def test_batches_are_small_by_count_and_by_bytes(tmp_path, take, monkeypatch):
    sizes = []
    monkeypatch.setattr(imports, "_BATCH_RECORDS", 4)
    monkeypatch.setattr(imports, "_BATCH_BYTES", 20_000)
    put = SqliteStore.put

    async def counted(store, batch):
        sizes.append(len(batch))
        await put(store, batch)

    monkeypatch.setattr(SqliteStore, "put", counted)
    small, big = [record() for _ in range(9)], record(failure_reason="x" * 30_000)

    assert take(lines_of(tmp_path / "calls.jsonl", *small[:5], big, *small[5:])) == 0

    assert sizes == [4, 2, 4, 0]


def test_an_import_beside_a_writer_waits_for_it(tmp_path, take, stored):
    assert take(lines_of(tmp_path / "one.jsonl", record())) == 0
    database = DataDir(tmp_path / "data").database
    # Holds the write lock for a moment, as the worker does with each batch.
    code = (
        "import sqlite3, sys, time; database = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "database.execute('BEGIN IMMEDIATE'); print('locked', flush=True); time.sleep(0.5); database.execute('COMMIT')"
    )
    with subprocess.Popen([sys.executable, "-c", code, database], stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"locked\n"

        assert take(lines_of(tmp_path / "two.jsonl", record())) == 0

    assert len(stored()) == 2


def test_a_store_that_stays_locked_is_told_with_what_got_in(tmp_path, take, monkeypatch, capsys):
    file = lines_of(tmp_path / "calls.jsonl", *[record() for _ in range(4)])
    monkeypatch.setattr(imports, "_BATCH_RECORDS", 2)
    monkeypatch.setattr("llm_proxy.store.sqlite_connection._BUSY_TIMEOUT_S", 0.1)
    locks = []
    put = SqliteStore.put

    async def locking(store, batch):
        await put(store, batch)
        if not locks:
            locks.append(sqlite3.connect(DataDir(tmp_path / "data").database, isolation_level=None))
            locks[0].execute("BEGIN IMMEDIATE")

    monkeypatch.setattr(SqliteStore, "put", locking)

    assert take(file) == 2

    locks[0].close()
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "llm-proxy: 2 records got in until then; to import the file again doubles nothing"


MEASURE = """
import sys
from pathlib import Path
from llm_proxy.settings.table import Settings
from llm_proxy.wiring.imports import run_import
assert run_import(Settings(data_dir=Path(sys.argv[1])), file=Path(sys.argv[2]), format_=None) == 0
print(Path("/proc/self/status").read_text())
"""


def test_memory_does_not_grow_with_what_is_imported(tmp_path):
    row = json.loads((SAMPLES / "litellm.jsonl").read_text().splitlines()[0])
    row["proxy_server_request"]["messages"][0]["content"] = "All work and no play makes Jack a dull boy. " * 1000

    def peak_kb(name, count, make):
        rows = [row | {"request_id": f"chatcmpl-{number}"} for number in range(count)]
        (tmp_path / name).write_text(make(rows))
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, tmp_path / f"data-{name}", tmp_path / name],
            capture_output=True,
            text=True,
            env=bare_environment(tmp_path),
            timeout=PATIENCE_S,
            check=True,
        )
        assert f"imported {count} records" in done.stderr
        return int(re.search(r"VmHWM:\s+(\d+) kB", done.stdout)[1])

    few = peak_kb("few", 100, json.dumps)
    many_lines = peak_kb("lines", 1000, lambda rows: "".join(json.dumps(row) + "\n" for row in rows))
    many_in_a_list = peak_kb("list", 1000, json.dumps)

    # Of 45 MB each.
    assert max(many_lines, many_in_a_list) - few < 25_000


def test_what_is_imported_into_postgresql_is_exported_from_there(postgres, tmp_path):
    name = postgres.create_database()
    settings = Settings.model_validate({"data_dir": str(tmp_path / "data"), "store": {"url": postgres.url(name)}})
    file = lines_of(tmp_path / "calls.jsonl", record(started_at=NOON), record(started_at=NOON - timedelta(seconds=1)))
    conditions = dict.fromkeys(("session", "user", "model", "status", "since", "search"))

    imported = run_import(settings, file=file, format_=None)
    exported = run_export(settings, format_="jsonl", output=tmp_path / "again.jsonl", tags=(), limit=0, **conditions)

    assert (imported, exported) == (0, 0)
    assert (tmp_path / "again.jsonl").read_bytes() == file.read_bytes()
    assert not (tmp_path / "data").exists()
    postgres.drop_database(name)
