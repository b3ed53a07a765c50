from datetime import UTC, datetime
from decimal import Decimal

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot

from llm_proxy.pricing.list_prices import list_card, list_version
from llm_proxy.pricing.meter import measure
from llm_proxy.pricing.rates import Part, bill
from pricing.purchases import NOW, purchase_of, usage_of


def card_for(provider, model, usage=None, **members):
    purchase = purchase_of(provider, model, usage or usage_of(1, 1), **members)
    return list_card(purchase, measure(purchase))


def everything():
    """Every entry of the table that has a plain price for text in and out."""
    for provider in get_snapshot().providers:
        for model in provider.models:
            prices = model.get_prices(NOW)
            if prices.input_mtok is not None and prices.output_mtok is not None and prices.requests_kcount is None:
                yield provider, model


def test_for_plain_text_our_sum_is_that_of_the_package_for_its_whole_table():
    usage = usage_of(250_000, 1000)
    counted = genai_prices.Usage(input_tokens=250_000, output_tokens=1000)
    compared = 0

    for provider, model in everything():
        names = {"aws": "bedrock", "x-ai": "xai", "moonshotai": "moonshot"}
        if provider.find_model(model.id) is not model or provider.id.startswith("huggingface"):
            continue
        purchase = purchase_of(names.get(provider.id, provider.id), model.id, usage)
        card = list_card(purchase, measure(purchase))
        if isinstance(card, str) or card.entry != f"{provider.id}/{model.id}":
            continue
        parts = bill(measure(purchase), card)
        theirs = model.calc_price(counted, provider, genai_request_timestamp=NOW).total_price
        assert parts == "zero_price" or abs(sum(part.usd for part in parts) - theirs) < Decimal("1e-18"), card.entry
        compared += 1

    assert compared > 1000


def test_the_version_is_that_of_the_package():
    assert list_version() == f"genai-prices {genai_prices.__version__}"


@pytest.mark.parametrize(
    ("provider", "model", "entry"),
    [
        ("openai", "gpt-4.1-mini-2025-04-14", "openai/gpt-4.1-mini"),
        ("google", "publishers/google/models/gemini-2.5-flash", "google/gemini-2.5-flash"),
        ("google", "models/gemini-2.5-flash", "google/gemini-2.5-flash"),
        ("google", "claude-sonnet-4-5@20250929", "google/claude-sonnet-4-5"),
        ("xai", "grok-4", "x-ai/grok-4-0709"),
        ("azure", "gpt-35-turbo", "azure/gpt-3.5-turbo"),
        ("moonshot", "kimi-k2-0905-preview", "moonshotai/kimi-k2-0905-preview"),
    ],
)
def test_names_of_models_lead_to_their_entries(provider, model, entry):
    assert card_for(provider, model).entry == entry


def test_a_provider_that_only_resembles_one_of_the_table_is_not_that_one():
    assert card_for("my-openai-like-server", "gpt-4o") == "unknown_provider"


def test_a_price_that_was_lowered_holds_from_that_day_on():
    before, after = (
        card_for("openai", "o3", at=datetime(2025, 6, day, tzinfo=UTC)).rates[Part.INPUT] for day in (9, 11)
    )

    assert (before * 10**6, after * 10**6) == (10, 2)


def test_a_price_can_depend_on_the_time_of_the_day():
    night, day = (
        card_for("deepseek", "deepseek-chat", at=datetime(2025, 5, 1, hour, tzinfo=UTC)).rates[Part.INPUT]
        for hour in (20, 10)
    )

    assert (night * 10**6, day * 10**6) == (Decimal("0.135"), Decimal("0.27"))


def test_what_a_tier_has_no_price_for_has_none_in_it():
    # The batch prices of o3 name no cached input.
    card = card_for("openai", "o3", tier="batch")

    assert (card.rate_of(Part.INPUT) * 10**6, card.rate_of(Part.CACHE_READ)) == (1, None)
    assert card.rate_of(Part.REASONING) == card.rate_of(Part.OUTPUT)


def test_searches_cost_the_same_in_every_tier():
    assert card_for("anthropic", "claude-haiku-4-5", tier="batch").rates[Part.WEB_SEARCHES] == Decimal("0.01")


def test_models_that_cost_nothing_are_told_from_those_without_a_price():
    assert card_for("openai", "omni-moderation-latest").rates == {Part.INPUT: 0, Part.OUTPUT: 0}
    assert card_for("cerebras", "qwen-3-coder-480b") == "entry_without_prices"
