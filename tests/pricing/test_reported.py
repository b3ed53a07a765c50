from decimal import Decimal

import pytest

from llm_proxy.pricing.reported import reported_usd

LITELLM = "x-litellm-response-cost"


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        ({"cost": 0.000591}, "0.000591"),  # OpenRouter
        ({"cost": 0}, "0"),  # one of its free models
        ({"cost": 0.95, "is_byok": True, "cost_details": {"upstream_inference_cost": 19}}, "19.95"),
        ({"cost": 0.95, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.9}}, "0.95"),
        ({"cost": 0.95, "is_byok": True, "cost_details": {"upstream_inference_cost": None}}, "0.95"),
        ({"cost_in_usd_ticks": 37756000}, "0.0037756"),  # xAI
        ({"cost": {"input_tokens_cost": 0.001, "request_cost": 0.005, "total_cost": 0.006}}, "0.006"),  # Perplexity
    ],
)
def test_what_an_answer_says_of_its_cost_is_read_in_dollars(usage, dollars):
    assert reported_usd(usage, ()) == Decimal(dollars)


@pytest.mark.parametrize(
    "usage",
    [
        {},
        {"cost": None},
        {"cost": True},
        {"cost": -1},
        {"cost": "free"},
        {"cost": "NaN"},
        {"cost": "1e999999"},
        {"cost": []},
        {"cost": {}},
    ],
)
def test_what_is_no_amount_is_unknown(usage):
    assert reported_usd(usage, ()) is None


@pytest.mark.parametrize(
    ("value", "dollars"),
    [("0.000123", Decimal("0.000123")), (" 1e-05 ", Decimal("0.00001")), ("0.0", None), ("None", None), (None, None)],
)
def test_the_header_of_litellm_is_read_and_its_zero_is_unknown(value, dollars):
    assert reported_usd({}, (("X-LiteLLM-Response-Cost", value),)) == dollars


def test_the_usage_is_nearer_to_the_bill_than_a_header():
    assert reported_usd({"cost": 0.5}, ((LITELLM, "0.7"),)) == Decimal("0.5")
