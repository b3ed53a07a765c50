import json

import pytest

from llm_proxy.errors import NotImportable
from llm_proxy.transfer.guess import guess_format
from llm_proxy.transfer.jsonl import encode_record
from records import record
from transfer.samples import SAMPLES, llm_database


@pytest.mark.parametrize(
    ("name", "format_"),
    [
        ("helicone.jsonl", "helicone"),
        ("helicone.csv", "helicone"),
        ("litellm.jsonl", "litellm"),
        ("litellm.csv", "litellm"),
    ],
)
def test_each_format_is_known_by_its_content(name, format_):
    assert guess_format(SAMPLES / name) == format_


def test_our_own_lines_are_known_also_behind_a_bad_one(tmp_path):
    (tmp_path / "calls").write_bytes(b"{torn\n" + encode_record(record()))

    assert guess_format(tmp_path / "calls") == "jsonl"


def test_a_database_is_one_of_llm(tmp_path):
    assert guess_format(llm_database("0.12", tmp_path / "calls.jsonl")) == "llm"


def test_an_answer_of_an_api_is_looked_into(tmp_path):
    rows = [json.loads(line) for line in (SAMPLES / "litellm.jsonl").read_text().splitlines()]
    (tmp_path / "answer.json").write_text(json.dumps({"data": rows, "total": 2}, indent=2))

    assert guess_format(tmp_path / "answer.json") == "litellm"


@pytest.mark.parametrize("content", [b"", b"hello\n", b'{"id": 1}\n', b"[1, 2]", b"\x00\xff" * 100, b"a,b\n1,2\n"])
def test_what_is_none_of_them_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "file").write_bytes(content)

    with pytest.raises(NotImportable, match=r"file: not known what this is; say it with --format jsonl\|llm"):
        guess_format(tmp_path / "file")


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(NotImportable, match="No such file"):
        guess_format(tmp_path / "missing")
    with pytest.raises(NotImportable, match="Is a directory"):
        guess_format(tmp_path)
