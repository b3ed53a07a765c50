import pytest

from llm_proxy.api import members
from llm_proxy.api.resource import Fault


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (members.text, "x"),
        (members.object_, {"a": 1}),
        (members.number, 1.5),
        (members.truth, False),
        (lambda given, name: members.choice(given, name, ("x", "y")), "y"),
        (lambda given, name: members.whole(given, name, most=5), 5),
    ],
)
def test_what_has_its_type_is_taken_and_what_is_null_was_not_sent(read, value):
    assert read({"a": value}, "a") == value
    assert read({"a": None}, "a") is None
    assert read({}, "a") is None


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        (members.text, 1, "a must be a string"),
        (members.object_, [], "a must be an object"),
        (members.number, True, "a must be a number"),
        (members.number, float("inf"), "a must be a number from 0 on"),
        (members.number, 10**400, "a must be a number from 0 on"),
        (members.truth, 0, "a must be true or false"),
        (lambda given, name: members.text(given, name, needed=True), None, "a is required"),
        (lambda given, name: members.text(given, name, most=1), "xy", "a must not be longer than 1"),
        (lambda given, name: members.object_(given, name, needed=True), None, "a is required"),
        (lambda given, name: members.choice(given, name, ("x", "y")), "z", "a must be one of x, y"),
        (lambda given, name: members.whole(given, name, most=5), 6, "a must be a whole number from 0 to 5"),
        (lambda given, name: members.whole(given, name, most=5), 1.5, "a must be a whole number"),
        (lambda given, name: members.texts(given[name], name, most=1, most_characters=1), ["x", "y"], "more than 1"),
    ],
)
def test_what_has_another_type_is_named(read, value, message):
    with pytest.raises(Fault, match=message) as caught:
        read({"a": value}, "a")

    assert caught.value.param == "a"


def test_a_whole_number_may_be_written_with_a_point():
    assert members.whole({"a": 3.0}, "a", most=5) == 3


def test_a_list_of_strings_has_each_once():
    assert members.texts(["b", "a", "b"], "a", most=3, most_characters=1) == ("b", "a")
