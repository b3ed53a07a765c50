"""Terms as people say them, as they are kept, and what they allow."""

from decimal import Decimal

import pytest

from llm_proxy.model.key_terms import Terms, parse_terms, terms_from_text, terms_json, terms_text

ALL = {
    "tags": ["team-a"],
    "models": ["gpt-4o*", "o[13]"],
    "upstreams": ["default"],
    "requests_per_minute": 60,
    "concurrent": 4,
    "usd_per_day": "5.50",
    "usd_per_month": "100",
}


def test_terms_come_back_from_json_and_from_what_is_kept():
    terms = parse_terms(ALL)

    assert terms_json(terms) == ALL
    assert terms_from_text(terms_text(terms)) == terms


def test_nothing_said_is_nothing_kept_and_nothing_limited():
    terms = parse_terms({})

    assert terms_text(terms) is None
    assert terms_json(terms) == {}
    assert terms_from_text(None) == Terms()
    assert terms.allows_model("any")
    assert terms.allows_upstream("any")


@pytest.mark.parametrize(
    ("model", "allowed"),
    [("gpt-4o", True), ("gpt-4o-mini", True), ("o1", True), ("o2", False), ("o1-mini", False), ("GPT-4o", False)],
)
def test_a_model_is_allowed_by_a_pattern_of_its_whole_name(model, allowed):
    assert parse_terms(ALL).allows_model(model) is allowed


def test_an_upstream_is_allowed_by_its_name():
    terms = parse_terms(ALL)

    assert terms.allows_upstream("default")
    assert not terms.allows_upstream("other")


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"models": "gpt-4o"}, "models"),
        ({"tags": [1]}, "tags"),
        ({"tags": [""]}, "tags"),
        ({"upstreams": ["a"] * 1 + [f"u{n}" for n in range(101)]}, "upstreams"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"requests_per_minute": True}, "requests_per_minute"),
        ({"concurrent": 1.5}, "concurrent"),
        ({"usd_per_day": "much"}, "usd_per_day"),
        ({"usd_per_day": -1}, "usd_per_day"),
        ({"usd_per_day": "NaN"}, "usd_per_day"),
        ({"usd_per_month": "1e999999999"}, "usd_per_month"),
        ({"usd_per_month": "1e-20"}, "usd_per_month"),
        ({"budget": 5}, "budget"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(given, names):
    with pytest.raises(ValueError, match=names):
        parse_terms(given)


def test_an_amount_may_be_a_number():
    assert parse_terms({"usd_per_day": 12.5, "usd_per_month": 100}) == Terms(
        usd_per_day=Decimal("12.5"), usd_per_month=Decimal(100)
    )
