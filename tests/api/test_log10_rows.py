import json

import pytest

from llm_proxy.api.log10_rows import checked_id, legacy_row_of, row_of
from llm_proxy.api.resource import Fault
from llm_proxy.model.completion import Status
from llm_proxy.model.pushed import PushedRow

FRAMES = [{"file": "f", "line": "l", "lineno": 1, "name": "n"}]


def test_what_is_not_sent_is_not_told():
    assert row_of({}) == legacy_row_of({}) == PushedRow()
    assert row_of(dict.fromkeys(("kind", "status", "tags", "request", "duration", "stacktrace"))) == PushedRow()


def test_the_specification_has_seconds_and_objects_the_older_wire_milliseconds_and_strings():
    common = {"kind": "chat", "status": "failed", "tags": ["a"], "session_id": "s", "failure_kind": "k"}
    new = {**common, "duration": 1.5, "request": {"model": "m"}, "stacktrace": FRAMES}
    old = {**common, "duration": 1500, "request": '{"model":"m"}', "stacktrace": json.dumps(FRAMES)}

    expected = PushedRow(
        kind="chat",
        status=Status.FAILED,
        tags=("a",),
        session_id="s",
        failure_kind="k",
        duration_s=1.5,
        request={"model": "m"},
        stacktrace=FRAMES,
    )
    assert row_of(new) == legacy_row_of(old) == expected


def test_log10_ios_kind_of_a_prompt_is_the_specifications():
    assert row_of({"kind": "completion"}).kind == row_of({"kind": "prompt"}).kind == "prompt"


def test_where_a_call_was_made_in_the_clients_words_is_kept():
    assert row_of({"orig_module": "openai", "orig_qualname": ""}).facts == {"orig_module": "openai"}


@pytest.mark.parametrize("bad", ["", " \x7f", "a\x00", "x" * 201])
def test_an_id_is_visible_text(bad):
    with pytest.raises(Fault):
        checked_id(bad)


def test_a_lone_surrogate_in_a_string_of_json_is_no_json():
    with pytest.raises(Fault, match="request is no JSON"):
        legacy_row_of({"request": '{"a": "\ud800"}'})
