import json

import pytest
from hypothesis import given, settings, strategies

from llm_proxy.attribution.context import attribute
from llm_proxy.attribution.vocabulary import HEADERS, Form, Level, Tells
from llm_proxy.model.completion import Context, JsonValue

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
#: What a header of each form says, and what is understood.
SAMPLES = {
    Form.TEXT: "said",
    Form.LIST: "said, more",
    Form.JSON_LIST: '["said", "more"]',
    Form.JSON_OBJECT: '{"key": "said"}',
    Form.TRACEPARENT: TRACEPARENT,
    Form.PARENT_SPAN: TRACEPARENT,
    Form.AGENT: "said/1.0 (linux)",
}


def of_headers(*headers: tuple[str, str | None]) -> Context:
    return attribute(headers, None, None)


def sample_of(header):
    if header.form is Form.BAGGAGE:
        return f"{header.key}=said"
    return json.dumps({header.key: "said"}) if header.form is Form.JSON_MEMBER else SAMPLES[header.form]


def test_a_call_of_which_nothing_is_said_has_an_empty_context():
    assert attribute((("Host", "h"), ("Authorization", None)), None, {"model": "m"}) == Context()


def test_our_own_headers_say_everything():
    context = of_headers(
        ("X-LLM-Tags", "nightly, ci"),
        ("X-LLM-Session-Id", "run-42"),
        ("X-LLM-Session-Name", "Nightly run"),
        ("X-LLM-User-Id", "u1"),
        ("X-LLM-Trace-Id", "t1"),
        ("X-LLM-Metadata", '{"team": "red", "nested": {"n": 1}}'),
        ("X-LLM-Meta-Branch", "main"),
        ("X-LLM-Log", "full"),
        ("X-LLM-Provider", "groq"),
    )

    assert context == Context(
        tags=("nightly", "ci"),
        session_id="run-42",
        session_name="Nightly run",
        user_id="u1",
        trace_id="t1",
        metadata={"branch": "main", "team": "red", "nested": {"n": 1}},
    )


OBEYED = {
    Tells.LOG,
    Tells.UPSTREAM,
    Tells.TARGET,
    Tells.OMIT_CALL,
    Tells.OMIT_BODIES,
    Tells.OMIT_REQUEST,
    Tells.OMIT_RESPONSE,
    Tells.SERVER_TIMING,
}
READ = [header for header in HEADERS if header.tells not in {*OBEYED, Tells.COST}]


@pytest.mark.parametrize("header", READ, ids=lambda header: f"{header.name}-{header.key}")
def test_every_header_of_the_table_is_read(header):
    name = f"{header.name}Key" if header.is_prefix else header.name

    context = of_headers((name, sample_of(header)))

    told = {
        Tells.TAGS: context.tags,
        Tells.SESSION_ID: context.session_id,
        Tells.SESSION_NAME: context.session_name,
        Tells.USER_ID: context.user_id,
        Tells.TRACE_ID: context.trace_id,
        Tells.METADATA: context.metadata,
    }[header.tells]
    expected = {
        Tells.TAGS: ("said", "more"),
        Tells.METADATA: {"key" if header.is_prefix or header.key is None else header.key: "said"},
    }.get(header.tells, TRACE if header.form is Form.TRACEPARENT else "said")
    if header.form is Form.PARENT_SPAN:
        expected = {"parent_span_id": "00f067aa0ba902b7"}
    assert told == expected
    assert context.notes == ()


@pytest.mark.parametrize("name", ["x-llm-session-id", "X-LLM-SESSION-ID", "X-Llm-Session-Id"])
def test_names_are_read_in_any_case(name):
    assert of_headers((name, "run-42")).session_id == "run-42"


def test_the_path_says_everything():
    context = attribute((), "tags=nightly,ci;session=run-42;name=A%20b;user=u1;trace=t1;meta.Team=red;log=off", None)

    assert context == Context(
        tags=("nightly", "ci"),
        session_id="run-42",
        session_name="A b",
        user_id="u1",
        trace_id="t1",
        metadata={"Team": "red"},
    )


def test_separators_in_the_path_can_be_encoded():
    context = attribute((), "tags=a%2Cb,c%3Bd;user=%C3%BC%2F%3D", None)

    assert context.tags == ("a,b", "c;d")
    assert context.user_id == "ü/="


