from decimal import Decimal

import pytest
from hypothesis import given
from msgspec.structs import replace

from llm_proxy.model.completion import CostSource, Status, Usage
from llm_proxy.model.exchange import Endpoint
from llm_proxy.pricing.charge import cost_of, is_charged, purchase_of
from llm_proxy.pricing.litellm_prices import parse_overrides
from records import BODIES, bare, completions, record


def with_bodies(**different):
    """A record with other bodies; what begins with no name of theirs is of the record."""
    bodies = {name: different.pop(name) for name in ("request", "response", "response_headers") if name in different}
    return record(bodies=replace(BODIES, **bodies), **different)


def test_a_record_costs_what_its_usage_does():
    cost = cost_of(record(usage=Usage(input_tokens=1000, output_tokens=500, total_tokens=1500)))

    assert (cost.usd, cost.entry, cost.source) == (Decimal("0.0075"), "openai/gpt-4o", CostSource.LIST)


@pytest.mark.parametrize(
    ("completion", "charged"),
    [
        (record(), True),
        (record(usage=Usage(), bodies=None), True),
        (record(usage=None), False),
        (record(usage=None, endpoint=Endpoint.SPEECH), True),
        (record(usage=None, endpoint=Endpoint.IMAGES, status=Status.FAILED), False),
        (with_bodies(usage=None, response_headers=(("x-litellm-response-cost", "0.01"),)), True),
        (with_bodies(usage=None, response_headers=(("x-litellm-response-cost", "0.0"),)), False),
        (record(usage=None, endpoint=Endpoint.SPEECH, bodies=None), False),
        (bare(), False),
    ],
)
def test_what_has_nothing_to_be_priced_is_not_charged(completion, charged):
    assert is_charged(completion) is charged


def test_a_record_in_flight_has_no_cost_yet():
    assert cost_of(bare()).reason == "no_usage"


def test_the_tier_that_the_answer_names_counts():
    usage = Usage(input_tokens=1000, output_tokens=100)
    answered = {"response_model": "gpt-5", "usage": usage}

    flex = cost_of(with_bodies(response={"service_tier": "flex"}, **answered))
    ordinary = cost_of(with_bodies(response={"service_tier": "default"}, **answered))

    assert flex.usd * 2 == ordinary.usd == Decimal("0.00225")


@pytest.mark.parametrize(
    "answer",
    [
        {"response": {"serviceTier": {"type": "flex"}}},
        {"response": {}, "response_headers": (("X-Amzn-Bedrock-Service-Tier", "flex"),)},
    ],
)
def test_the_tier_of_bedrock_is_found_where_it_tells_it(answer):
    assert purchase_of(with_bodies(**answer)).tier == "flex"


def test_what_the_answer_says_of_its_cost_comes_before_the_list():
    usage = Usage(input_tokens=1000, output_tokens=500, raw={"cost": 0.001})
    header = (("x-litellm-response-cost", "0.002"),)

    in_usage = cost_of(record(usage=usage))
    in_header = cost_of(with_bodies(usage=replace(usage, raw={}), response_headers=header))

    assert (in_usage.usd, in_usage.source) == (Decimal("0.001"), CostSource.REPORTED)
    assert in_header.usd == Decimal("0.002")


def test_own_prices_come_before_the_list():
    overrides = parse_overrides(b'{"gpt-4o-2024-08-06": {"input_cost_per_token": 1, "output_cost_per_token": 1}}', "f")

    cost = cost_of(record(usage=Usage(input_tokens=2, output_tokens=3)), overrides=overrides)

    assert (cost.usd, cost.source) == (5, CostSource.OVERRIDE)


def test_a_speech_is_charged_by_its_characters():
    spoken = {"endpoint": Endpoint.SPEECH, "response_model": "tts-1", "usage": None}

    cost = cost_of(with_bodies(request={"input": "x" * 1000}, response={"bytes": 9}, **spoken))
    failed = cost_of(with_bodies(request={"input": "x" * 1000}, response=None, **spoken))

    assert cost.usd == Decimal("0.015")
    assert failed.reason == "no_usage"


def test_a_transcription_is_charged_by_its_duration():
    heard = {"endpoint": Endpoint.TRANSCRIPTION, "response_model": "whisper-1", "usage": None}

    assert cost_of(with_bodies(response={"duration": 90.0, "text": "a"}, **heard)).usd == Decimal("0.009")
    assert cost_of(with_bodies(response={"text": "a"}, **heard)).reason == "no_usage"


def test_images_are_counted():
    made = {"endpoint": Endpoint.IMAGES, "response_model": "flux", "usage": None}
    overrides = parse_overrides(b'{"flux": {"output_cost_per_image": 0.04, "mode": "image_generation"}}', "f")

    cost = cost_of(with_bodies(response={"data": [{"url": "a"}, {"url": "b"}]}, **made), overrides=overrides)

    assert cost.usd == Decimal("0.08")


@given(completions)
def test_every_possible_record_has_a_cost_or_a_reason(completion):
    cost = cost_of(completion)

    assert (cost.usd is None) == (cost.reason is not None)
    assert cost.usd is None or cost.usd >= 0
