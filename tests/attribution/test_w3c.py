import pytest
from hypothesis import given, strategies

from llm_proxy.attribution.w3c import baggage, trace_id

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.mark.parametrize("traceparent", [f"00-{TRACE}-{PARENT}-01", f"cc-{TRACE}-{PARENT}-00-what-the-future-brings"])
def test_the_trace_id_of_a_valid_traceparent_is_read(traceparent):
    assert trace_id(traceparent) == TRACE


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        TRACE,
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-01-more",
        f"cc-{TRACE}-{PARENT}-01.more",
        f"ff-{TRACE}-{PARENT}-01",
        f"0-{TRACE}-{PARENT}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}-01\n",
    ],
)
def test_a_traceparent_that_is_not_valid_has_no_trace_id(traceparent):
    assert trace_id(traceparent) is None


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("session.id=run-42,user.id=u1", {"session.id": "run-42", "user.id": "u1"}),
        (" session.id = run%20%C3%BC ; property=1 , x=a=b", {"session.id": "run ü", "x": "a=b"}),
        ("a=1,a=2", {"a": "2"}),
        ("a=%FF", {"a": "\ufffd"}),
        ("a,,=,b=", {"": "", "b": ""}),
        ("", {}),
    ],
)
def test_members_of_baggage_are_decoded(text, members):
    assert baggage(text) == members


@given(strategies.text() | strategies.text("\0\ud800\udfff%;=,-0f"))
def test_nothing_makes_the_readers_raise(text):
    assert trace_id(text) is None
    assert isinstance(baggage(text), dict)
