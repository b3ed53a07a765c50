import io
import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from llm_proxy.errors import ConfigError
from llm_proxy.transfer import parquet
from llm_proxy.transfer.flat import COLUMNS
from llm_proxy.transfer.parquet import ParquetWriter
from records import BODIES, NOON, bare, completions, record

pq = pytest.importorskip("pyarrow.parquet")


def written(*records):
    file = io.BytesIO()
    writer = ParquetWriter(file)
    assert [writer.write(completion) for completion in records] == [None] * len(records)
    writer.close()
    return pq.ParquetFile(io.BytesIO(file.getvalue()))


def test_a_record_comes_back_with_the_types_of_its_columns():
    completion = record()

    (row,) = written(completion).read().to_pylist()

    assert list(row)[: len(COLUMNS)] == list(COLUMNS)
    assert row["id"] == completion.id
    assert row["started_at"] == NOON
    assert row["tags"] == ["nightly", "ci"]
    assert row["input_tokens"] == 14
    assert row["duration_s"] == 1.25
    assert row["stream"] is False
    assert json.loads(row["metadata"]) == {"team": "search", "attempt": 2}


def test_bodies_come_back_byte_for_byte():
    bodies = replace(BODIES, response_body=bytes(range(256)))

    (row,) = written(record(bodies=bodies)).read().to_pylist()

    assert row["request_body"] == bodies.request_body
    assert row["response_body"] == bodies.response_body
    assert json.loads(row["request"]) == bodies.request
    assert json.loads(row["response_headers"]) == [list(pair) for pair in bodies.response_headers]
    assert row["chunk_times_us"] == [410_000, 520_000]
    assert row["chunk_sizes"] == [12, 10]


def test_what_is_unknown_is_null():
    (row,) = written(bare()).read().to_pylist()

    assert [row["duration_s"], row["input_tokens"], row["stream"], row["usage"], row["request_body"]] == [None] * 5


def test_no_record_is_a_file_with_all_the_columns():
    table = written().read()

    assert table.num_rows == 0
    assert set(COLUMNS) < set(table.column_names)


def test_row_groups_are_written_as_they_fill_by_count_and_by_bytes(monkeypatch):
    monkeypatch.setattr(parquet, "_GROUP_RECORDS", 3)
    monkeypatch.setattr(parquet, "_GROUP_BYTES", 50_000)
    small, big = bare(), record(bodies=replace(BODIES, response_body=bytes(60_000)))

    file = written(small, small, small, big, small, small)

    sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert sizes == [3, 1, 2]


def test_it_goes_through_a_pipe():
    class Pipe(io.RawIOBase):
        def __init__(self):
            self.got = bytearray()

        def writable(self):
            return True

        def write(self, chunk):
            self.got += chunk
            return len(chunk)

        def tell(self):
            raise OSError("a pipe is nowhere")

    pipe = Pipe()
    writer = ParquetWriter(pipe)
    writer.write(bare())
    writer.close()

    assert not pipe.closed
    assert pq.ParquetFile(io.BytesIO(bytes(pipe.got))).metadata.num_rows == 1


@settings(max_examples=30)
@given(completions)
def test_whatever_a_record_holds_can_be_written(completion):
    assert written(completion).read().num_rows == 1


def test_without_pyarrow_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(ConfigError, match=r"pip install 'llm-proxy\[parquet\]'"):
        ParquetWriter(io.BytesIO())


def test_pyarrow_is_not_imported_before_it_is_needed():
    code = "import sys, llm_proxy.transfer.parquet; sys.exit('pyarrow' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