def test_the_body_says_who_the_user_is():
    request = {"user": "u1", "safety_identifier": "s1", "session_id": "run-42", "metadata": {"team": "red"}}

    context = attribute((), None, request)

    assert context == Context(user_id="u1", session_id="run-42", metadata={"team": "red"})
    assert attribute((), None, {"safety_identifier": "s1"}).user_id == "s1"


PLACES = {
    Level.OWN: ("X-LLM-Session-Id", "own"),
    Level.GATEWAY: ("Helicone-Session-Id", "gateway"),
    Level.W3C: ("baggage", "session.id=w3c"),
    Level.HARNESS: ("x-claude-code-session-id", "harness"),
}


@pytest.mark.parametrize(("first", "said"), [(level, level.name.lower()) for level in Level])
def test_the_more_important_place_counts(first, said):
    headers = tuple(PLACES[level] for level in reversed(PLACES) if level >= first)
    path = "session=path" if first <= Level.PATH else None

    context = attribute(headers, path, {"session_id": "body"})

    assert context.session_id == said


def test_within_a_level_the_order_of_the_table_counts():
    assert of_headers(("x-bf-session-id", "b"), ("helicone-session-id", "h")).session_id == "h"
    assert of_headers(("session-id", "codex"), ("x-claude-code-session-id", "claude")).session_id == "claude"
    assert of_headers(("traceparent", TRACEPARENT), ("x-portkey-trace-id", "p")).trace_id == "p"


def test_tags_are_collected_from_everywhere_in_order_of_precedence_each_once():
    headers = (("x-litellm-tags", "d,b"), ("X-LLM-Tags", "a,b"), ("x-maxim-trace-tags", '{"env": "prod"}'))

    context = attribute(headers, "tags=c,a", None)

    assert context.tags == ("a", "b", "c", "d", "env:prod")


def test_metadata_is_merged_and_the_more_important_place_counts_for_each_key():
    headers = (
        ("Helicone-Property-Team", "helicone"),
        ("Helicone-Property-App", "helicone"),
        ("X-LLM-Metadata", '{"team": "own", "b": "json"}'),
        ("X-LLM-Meta-B", "own"),
    )

    context = attribute(headers, "meta.app=path;meta.team=path", {"metadata": {"team": "body", "c": "body"}})

    assert context.metadata == {"b": "own", "team": "own", "app": "path", "c": "body"}


def test_a_list_that_occurs_twice_is_joined():
    assert of_headers(("X-LLM-Tags", "a,b"), ("x-llm-tags", "b,c")).tags == ("a", "b", "c")
    assert of_headers(("baggage", "a=1"), ("baggage", "session.id=s")).session_id == "s"
    assert attribute((), "tags=a;tags=b", None).tags == ("a", "b")


def test_of_any_other_header_that_occurs_twice_the_last_one_counts():
    assert of_headers(("X-LLM-User-Id", "u1"), ("x-llm-user-id", "u2")).user_id == "u2"
    assert of_headers(("X-LLM-Meta-A", "1"), ("X-LLM-Meta-A", "2")).metadata == {"a": "2"}
    assert of_headers(("X-LLM-Metadata", '{"a": 1}'), ("X-LLM-Metadata", '{"b": 2}')).metadata == {"b": 2}
    assert attribute((), "user=u1;user=u2", None).user_id == "u2"


def test_a_parent_session_is_metadata_and_never_the_session():
    context = of_headers(("x-parent-session-id", "parent"))

    assert context.session_id is None
    assert context.metadata == {"parent_session_id": "parent"}


def test_the_user_of_portkey_is_a_member_of_its_metadata():
    context = of_headers(("x-portkey-metadata", '{"_user": "u1", "env": "prod"}'))

    assert context.user_id == "u1"
    assert context.metadata == {"_user": "u1", "env": "prod"}


