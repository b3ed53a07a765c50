import json

import msgspec
import pytest

from llm_proxy.assignment import Assignment


def test_what_a_child_is_told_is_one_line_that_reads_back_equal():
    assignment = Assignment(
        role="proxy", index=3, settings='{"a": "line\\nbreak", "b": "ü"}\n', runtime_dir="/run/x", listen_fd=7
    )

    line = assignment.to_line()

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert msgspec.json.decode(line, type=Assignment) == assignment


def test_a_child_without_a_socket_of_its_own_is_told_so():
    line = Assignment(role="store", index=0, settings="{}", runtime_dir="/run/x").to_line()

    assert json.loads(line)["listen_fd"] is None


def test_half_an_assignment_is_none():
    with pytest.raises(msgspec.ValidationError, match="settings"):
        msgspec.json.decode(b'{"role": "proxy", "index": 0, "runtime_dir": "/"}', type=Assignment)
