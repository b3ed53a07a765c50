import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_proxy.errors import ConfigError
from llm_proxy.model.json_text import encode_json
from llm_proxy.pricing.litellm_prices import NO_OVERRIDES, parse_overrides
from llm_proxy.pricing.meter import measure
from llm_proxy.pricing.rates import bill
from pricing.purchases import purchase_of, usage_of
from records import json_values


def m(dollars):
    """So many dollars for a million, for one."""
    return float(f"{dollars}e-6")


PLAIN = {"input_cost_per_token": m(1), "output_cost_per_token": m(4)}
#: In the shape of https://github.com/BerriAI/litellm/blob/main/model_prices_and_context_window.json
LONG = {
    "cache_read_input_token_cost": m(0.25),
    "cache_read_input_token_cost_above_272k_tokens": m(0.5),
    "cache_read_input_token_cost_priority": m(0.5),
    "input_cost_per_token": m(2.5),
    "input_cost_per_token_above_272k_tokens": m(5),
    "input_cost_per_token_above_272k_tokens_priority": m(10),
    "input_cost_per_token_batches": m(1.25),
    "input_cost_per_token_flex": m(1.25),
    "input_cost_per_token_priority": m(5),
    "litellm_provider": "openai",
    "max_input_tokens": 1050000,
    "mode": "chat",
    "output_cost_per_token": m(15),
    "output_cost_per_token_above_272k_tokens": m(22.5),
    "output_cost_per_token_batches": m(7.5),
    "output_cost_per_token_flex": m(7.5),
    "output_cost_per_token_priority": m(30),
    "supports_vision": True,
}


def table(**entries):
    return parse_overrides(json.dumps(entries).encode(), "prices.json")


def micros(entry, usage, *, provider="openai", **members):
    """Millionths of a dollar, or why that is not known."""
    purchase = purchase_of(provider, "m", usage, **members)
    measured = measure(purchase)
    card = table(m=entry).card(purchase, measured)
    parts = card if isinstance(card, str) else bill(measured, card)
    return parts if isinstance(parts, str) else sum(part.usd for part in parts) * 10**6


def test_a_plain_entry_is_input_and_output():
    assert micros(PLAIN, usage_of(100, 10)) == 140


def test_cached_tokens_have_their_own_price():
    assert micros(LONG, usage_of(1000, 100, cached_input_tokens=400)) == 1500 + 100 + 1500


def test_cache_writes_have_a_price_for_each_of_their_times():
    entry = PLAIN | {
        "cache_creation_input_token_cost": m(1.25),
        "cache_creation_input_token_cost_above_1hr": m(2),
        "cache_creation_input_token_cost_above_200k_tokens": m(2.5),
        "cache_creation_input_token_cost_above_1hr_above_200k_tokens": m(4),
    }
    raw = {"cache_creation": {"ephemeral_1h_input_tokens": 100}}

    assert micros(entry, usage_of(300, 0, cache_write_input_tokens=300, raw=raw)) == 250 + 200
    assert micros(entry, usage_of(200300, 0, cache_write_input_tokens=300, raw=raw)) == 200000 + 500 + 400


@pytest.mark.parametrize(("tokens", "dollars"), [(272000, 680000), (272001, 1360005)])
def test_beyond_a_length_each_token_has_the_other_price(tokens, dollars):
    assert micros(LONG, usage_of(tokens, 0)) == dollars


def test_the_highest_threshold_that_is_crossed_counts():
    entry = PLAIN | {"input_cost_per_token_above_128k_tokens": m(2), "input_cost_per_token_above_256k_tokens": m(3)}

    assert [micros(entry, usage_of(k * 1000, 0)) for k in (100, 200, 300)] == [100000, 400000, 900000]


def test_what_has_no_price_beyond_a_length_keeps_its_own_one_there():
    entry = PLAIN | {"input_cost_per_token_above_200k_tokens": m(2), "cache_read_input_token_cost": m(0.5)}

    assert micros(entry, usage_of(300000, 0, cached_input_tokens=100000)) == 400000 + 50000


