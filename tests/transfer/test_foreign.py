from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest

from llm_proxy.model.completion import PREVIEW_CHARACTERS, Usage
from llm_proxy.transfer import foreign
from llm_proxy.transfer.foreign import Origin
from records import NOON


def origin(**different):
    return Origin(**({"source": "llm", "source_id": "01h", "started_at": NOON} | different))


def chat(question, answer):
    return {"messages": [{"role": "user", "content": question}]}, {"choices": [{"message": {"content": answer}}]}


def test_the_same_row_gets_the_same_id_and_another_one_another():
    assert origin().new_id() == origin().new_id()
    assert len({made.new_id() for made in (origin(), origin(source="helicone"), origin(source_id="01j"))}) == 3


def test_an_id_is_a_uuid_7_of_the_time_of_its_call():
    made = UUID(origin().new_id())

    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert made.int >> 80 == int(NOON.timestamp() * 1000)
    assert origin(started_at=NOON + timedelta(milliseconds=1)).new_id() > origin().new_id()


def test_an_id_can_be_made_of_any_text_and_any_time():
    for time in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        assert UUID(origin(source_id="\ud800\0", started_at=time).new_id()).version == 7


def test_where_a_record_comes_from_stays_with_it():
    context = origin().context(facts={"cost": 0.5, "team": None, "tools": []}, tags=["a", "a"], metadata={"x": 1})

    assert context.tags == ("a", "imported:llm")
    assert context.metadata == {"x": 1, "imported": {"from": "llm", "id": "01h", "cost": 0.5}}


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-24T12:00:00.123456Z",
        "2026-11-24 12:00:00.123456",
        "2026-11-24 12:00:00.123456+00",
        "2026-11-24T14:00:00.123456+02:00",
        " 2026-11-24T12:00:00.1234567Z ",
    ],
)
def test_a_time_is_read_as_databases_write_it(written):
    assert foreign.moment(written) == NOON


@pytest.mark.parametrize("nothing", [None, "", "soon", 5, [], "0001-01-01T00:00:00+14:00"])
def test_what_is_no_time_is_unknown(nothing):
    assert foreign.moment(nothing) is None


def test_a_time_is_in_utc_whatever_it_was_written_in():
    assert foreign.moment(NOON.astimezone(timezone(timedelta(hours=-7))).isoformat()).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5),
        ("5", 5),
        (5.0, 5),
        (0, 0),
        (-1, None),
        (True, None),
        ("", None),
        ("5.5", None),
        (None, None),
        (2**64, None),
    ],
)
def test_a_count_is_a_whole_number_or_unknown(value, number):
    assert foreign.count(value) == number


@pytest.mark.parametrize(
    ("value", "duration_s"),
    [
        (1500, 1.5),
        ("1500", 1.5),
        (0, 0),
        (-1, None),
        ("", None),
        ("x", None),
        (None, None),
        (True, None),
        ("nan", None),
    ],
)
def test_a_duration_is_told_in_milliseconds(value, duration_s):
    assert foreign.seconds(value) == duration_s


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ('{"a": 1}', {"a": 1}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ({"a": 1}, {"a": 1}),
        ("{}", None),
        ({}, None),
        ("plain", "plain"),
    ],
)
def test_a_column_of_json_is_read_however_it_is_written(value, meant):
    assert foreign.parsed(value) == meant


def test_tokens_are_read_in_the_spelling_of_openai():
    raw = {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}}

    assert foreign.usage_of(raw) == Usage(input_tokens=9, output_tokens=4, cached_input_tokens=2, raw=raw)


def test_cached_tokens_are_part_of_the_input_also_where_anthropic_counts_them_apart():
    raw = {"input_tokens": 5, "output_tokens": 4, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 10}

    assert foreign.usage_of(raw) == Usage(input_tokens=115, output_tokens=4, cached_input_tokens=100, raw=raw)


def test_no_usage_is_unknown():
    assert foreign.usage_of({}) is None


@pytest.mark.parametrize(
    ("request_json", "response", "line"),
    [
        (*chat("Who?", "Me."), "Who? → Me."),
        (*chat([{"type": "text", "text": "Who?"}], None), "Who?"),
        ({"prompt": "Once"}, {"choices": [{"text": "upon a time"}]}, "Once → upon a time"),
        ({"input": "Who?"}, {"output_text": "Me."}, "Who? → Me."),
        (None, {"content": [{"type": "text", "text": "Hello"}]}, "Hello"),
        (
            None,
            {"choices": [{"message": {"tool_calls": [{"function": {"name": "add", "arguments": "{}"}}]}}]},
            "add({})",
        ),
        ({"messages": "x"}, {"choices": "y"}, "x"),
        ({"messages": [3, None]}, {"choices": [None, {"message": 5}]}, None),
        (None, None, None),
        (*chat("a\n\n b", "\x1b[31mred"), "a b → [31mred"),
    ],
)
def test_a_preview_is_one_line_of_question_and_answer(request_json, response, line):
    assert foreign.preview_of(request_json, response) == line


def test_a_preview_of_long_texts_has_something_of_both():
    line = foreign.preview_of(*chat("q" * 10_000, "a" * 10_000))

    assert len(line) == PREVIEW_CHARACTERS
    assert abs(line.count("q") - line.count("a")) < 5


def test_members_of_the_wrong_type_are_unknown():
    assert foreign.finish_reasons_of({"choices": [{"finish_reason": "stop"}, {"finish_reason": 3}, 7]}) == ("stop",)
    assert foreign.stream_of([]) is None
    assert foreign.stream_of({"stream": "yes"}) is False


@pytest.mark.parametrize("usd", [None, True, 0, "0.0", "", "free", -1, float("nan"), "1e9999999", [], {}])
def test_what_is_no_amount_of_money_is_unknown(usd):
    assert foreign.cost_of(usd) is None


@pytest.mark.parametrize(("usd", "amount"), [(1, "1"), (7.25e-05, "0.0000725"), (" 0.5 ", "0.5")])
def test_an_amount_of_money_is_exact(usd, amount):
    cost = foreign.cost_of(usd)

    assert cost is not None
    assert cost.usd == Decimal(amount)
