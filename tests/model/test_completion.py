import pytest

from llm_proxy.model.completion import Bodies, Completion, Context, Decoded, Status, Usage
from llm_proxy.model.exchange import Endpoint
from records import NOON, bare, record


def test_what_is_not_known_of_a_record_is_none_and_never_zero():
    known = {"id", "organization_id", "status", "method", "path", "endpoint", "started_at", "context", "truncated"}
    known |= {"tags_edited"}

    unknown = {name: getattr(bare(), name) for name in Completion.__struct_fields__ if name not in known}

    assert unknown.pop("finish_reasons") == ()
    assert set(unknown.values()) == {None}


@pytest.mark.parametrize("empty", [Usage(), Decoded()])
def test_what_was_not_counted_or_decoded_is_none_and_never_zero(empty):
    values = [getattr(empty, name) for name in empty.__struct_fields__]

    assert all(value is None or value in ({}, ()) for value in values)
    assert 0 not in [value for value in values if value is not None]


def test_a_record_cannot_be_changed():
    with pytest.raises(AttributeError, match="immutable"):
        record().status = Status.FAILED


def test_two_records_share_no_containers():
    assert Usage().raw is not Usage().raw
    assert Context().metadata is not Context().metadata
    assert Bodies().chunks.sizes is not Bodies().chunks.sizes


def test_the_states_are_those_of_the_api():
    assert list(Status) == ["started", "finished", "failed"]


def test_a_record_belongs_to_the_default_organisation_unless_it_is_said_otherwise():
    made = Completion(id="1", status=Status.STARTED, method="POST", path="/", endpoint=Endpoint.CHAT, started_at=NOON)

    assert made.organization_id == "default"


@pytest.mark.parametrize(
    ("tokens", "duration_s", "ttft_s", "expected"),
    [
        (30, 2.0, 0.5, 20.0),
        (30, 2.0, None, 15.0),
        (30, 2.0, 2.0, 15.0),
        (0, 2.0, None, 0.0),
        (30, None, 0.5, None),
        (30, 0.0, None, None),
        (None, 2.0, 0.5, None),
        (30, 5e-324, None, None),
    ],
)
def test_tokens_come_in_the_time_after_the_first_one(tokens, duration_s, ttft_s, expected):
    completion = record(usage=Usage(output_tokens=tokens), duration_s=duration_s, ttft_s=ttft_s)

    assert completion.tokens_per_s == expected


def test_without_usage_nobody_knows_how_fast_tokens_came():
    assert record(usage=None).tokens_per_s is None