def test_the_threshold_of_xai_is_inclusive():
    entry = PLAIN | {"input_cost_per_token_above_200k_tokens": m(2)}

    assert micros(entry, usage_of(200000, 0), provider="xai") == 400000
    assert micros(entry, usage_of(200000, 0), provider="openai") == 200000


@pytest.mark.parametrize(("tier", "expected"), [("batch", 200), ("flex", 200), ("priority", 800), ("default", 400)])
def test_a_tier_has_its_own_prices(tier, expected):
    assert micros(LONG, usage_of(100, 10), tier=tier) == expected


@pytest.mark.parametrize(
    ("usage", "tier", "reason"),
    [
        (usage_of(100, 10, cached_input_tokens=5), "batch", "no_price_for:cache_read"),
        (usage_of(300000, 10), "priority", "no_price_for:output"),
        (usage_of(100, 10), "ultrafast", "no_price_for_tier:ultrafast"),
        (usage_of(100, 10), "scale", "no_price_for_tier:scale"),
    ],
)
def test_what_has_no_price_in_a_tier_is_unknown_there(usage, tier, reason):
    assert micros(LONG, usage, tier=tier) == reason


def test_audio_reasoning_and_images_have_their_own_prices():
    entry = PLAIN | {
        "input_cost_per_audio_token": m(10),
        "output_cost_per_audio_token": m(20),
        "output_cost_per_reasoning_token": m(3),
        "output_cost_per_image_token": m(40),
    }
    raw = {"output_tokens_details": {"image_tokens": 5}}
    usage = usage_of(10, 30, audio_input_tokens=4, audio_output_tokens=6, reasoning_output_tokens=7, raw=raw)

    assert micros(entry, usage) == 6 + 40 + 12 * 4 + 6 * 20 + 7 * 3 + 5 * 40


def test_seconds_characters_images_requests_and_searches_are_charged():
    searches = {"search_context_size_low": 0.008, "search_context_size_medium": 0.01, "search_context_size_high": 0.012}

    assert micros({"input_cost_per_second": 0.0001}, None, audio_s=Decimal(30)) == 3000
    assert micros({"input_cost_per_character": m(15), "mode": "audio_speech"}, None, characters=10) == 150
    assert micros({"output_cost_per_image": 0.04, "mode": "image_generation"}, None, images=2) == 80000
    assert micros(PLAIN | {"input_cost_per_request": 0.005}, usage_of(1, 0)) == 5001
    raw = {"server_tool_use": {"web_search_requests": 2}}
    assert micros(PLAIN | {"search_context_cost_per_query": searches}, usage_of(1, 0, raw=raw)) == 20001


def test_the_zero_beside_the_price_of_a_second_is_no_price():
    entry = {"input_cost_per_second": 0.0000308, "output_cost_per_second": 0.0, "mode": "audio_transcription"}

    assert micros(entry, None, audio_s=Decimal(10)) == 308


def test_zeros_of_a_transcription_are_unknown_but_an_entry_of_nothing_but_zeros_is_free():
    zeros = {"input_cost_per_token": 0, "output_cost_per_token": 0, "mode": "audio_transcription"}

    assert micros(zeros | {"input_cost_per_second": 0.0001}, usage_of(5, 5)) == "zero_price"
    assert micros(zeros, usage_of(5, 5)) == 0


def test_the_prices_of_a_range_are_those_of_the_whole_call():
    tiers = [
        {"range": [0, 32000], "input_cost_per_token": m(1), "output_cost_per_token": m(5)},
        {"range": [32000, 128000], "input_cost_per_token": m(2), "output_cost_per_token": m(10)},
    ]
    entry = {"tiered_pricing": tiers, "mode": "chat"}

    assert [micros(entry, usage_of(n, 10)) for n in (32000, 32001, 200000)] == [32050, 64102, 400100]


