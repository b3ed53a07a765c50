from decimal import Decimal

import pytest

from llm_proxy.pricing.rates import FALLBACKS, FALLBACKS_IN_A_TIER, FALLBACKS_OF_GOOGLE, Measured, Part, RateCard, bill

RATES = {Part.INPUT: Decimal("0.001"), Part.OUTPUT: Decimal("0.002")}


def card(rates=RATES, **members) -> RateCard:
    return RateCard(entry="e", rates=rates, **members)


def measured(**quantities) -> Measured:
    parts = {Part[name]: quantity for name, quantity in quantities.items()}
    return Measured(quantities=parts, input_tokens=parts.get(Part.INPUT, 0))


def dollars(*args):
    parts = bill(*args)
    return parts if isinstance(parts, str) else sum(part.usd for part in parts)


def test_each_part_is_its_quantity_times_its_rate():
    parts = bill(measured(INPUT=10, OUTPUT=3, REASONING=0), card())

    assert [(part.name, part.quantity, part.usd) for part in parts] == [
        ("input", 10, Decimal("0.010")),
        ("output", 3, Decimal("0.006")),
    ]


@pytest.mark.parametrize(("part", "rate"), [("CACHE_READ", "0.001"), ("INPUT_IMAGE", "0.001"), ("REASONING", "0.002")])
def test_what_a_table_does_not_name_is_charged_as_what_it_is_a_kind_of(part, rate):
    assert dollars(measured(**{part: 1}), card()) == Decimal(rate)


@pytest.mark.parametrize(
    "part", ["CACHE_WRITE", "CACHE_WRITE_1H", "INPUT_AUDIO", "OUTPUT_AUDIO", "OUTPUT_IMAGE", "WEB_SEARCHES"]
)
def test_what_costs_more_than_its_kind_is_unknown_without_a_rate(part):
    assert dollars(measured(INPUT=5, **{part: 1}), card()) == f"no_price_for:{Part[part]}"


def test_a_cached_token_in_a_tier_is_unknown_without_a_rate():
    assert dollars(measured(CACHE_READ=1), card(fallbacks=FALLBACKS)) == Decimal("0.001")
    assert dollars(measured(CACHE_READ=1), card(fallbacks=FALLBACKS_IN_A_TIER)) == "no_price_for:cache_read"


def test_audio_of_google_is_charged_as_text_unless_it_is_said_otherwise():
    google = FALLBACKS | FALLBACKS_OF_GOOGLE

    assert dollars(measured(INPUT_AUDIO=1, CACHE_READ_AUDIO=1), card(fallbacks=google)) == Decimal("0.002")
    assert dollars(measured(INPUT_AUDIO=1), card(RATES | {Part.INPUT_AUDIO: Decimal(7)}, fallbacks=google)) == 7


def test_a_zero_for_audio_is_believed_only_if_all_prices_of_the_entry_are_zero():
    trap = card({Part.INPUT: Decimal(0), Part.OUTPUT: Decimal(0), Part.AUDIO_SECONDS: Decimal(1)}, is_for_audio=True)
    free = card({Part.INPUT: Decimal(0), Part.OUTPUT: Decimal(0)}, is_for_audio=True)

    assert dollars(measured(INPUT=5, OUTPUT=5), trap) == "zero_price"
    assert dollars(measured(INPUT=5, OUTPUT=5), free) == 0


def test_a_model_that_is_sold_by_time_does_not_charge_its_tokens():
    by_time = card({Part.AUDIO_SECONDS: Decimal("0.5")})

    assert dollars(measured(INPUT=100, OUTPUT=7, AUDIO_SECONDS=4), by_time) == 2


def test_a_model_that_is_sold_by_tokens_does_not_charge_time_or_images():
    assert dollars(measured(INPUT=10, AUDIO_SECONDS=4, IMAGES=1, CHARACTERS=3), card()) == Decimal("0.010")


def test_a_model_that_is_sold_by_both_charges_both():
    both = card(RATES | {Part.AUDIO_SECONDS: Decimal(1)})

    assert dollars(measured(INPUT=10, AUDIO_SECONDS=4), both) == Decimal("4.010")


def test_a_short_recording_is_charged_as_the_shortest():
    by_time = card({Part.AUDIO_SECONDS: Decimal(1)}, least_audio_s=10)

    assert [dollars(measured(AUDIO_SECONDS=seconds), by_time) for seconds in (3, 10, 11)] == [10, 10, 11]


def test_a_fee_for_the_request_comes_once():
    assert dollars(measured(INPUT=1), card(RATES | {Part.REQUESTS: Decimal(2)})) == Decimal("2.001")


def test_media_of_which_an_unknown_share_was_cached_matter_only_where_their_rate_is_another():
    mixed = Measured(quantities={Part.INPUT: 10}, entangled=frozenset({Part.INPUT_IMAGE}), input_tokens=10)

    assert dollars(mixed, card()) == Decimal("0.010")
    assert dollars(mixed, card(RATES | {Part.INPUT_IMAGE: Decimal(1)})) == "no_split_of_cache:input_image"


def test_nothing_that_was_measured_is_no_usage():
    assert dollars(Measured(quantities={}), card()) == "no_usage"
