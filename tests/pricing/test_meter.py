from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_proxy.model.completion import Usage
from llm_proxy.pricing.meter import CONTRADICTION, measure, tier_of
from llm_proxy.pricing.rates import Part
from pricing.purchases import purchase_of, usage_of
from records import json_values

counts = st.none() | st.integers(0, 1000)


def parts_of(usage: Usage | None, **members):
    measured = measure(purchase_of("p", "m", usage, **members))
    return measured if isinstance(measured, str) else {part: n for part, n in measured.quantities.items() if n}


def test_each_token_is_in_one_part():
    usage = usage_of(
        100,
        60,
        cached_input_tokens=30,
        cache_write_input_tokens=20,
        audio_output_tokens=10,
        reasoning_output_tokens=15,
        raw={"cache_creation": {"ephemeral_1h_input_tokens": 5}},
    )

    assert parts_of(usage) == {
        Part.INPUT: 50,
        Part.CACHE_READ: 30,
        Part.CACHE_WRITE: 15,
        Part.CACHE_WRITE_1H: 5,
        Part.OUTPUT: 35,
        Part.REASONING: 15,
        Part.OUTPUT_AUDIO: 10,
    }


def test_cache_writes_of_bedrock_are_split_by_their_time():
    # https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CacheDetail.html
    details = [{"ttl": "1h", "inputTokens": 7}, {"ttl": "5m", "inputTokens": 3}]

    assert parts_of(usage_of(10, 0, cache_write_input_tokens=10, raw={"cacheDetails": details})) == {
        Part.CACHE_WRITE: 3,
        Part.CACHE_WRITE_1H: 7,
    }


def test_cached_audio_of_the_realtime_api_is_taken_out_of_both():
    # https://platform.openai.com/docs/api-reference/realtime-server-events/response/done
    details = {"cached_tokens_details": {"text_tokens": 20, "audio_tokens": 10}}
    usage = usage_of(100, 0, cached_input_tokens=30, audio_input_tokens=40, raw={"input_token_details": details})

    assert parts_of(usage) == {
        Part.INPUT: 40,
        Part.INPUT_AUDIO: 30,
        Part.CACHE_READ: 20,
        Part.CACHE_READ_AUDIO: 10,
    }


def test_audio_of_which_an_unknown_share_was_cached_stays_with_the_input():
    measured = measure(purchase_of("p", "m", usage_of(100, 0, cached_input_tokens=30, audio_input_tokens=40)))

    assert (measured.quantities[Part.INPUT], measured.quantities[Part.CACHE_READ]) == (70, 30)
    assert measured.entangled == {Part.INPUT_AUDIO}


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        ({"type": "duration", "seconds": 9}, 9),
        ({"type": "duration", "seconds": 9.5}, Decimal("9.5")),
        ({"prompt_audio_seconds": 4}, 4),  # Mistral
        ({"type": "tokens", "seconds": 9}, None),
        ({"type": "duration", "seconds": "9"}, None),
        ({"type": "duration", "seconds": -1}, None),
    ],
)
def test_seconds_of_a_recording_are_read(raw, seconds):
    expected = "no_usage" if seconds is None else {Part.AUDIO_SECONDS: seconds}

    assert parts_of(Usage(raw=raw)) == expected


def test_what_the_usage_does_not_tell_comes_from_the_call():
    assert parts_of(None, characters=5, images=2, audio_s=Decimal(3)) == {
        Part.CHARACTERS: 5,
        Part.IMAGES: 2,
        Part.AUDIO_SECONDS: 3,
    }


@pytest.mark.parametrize(
    ("usage", "reason"),
    [
        (None, "no_usage"),
        (Usage(output_tokens=5), "no_usage"),
        (usage_of(5, None), "no_output_tokens"),
        (usage_of(5, None, total_tokens=7), "no_output_tokens"),
        (usage_of(5, 5, total_tokens=11), CONTRADICTION),
        (usage_of(5, 5, cached_input_tokens=3, cache_write_input_tokens=3), CONTRADICTION),
        (usage_of(5, 5, audio_output_tokens=3, reasoning_output_tokens=3), CONTRADICTION),
    ],
)
def test_counts_that_are_missing_or_contradict_each_other_are_no_basis(usage, reason):
    assert parts_of(usage) == reason


def test_a_total_that_is_less_than_its_parts_is_of_no_interest():
    assert parts_of(usage_of(5, 5, total_tokens=5)) == {Part.INPUT: 5, Part.OUTPUT: 5}


def test_an_input_that_is_the_total_had_no_output():
    assert parts_of(usage_of(5, None, total_tokens=5)) == {Part.INPUT: 5}


def test_thoughts_that_google_counts_in_the_total_alone_are_output():
    # prompt 20, completion 198, total 623: https://github.com/mozilla-ai/any-llm/issues/1290
    usage = usage_of(20, 198, total_tokens=623)

    google, other = (measure(purchase_of(provider, "m", usage)) for provider in ("google", "openai"))

    assert (google.quantities[Part.OUTPUT], other) == (603, CONTRADICTION)


@pytest.mark.parametrize(
    ("tier", "raw", "expected"),
    [
        (None, {}, None),
        ("default", {}, None),
        ("auto", {"service_tier": "batch"}, "batch"),
        ("Flex", {}, "flex"),
        (None, {"service_tier": "standard", "speed": "fast"}, "fast"),
        (None, {"service_tier": 5, "speed": None}, None),
        (None, {"trafficType": "ON_DEMAND"}, None),
        (None, {"trafficType": "PROVISIONED_THROUGHPUT"}, "provisioned_throughput"),
    ],
)
def test_the_tier_is_the_first_that_is_not_the_ordinary_one(tier, raw, expected):
    assert tier_of(purchase_of("p", "m", Usage(raw=raw), tier=tier)) == expected


@given(
    usage=st.builds(
        Usage,
        input_tokens=counts,
        output_tokens=counts,
        total_tokens=counts,
        cached_input_tokens=counts,
        cache_write_input_tokens=counts,
        audio_input_tokens=counts,
        audio_output_tokens=counts,
        reasoning_output_tokens=counts,
        raw=st.dictionaries(
            st.sampled_from(
                ["cache_creation", "cacheDetails", "cacheTokensDetails", "input_token_details", "seconds", "type"]
            ),
            json_values
            | st.just([{"ttl": "1h", "inputTokens": 9, "modality": "AUDIO", "tokenCount": 4}])
            | st.just({"ephemeral_1h_input_tokens": 3, "cached_tokens_details": {"audio_tokens": 2}}),
        ),
    )
)
def test_no_usage_however_wrong_is_charged_twice_or_below_zero(usage):
    measured = measure(purchase_of("p", "m", usage))

    if not isinstance(measured, str) and usage.input_tokens is not None:
        tokens = {part: n for part, n in measured.quantities.items() if part is not Part.AUDIO_SECONDS}
        assert all(quantity >= 0 for quantity in tokens.values())
        assert sum(tokens.values()) == usage.input_tokens + (usage.output_tokens or 0)
