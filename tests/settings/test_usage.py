import pytest
from pydantic import ValidationError

from llm_proxy.settings.usage import Pricing, Usage


def test_streams_are_left_alone_unless_that_is_asked_for():
    assert Usage().streams == "off"
    assert Usage(streams="ask").streams == "ask"


def test_nothing_is_estimated_unless_that_is_asked_for():
    assert Usage().estimate is False


@pytest.mark.parametrize("word", ["on", "", True, None])
def test_there_is_no_other_word(word):
    with pytest.raises(ValidationError):
        Usage(streams=word)


def test_there_are_no_prices_of_ones_own_by_default():
    assert Pricing().file is None
