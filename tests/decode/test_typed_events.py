from llm_proxy.decode.sse import Event
from llm_proxy.decode.typed_events import TypedEvents


def event(data, name="", *, complete=True):
    return Event(name=name, data=data, end=0, complete=complete)


def test_an_event_is_of_its_type_or_else_of_its_name():
    typed = TypedEvents([event(b'{"type": "a"}', "b"), event(b'{"x": 1}', "b"), event(b"[DONE]")])

    assert [(name, value) for name, value, _ in typed] == [("a", {"type": "a"}), ("b", {"x": 1})]
    assert (typed.error, typed.unreadable) == ({}, 0)


def test_errors_stand_beside_and_what_is_no_object_is_counted_if_it_is_whole():
    broken = [event(b"7"), event(b"{"), event(b"{", complete=False)]
    typed = TypedEvents([event(b'{"error": {"message": "no"}}', "error"), *broken])

    assert list(typed) == []
    assert typed.error == {"error": {"message": "no"}}
    assert typed.unreadable == 2
