from decimal import Decimal

import pytest
from hypothesis import given

from llm_proxy.model.completion import Cost, CostPart
from llm_proxy.model.cost_json import cost_from_json, cost_json, decimal_text, is_writable
from llm_proxy.model.json_text import decode_json, encode_json
from records import COST, NO_COST, costs


@given(costs)
def test_every_cost_comes_back_as_it_was(cost):
    assert cost_from_json(decode_json(encode_json(cost_json(cost)))) == cost


def test_amounts_are_text_without_an_exponent():
    part = CostPart(name="audio_seconds", quantity=Decimal("2.5"), rate=Decimal("1E-7"), usd=Decimal("2.5E-7"))

    written = cost_json(Cost(usd=Decimal("2.5E-7"), parts=(part,)))

    assert written["usd"] == "0.00000025"
    assert written["parts"] == [
        {"name": "audio_seconds", "quantity": "2.5", "rate": "0.0000001", "usd": "0.00000025"},
    ]


def test_a_count_of_tokens_is_a_number_and_what_is_unknown_is_null():
    assert [part["quantity"] for part in cost_json(COST)["parts"]] == [14, 3]
    assert cost_json(NO_COST) == {
        "usd": None,
        "source": None,
        "version": None,
        "entry": None,
        "reason": "unknown_model",
        "parts": [],
    }


@pytest.mark.parametrize("usd", ["1e500", "1e-500", "-0.1", "NaN", "Infinity", "much", []])
def test_an_impossible_amount_is_refused(usd):
    with pytest.raises(ValueError, match=r"out of range|Invalid decimal|Expected"):
        cost_from_json({"usd": usd})
    with pytest.raises(ValueError, match=r"out of range|Invalid decimal|Expected"):
        cost_from_json({"parts": [{"name": "input", "quantity": 1, "rate": usd, "usd": "0"}]})


def test_no_amount_that_may_be_written_is_long():
    digits = 5

    written = [
        decimal_text(amount)
        for amount in map(Decimal, ("99999", "1E+4", "0.00001"))
        if is_writable(amount, digits=digits)
    ]

    assert written == ["99999", "10000", "0.00001"]
    assert not any(
        is_writable(Decimal(text), digits=digits) for text in ("100000", "1E+999999", "0.000001", "1E-999999")
    )
