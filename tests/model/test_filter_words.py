"""What a word with its value asks of a call."""

import pytest

from llm_proxy.model.filter_words import GROUP_WORDS, NOT, condition_of
from llm_proxy.model.query import Attribute, Comparison


@pytest.mark.parametrize("of", Attribute)
def test_every_attribute_has_a_word_that_asks_for_it_and_turns_round(of):
    value = GROUP_WORDS[of.value].example.partition(":")[2]

    straight, turned = condition_of(of.value, value), condition_of(NOT + of.value, value)

    assert straight.of is turned.of is of
    assert straight.comparison is not turned.comparison


def test_running_is_what_the_store_calls_started():
    assert condition_of("-status", "running").value == "started"


@pytest.mark.parametrize(
    ("word", "value", "number"),
    [
        ("latency", ">90", 90.0),
        ("ttft", "<1.5m", 90.0),
        ("tokens", "2M", 2e6),
        ("cost", ">$.5", 0.5),
        ("http", "429", 429),
    ],
)
def test_a_number_may_have_a_unit(word, value, number):
    assert condition_of(word, value).value == number


@pytest.mark.parametrize(("word", "value"), [("latency", ">>1s"), ("cost", ">"), ("http", ">x"), ("cost", ">1s")])
def test_what_is_no_number_is_refused(word, value):
    with pytest.raises(ValueError, match="is not understood"):
        condition_of(word, value)


def test_equal_is_a_comparison():
    assert condition_of("output", "=3").comparison is Comparison.IS