@pytest.mark.parametrize(
    ("header", "note"),
    [
        (("X-LLM-Session-Id", "a\x07b"), "X-LLM-Session-Id was dropped: it holds control characters"),
        (("X-LLM-User-Id", "u" * 65536), "X-LLM-User-Id was dropped: it is longer than 512 characters"),
        (("X-LLM-Metadata", "{"), "X-LLM-Metadata was dropped: it is no valid JSON"),
        (("X-LLM-Metadata", "[1]"), "X-LLM-Metadata was dropped: it is no JSON object"),
        (("X-LLM-Meta-", "v"), "metadata '' of X-LLM-Meta-* was dropped: its key must have 1 to 128 characters"),
        (("X-LLM-Log", "nothing"), "X-LLM-Log was dropped: it must be one of full, metadata, off"),
        (("X-LLM-Session", "run-42"), "'X-LLM-Session' was dropped: no such header is known"),
        (("X-LLM-Session", None), "'X-LLM-Session' was dropped: no such header is known"),
        (("traceparent", "00-0-0-00"), "traceparent was dropped: it is not valid after W3C Trace Context"),
        (("x-maxim-trace-tags", "{"), "x-maxim-trace-tags was dropped: it is no valid JSON"),
    ],
)
def test_a_header_that_cannot_be_used_is_dropped_and_noted_by_name(header, note):
    context = of_headers(header)

    assert context == Context(notes=(note,))


@pytest.mark.parametrize(
    ("path", "note"),
    [
        ("tag=a", "'tag' in the path was dropped: known are tags, session, name, user, trace, log, provider"),
        ("user=a%00b", "user in the path was dropped: it holds NUL or half a surrogate pair"),
        ("log=none", "log in the path was dropped: it must be one of full, metadata, off"),
        ("meta.=a", "metadata '' of the path was dropped: its key must have 1 to 128 characters"),
    ],
)
def test_what_cannot_be_used_of_the_path_is_noted(path, note):
    context = attribute((), path, None)

    assert context.notes[0].startswith(note)


@pytest.mark.parametrize(
    ("request_body", "note"),
    [
        ({"user": 7}, "user in the body was dropped: it is no string"),
        ({"metadata": "team"}, "metadata in the body was dropped: it is no JSON object"),
        ({"metadata": {"k": "\ud800"}}, "metadata 'k' of metadata in the body was dropped: it holds NUL or half"),
    ],
)
def test_what_cannot_be_used_of_the_body_is_noted(request_body, note):
    context = attribute((), None, request_body)

    assert context.notes[0].startswith(note)
    assert context.metadata == {}


def test_null_in_the_body_says_nothing():
    assert attribute((), None, {"user": None, "metadata": None, "session_id": None}) == Context()


nasty = strategies.sampled_from(["\0", "\x07", "\x85", "\ud800", "\udfff", ";", ",", "=", "%", "%00", "{", "[", '"'])
anything = strategies.lists(strategies.text(max_size=8) | nasty, max_size=4).map("".join)
one_of_each_form = {header.form: header.name for header in HEADERS}.values()
names = strategies.sampled_from([*one_of_each_form, "X-LLM-User-Id", "X-LLM-Session-Name", "X-LLM-Log"]) | anything.map(
    "X-LLM-Meta-{}".format
)
json_values = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.floats()
    | strategies.sampled_from([2**70, float("inf")])
    | anything,
    lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(anything, inner, max_size=3),
    max_leaves=8,
)
nested_values = strategies.dictionaries(anything, json_values, max_size=3)
values = anything | json_values.map(json.dumps) | nested_values.map(json.dumps) | strategies.just(TRACEPARENT)
headers = strategies.lists(strategies.tuples(names, strategies.none() | values), max_size=8).map(tuple)
path_parts = strategies.tuples(strategies.sampled_from(["tags=", "session=", "meta.k=", ""]), anything).map("".join)
bodies = json_values | strategies.fixed_dictionaries(
    {}, optional={"user": json_values, "session_id": json_values, "metadata": json_values | nested_values}
)


def strings_in(value: JsonValue) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(text for inner in value.values() for text in strings_in(inner))]
    if isinstance(value, list):
        return [text for inner in value for text in strings_in(inner)]
    return [value] if isinstance(value, str) else []


@given(headers, strategies.none() | path_parts, bodies)
@settings(max_examples=300, deadline=None)
def test_whatever_is_sent_nothing_is_raised_and_all_that_comes_out_can_be_stored(headers, path, body):
    context = attribute(headers, path, body)

    ids = [context.session_id, context.session_name, context.user_id, context.trace_id]
    texts = [*context.tags, *context.notes, *strings_in(ids), *strings_in(context.metadata)]
    assert [text for text in texts if "\0" in text or text.encode("utf-8").decode() != text] == []
    assert json.loads(json.dumps(context.metadata, allow_nan=False)) == context.metadata
