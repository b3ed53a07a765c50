"""From a record to its cost: what of it the price depends on. Pure; never fails for what a record holds."""

from decimal import Decimal

from msgspec.structs import replace

from llm_proxy.model.completion import Completion, Cost, CostSource, JsonObject, JsonValue, Status
from llm_proxy.model.exchange import Endpoint
from llm_proxy.pricing.custom import custom_cost
from llm_proxy.pricing.litellm_prices import NO_OVERRIDES, Overrides
from llm_proxy.pricing.meter import Purchase
from llm_proxy.pricing.price import price
from llm_proxy.pricing.reported import reported_usd

#: Where Bedrock tells the tier of an InvokeModel, which it does nowhere else.
_TIER_HEADER = "x-amzn-bedrock-service-tier"

#: Prices that are of tokens.
_BY_TOKENS = frozenset({CostSource.OVERRIDE, CostSource.LIST})
#: What is charged by another measure where no tokens are counted.
_WITHOUT_TOKENS = frozenset({Endpoint.SPEECH, Endpoint.IMAGES, Endpoint.TRANSCRIPTION})


def cost_of(completion: Completion, *, overrides: Overrides = NO_OVERRIDES, by_caller: bool = True) -> Cost:
    """What a call cost. A record without its bodies may lack what its price depends on besides usage: read it whole.

    ``by_caller`` is whether what its caller says of it counts, before everything else.
    """
    asked = completion.bodies.request_headers if completion.bodies and by_caller else ()
    told = custom_cost(asked, completion.usage) if asked else None
    if told is not None:
        return told
    headers = completion.bodies.response_headers if completion.bodies else ()
    usage = completion.usage.raw if completion.usage else {}
    cost = price(purchase_of(completion), reported_usd=reported_usd(usage, headers), overrides=overrides)
    is_guess = completion.usage is not None and completion.usage.is_estimated and cost.source in _BY_TOKENS
    return replace(cost, source=CostSource.ESTIMATE) if is_guess else cost


def is_charged(completion: Completion) -> bool:
    """Whether there is anything that a price could be of; cheap, for all that is not charged."""
    if completion.usage is not None:
        return True
    if completion.bodies is None or completion.status is not Status.FINISHED:
        return False
    if custom_cost(completion.bodies.request_headers, completion.usage) is not None:
        return True
    return completion.endpoint in _WITHOUT_TOKENS or reported_usd({}, completion.bodies.response_headers) is not None


def purchase_of(completion: Completion) -> Purchase:
    """The part of a record that its price depends on."""
    bodies = completion.bodies
    request, response = (bodies.request, bodies.response) if bodies else (None, None)
    endpoint = completion.endpoint
    return Purchase(
        usage=completion.usage,
        response_model=completion.response_model,
        model=completion.model,
        provider=completion.provider,
        at=completion.started_at,
        tier=_tier(completion, response),
        characters=_characters(request) if endpoint is Endpoint.SPEECH and response is not None else None,
        images=_images(response) if endpoint is Endpoint.IMAGES else None,
        audio_s=_seconds(response) if endpoint is Endpoint.TRANSCRIPTION else None,
    )


def _tier(completion: Completion, response: JsonValue) -> str | None:
    """OpenAI and Groq: ``service_tier``; Converse: ``serviceTier.type``."""
    answer = _object(response)
    for tier in (answer.get("service_tier"), _object(answer.get("serviceTier")).get("type")):
        if isinstance(tier, str):
            return tier
    headers = completion.bodies.response_headers if completion.bodies else ()
    return next((value for name, value in headers if name.lower() == _TIER_HEADER), None)


def _characters(request: JsonValue) -> int | None:
    text = _object(request).get("input")
    return len(text) if isinstance(text, str) else None


def _images(response: JsonValue) -> int | None:
    images = _object(response).get("data")
    return len(images) if isinstance(images, list) else None


def _seconds(response: JsonValue) -> Decimal | None:
    """The ``duration`` of a verbose transcription."""
    duration = _object(response).get("duration")
    if isinstance(duration, bool) or not isinstance(duration, int | float) or not 0 < duration < float("inf"):
        return None
    return Decimal(str(duration))


def _object(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}
