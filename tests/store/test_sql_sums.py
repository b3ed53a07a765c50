"""Which sums tell of which calls; what they say is in test_sums_keeper.py."""

import pytest

from llm_proxy.model.completion import Status
from llm_proxy.model.query import Attribute, Comparison, CompletionQuery, Condition
from llm_proxy.store.sql_sums import Kept, kept_as


def condition(of, comparison, value):
    return CompletionQuery(conditions=(Condition(of=of, comparison=comparison, value=value),))


@pytest.mark.parametrize(
    ("calls", "kept"),
    [
        (CompletionQuery(limit=None), Kept()),
        (CompletionQuery(model="m\x00"), Kept("model", "m\x1a0000")),
        (CompletionQuery(user_id="u", limit=7), Kept("user", "u")),
        (CompletionQuery(tags=("t",)), Kept("tag", "t")),
        (condition(Attribute.PROVIDER, Comparison.IS, "p"), Kept("provider", "p")),
        (condition(Attribute.KEY, Comparison.IS, "cdef"), Kept("key", "cdef", is_end=True)),
    ],
)
def test_what_sums_are_kept_of_is_answered_from_them(calls, kept):
    assert kept_as(calls) == kept


@pytest.mark.parametrize(
    "calls",
    [
        CompletionQuery(tags=("t", "u")),
        CompletionQuery(model="m", user_id="u"),
        CompletionQuery(project_id="p"),
        CompletionQuery(status=Status.FAILED),
        CompletionQuery(search="x"),
        condition(Attribute.PROVIDER, Comparison.IS_NOT, "p"),
        condition(Attribute.LATENCY, Comparison.ABOVE, 1.0),
    ],
)
def test_what_no_sum_is_kept_of_is_left_to_the_calls(calls):
    assert kept_as(calls) is None
