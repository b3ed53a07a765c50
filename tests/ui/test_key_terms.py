"""The terms of a key in a form."""

from decimal import Decimal

import pytest

from llm_proxy.model.account import Scope
from llm_proxy.model.key_terms import NO_TERMS, Terms
from llm_proxy.ui.key_terms import terms_in_words, terms_of

PROXY = frozenset({Scope.PROXY})
WHOLE = Terms(
    tags=("nightly", "a, b"),
    models=("gpt-*",),
    upstreams=("groq", "default"),
    requests_per_minute=60,
    concurrent=4,
    usd_per_day=Decimal("12.50"),
    usd_per_month=Decimal(0),
)


def test_what_is_filled_in_is_what_the_key_is_bound_to():
    fields = {
        "tags": ['nightly, "a, b"'],
        "models": ["gpt-*"],
        "upstreams": ["groq,default"],
        "requests_per_minute": [" 60 "],
        "concurrent": ["4"],
        "usd_per_day": ["12.50"],
        "usd_per_month": ["0"],
    }

    assert terms_of(fields, PROXY) == WHOLE


def test_what_is_left_empty_is_not_limited():
    assert terms_of({"tags": [""], "concurrent": [" "]}, frozenset({Scope.READ})) == NO_TERMS


@pytest.mark.parametrize(
    ("fields", "scopes", "reason"),
    [
        ({"concurrent": ["many"]}, PROXY, "concurrent must be a whole number"),
        ({"concurrent": ["0"]}, PROXY, "concurrent must be a whole number"),
        ({"requests_per_minute": ["9" * 5000]}, PROXY, "requests_per_minute must be"),
        ({"usd_per_day": ["-1"]}, PROXY, "usd_per_day must be an amount"),
        ({"models": ["\x07"]}, PROXY, "models must be visible"),
        ({"tags": ["x"]}, frozenset({Scope.READ}), "only a key of the scope proxy"),
    ],
)
def test_what_makes_no_sense_is_said(fields, scopes, reason):
    with pytest.raises(ValueError, match=reason):
        terms_of(fields, scopes)


def test_terms_are_told_in_a_line():
    assert terms_in_words(NO_TERMS) == ""
    assert terms_in_words(WHOLE) == (
        "tags nightly, a, b · models gpt-* · upstreams groq, default · 60 calls a minute · 4 calls at a time"
        " · 12.50 USD a day · 0 USD a month"
    )