@pytest.mark.parametrize(
    ("hours", "clock", "expected"),
    [
        ("16:30-00:30", 17, 50),
        ("16:30-00:30", 0, 50),
        ("16:30-00:30", 16, 100),
        (["01:00-04:00", "06:00-10:00"], 6, 50),
        (["01:00-04:00", "06:00-10:00"], 10, 100),
        ("00:00-00:00", 3, 50),
        ("nonsense", 3, 100),
        (None, 3, 100),
    ],
)
def test_a_price_can_be_lower_at_a_time_of_the_day(hours, clock, expected):
    entry = PLAIN | {"off_peak_pricing": {"hours_utc": hours, "input_cost_per_token": m("0.5")}}
    at = datetime(2026, 11, 25, clock, tzinfo=UTC).astimezone(timezone(timedelta(hours=9)))

    assert micros(entry, usage_of(100, 0), at=at) == expected


def test_a_price_that_depends_on_the_day_of_the_week_is_unknown():
    entry = PLAIN | {"off_peak_pricing": {"windows": [{"hours_utc": "16:30-00:30", "weekdays": ["sat"]}]}}

    assert micros(entry, usage_of(100, 0)) == "price_depends_on_weekday"


def test_an_entry_without_prices_is_unknown():
    assert micros({"max_tokens": 100, "mode": "chat"}, usage_of(1, 1)) == "entry_without_prices"


@pytest.mark.parametrize(
    ("provider", "model", "entry"),
    [
        ("openai", "gpt-4o", "gpt-4o"),
        ("openai", "GPT-4o", "gpt-4o"),
        ("azure", "gpt-4o", "azure/gpt-4o"),
        ("google", "models/gemini-2.5-pro", "gemini/gemini-2.5-pro"),
        ("google", "gemini-2.5-flash", "gemini-2.5-flash"),
        ("bedrock", "anthropic.claude-x-v1:0", "anthropic.claude-x-v1:0"),
        ("together", "meta-llama/L", "together_ai/meta-llama/L"),
        ("openai", "ft:gpt-4o-mini-2024-07-18:acme::abc", "ft:gpt-4o-mini-2024-07-18"),
        (None, "house-model", "house-model"),
        ("vllm", "house-model", "house-model"),
    ],
)
def test_an_entry_is_found_by_the_names_that_litellm_gives_it(provider, model, entry):
    overrides = table(**{
        "gpt-4o": PLAIN | {"litellm_provider": "openai"},
        "azure/gpt-4o": PLAIN | {"litellm_provider": "azure"},
        "gemini/gemini-2.5-pro": PLAIN | {"litellm_provider": "gemini"},
        "gemini-2.5-flash": PLAIN | {"litellm_provider": "vertex_ai-language-models"},
        "anthropic.claude-x-v1:0": PLAIN | {"litellm_provider": "bedrock_converse"},
        "together_ai/meta-llama/L": PLAIN | {"litellm_provider": "together_ai"},
        "ft:gpt-4o-mini-2024-07-18": PLAIN | {"litellm_provider": "openai"},
        "house-model": PLAIN,
    })  # fmt: skip
    purchase = purchase_of(provider, model, usage_of(1, 1))

    assert overrides.card(purchase, measure(purchase)).entry == entry


@pytest.mark.parametrize(
    ("provider", "model"), [("azure", "gpt-4o"), (None, "gpt-4o"), ("openai", "gpt-4"), ("x", None)]
)
def test_the_entry_of_another_provider_is_not_taken(provider, model):
    purchase = purchase_of(provider, model, usage_of(1, 1))

    overrides = table(**{"gpt-4o": PLAIN | {"litellm_provider": "openai"}})

    assert overrides.card(purchase, measure(purchase)) == "unknown_model"


def test_without_a_table_every_model_is_unknown():
    purchase = purchase_of("openai", "gpt-4o", usage_of(1, 1))

    assert NO_OVERRIDES.card(purchase, measure(purchase)) == "unknown_model"


