"""That a call at hand meets a condition; tests/store/test_sql_conditions.py holds the store to the same."""

import pytest

from llm_proxy.model.conditions import holds
from llm_proxy.model.query import NUMBERS, Attribute, Comparison, Condition
from records import bare


@pytest.mark.parametrize("of", sorted(NUMBERS - {Attribute.HTTP}))
def test_a_number_that_is_unknown_is_nothing_but_not_that(of):
    met = {one for one in Comparison if holds(Condition(of=of, comparison=one, value=0.0), bare())}

    assert met == {Comparison.IS_NOT}
