"""What every format promises, whatever it writes."""

import functools
import io

import pytest

from llm_proxy.model.completion import Bodies
from llm_proxy.transfer.csv import CsvWriter
from llm_proxy.transfer.finetune import FinetuneWriter
from llm_proxy.transfer.jsonl import JsonlWriter
from llm_proxy.transfer.parquet import ParquetWriter
from records import RESPONSE, bare, record

MESSAGES = {"messages": [{"role": "user", "content": "What is the capital of France?"}]}
DEEP = functools.reduce(lambda value, _: [value], range(100_000), [])


@pytest.fixture(params=[JsonlWriter, CsvWriter, FinetuneWriter, ParquetWriter])
def make(request):
    if request.param is ParquetWriter:
        pytest.importorskip("pyarrow")
    return request.param


def test_a_record_is_written_or_a_reason_is_given(make):
    file = io.BytesIO()
    writer = make(file)
    writer.close()
    nothing = len(file.getvalue())

    file = io.BytesIO()
    writer = make(file)
    reasons = [writer.write(bare()), writer.write(record())]
    writer.close()

    assert reasons[1] is None
    assert len(file.getvalue()) > nothing


def test_a_record_without_bodies_is_no_mishap(make):
    file = io.BytesIO()
    writer = make(file)

    reason = writer.write(record(bodies=None))

    assert reason is None or "messages" in reason


def test_the_file_stays_open_for_whoever_opened_it(make):
    file = io.BytesIO()
    writer = make(file)
    writer.write(record())
    writer.close()

    assert not file.closed


def test_json_that_is_nested_too_deep_costs_its_own_record_only(make):
    writer = make(io.BytesIO())

    reason = writer.write(record(bodies=Bodies(request=MESSAGES | {"functions": DEEP}, response=RESPONSE)))

    assert reason == (None if make is CsvWriter else "its JSON is nested too deep")
    assert writer.write(record()) is None