def test_the_sample_in_the_file_is_no_model():
    assert table(sample_spec={"input_cost_per_token": "a text"}).entries == {}


def test_prices_are_the_digits_of_the_file():
    overrides = parse_overrides(b'{"m": {"input_cost_per_token": 0.1234567890123456789e-6}}', "prices.json")

    purchase = purchase_of("openai", "m", usage_of(1, 0))
    [part] = bill(measure(purchase), overrides.card(purchase, measure(purchase)))

    assert part.usd == Decimal("0.1234567890123456789e-6")


def test_the_version_is_that_of_the_content():
    assert table(m=PLAIN).version == table(m=PLAIN).version != table(m=LONG).version


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"{", "prices.json: is no JSON: "),
        (b"[" * 100_000, "prices.json: is no JSON: "),
        (b"[]", "prices.json: must be an object with an entry for each model"),
        (b'{"m": 5}', "prices.json: m: must be an object"),
        (b'{"m": {"input_cost_per_token": "cheap"}}', "prices.json: m: input_cost_per_token: must be a number"),
        (b'{"m": {"input_cost_per_token": -1}}', "prices.json: m: input_cost_per_token: must be a number"),
        (b'{"m": {"output_cost_per_token": true}}', "prices.json: m: output_cost_per_token: must be a number"),
        (b'{"m": {"cache_read_input_token_cost": NaN}}', "prices.json: is no JSON: NaN is no price"),
        (b'{"m": {"tiered_pricing": [{"input_cost_per_token": "x"}]}}', "prices.json: m: input_cost_per_token: must"),
    ],
)
def test_a_file_that_is_wrong_is_refused_in_a_line_that_says_where(raw, message):
    with pytest.raises(ConfigError) as refused:
        parse_overrides(raw, "prices.json")

    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_a_price_may_be_a_text_as_it_comes_from_yaml():
    assert micros(PLAIN | {"input_cost_per_token": "3e-7"}, usage_of(10, 0)) == 3


def test_a_threshold_may_be_written_out():
    entry = PLAIN | {"input_cost_per_token_above_128000_tokens": m(2)}

    assert [micros(entry, usage_of(tokens, 0)) for tokens in (128000, 128001)] == [128000, 256002]


def test_cached_audio_has_a_price_under_both_of_its_names():
    details = {"input_token_details": {"cached_tokens_details": {"audio_tokens": 4}}}
    usage = usage_of(10, 0, cached_input_tokens=4, audio_input_tokens=4, raw=details)

    for name in ("cache_read_input_audio_token_cost", "cache_read_input_token_cost_per_audio_token"):
        assert micros(PLAIN | {name: m(2)}, usage) == 6 + 8


def test_a_price_of_null_is_none():
    assert micros(PLAIN | {"cache_creation_input_token_cost": None}, usage_of(2, 0, cache_write_input_tokens=1)) == (
        "no_price_for:cache_write"
    )


@given(
    entry=st.dictionaries(
        st.sampled_from(
            [
                "input_cost_per_token",
                "input_cost_per_token_above_1k_tokens",
                "output_cost_per_second",
                "search_context_cost_per_query",
                "tiered_pricing",
                "off_peak_pricing",
                "litellm_provider",
                "mode",
            ]
        ),
        json_values
        | st.lists(st.fixed_dictionaries({"range": json_values, "input_cost_per_token": st.integers(0, 9)}))
        | st.fixed_dictionaries({"hours_utc": json_values}),
    )
)
def test_an_entry_of_any_shape_is_refused_or_has_a_price_or_has_none(entry):
    try:
        overrides = parse_overrides(encode_json({"m": entry}), "prices.json")
    except ConfigError:
        return
    purchase = purchase_of(None, "m", usage_of(5000, 10, raw={"server_tool_use": {"web_search_requests": 1}}))
    card = overrides.card(purchase, measure(purchase))

    assert isinstance(card, str) or bill(measure(purchase), card)
