"""List prices of the providers: the table of the package ``genai-prices``, which comes with it and is never updated.

Only its table is used: which entry a name means, and that entry's prices at a time and in a tier. The arithmetic is
ours (``rates.py``), so that a part without a price makes the whole unknown instead of cheaper. The package is imported
at the first price: 30 MB and a quarter of a second, in no process that does not need it.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from importlib.metadata import version
from typing import Any

from llm_proxy.pricing.meter import Purchase, tier_of
from llm_proxy.pricing.rates import FALLBACKS, FALLBACKS_IN_A_TIER, FALLBACKS_OF_GOOGLE, Measured, Part, RateCard

_PACKAGE = "genai-prices"
#: What the package calls the providers that it has another name for.
_IDS = {"bedrock": "aws", "moonshot": "moonshotai", "xai": "x-ai"}
_HUGGINGFACE = "huggingface"
#: Prices per how many of what.
_PRICES = {
    "input_mtok": (Part.INPUT, 10**6),
    "cache_read_mtok": (Part.CACHE_READ, 10**6),
    "cache_write_mtok": (Part.CACHE_WRITE, 10**6),
    "cache_write_5m_mtok": (Part.CACHE_WRITE, 10**6),
    "cache_write_1h_mtok": (Part.CACHE_WRITE_1H, 10**6),
    "input_audio_mtok": (Part.INPUT_AUDIO, 10**6),
    "cache_audio_read_mtok": (Part.CACHE_READ_AUDIO, 10**6),
    "input_image_mtok": (Part.INPUT_IMAGE, 10**6),
    "cache_image_read_mtok": (Part.CACHE_READ_IMAGE, 10**6),
    "output_mtok": (Part.OUTPUT, 10**6),
    "output_reasoning_mtok": (Part.REASONING, 10**6),
    "output_audio_mtok": (Part.OUTPUT_AUDIO, 10**6),
    "output_image_mtok": (Part.OUTPUT_IMAGE, 10**6),
    "audio_hours": (Part.AUDIO_SECONDS, 3600),
    "input_audio_hours": (Part.AUDIO_SECONDS, 3600),
    "input_mchars": (Part.CHARACTERS, 10**6),
    "web_searches_kcount": (Part.WEB_SEARCHES, 1000),
}
#: A fee that depends on the request (Perplexity: on its search context), of which the table has only the largest.
_FEE = "requests_kcount"
_PER_TOKENS = "_mtok"
#: Models that hear or speak, by name; the package does not say it.
_AUDIO = re.compile(r"whisper|tts|transcri|audio|voxtral|speech|realtime")
#: Models whose entry has no price at all since they cost nothing (https://platform.openai.com/docs/guides/moderation).
_FREE = re.compile(r"(:free|^openai/moderation)$")
#: What Groq charges for at least, however short a recording is (https://groq.com/pricing).
_LEAST_SECONDS = 10
#: Of every token of a call to Anthropic that must not leave the United States
#: (https://platform.claude.com/docs/en/about-claude/pricing, "Data residency pricing").
_US_ONLY = Decimal("1.1")


@cache
def list_version() -> str:
    """The package and its version."""
    return f"{_PACKAGE} {version(_PACKAGE)}"


def list_card(purchase: Purchase, measured: Measured) -> RateCard | str:
    """The rates for ``purchase``, or why there are none."""
    names = list(_names(purchase))
    for provider, model in names:
        found = _find(provider, model)
        if found is not None:
            is_ordinary = tier_of(purchase) is None and not _is_bound_to_us(purchase)
            return (is_ordinary and _fixed_card(provider, model)) or _card(*found, purchase, measured)
    if not purchase.models:
        return "no_model"
    return "unknown_model" if any(_provider(provider) for provider, _ in names) else "unknown_provider"


def _names(purchase: Purchase) -> Iterable[tuple[str, str]]:
    provider = purchase.provider or ""
    for model in purchase.models:
        if provider == _HUGGINGFACE:
            # Which of its partners serves a model is said behind its name, and so is what it costs.
            name, _, partner = model.partition(":")
            yield f"{_HUGGINGFACE}_{partner}", name
        elif provider == "bedrock":
            yield "aws", model.rpartition("/")[2]  # of the ARN of an inference profile
        else:
            yield _IDS.get(provider, provider), model.rpartition("models/")[2] if provider == "google" else model


@lru_cache(maxsize=4096)
def _find(provider_id: str, model: str) -> tuple[Any, Any] | None:
    """Provider and model of the package."""
    provider = _provider(provider_id)
    found = provider.find_model(model, all_providers=_providers()) if provider else None
    return None if found is None else (provider, found)


@lru_cache(maxsize=4096)
def _fixed_card(provider_id: str, model: str) -> RateCard | str | None:
    """What ``_card`` says of every ordinary call of a model; None if that depends on its time or its length."""
    found = _find(provider_id, model)
    if found is None or isinstance(found[1].prices, list):
        return None
    if any(not isinstance(price, Decimal) for price in _prices(found[1].prices).values()):
        return None
    any_call = Purchase(usage=None, provider=provider_id, at=datetime.now(UTC))
    return _card(*found, any_call, Measured(quantities={}))


def _provider(provider_id: str) -> Any:
    # Not the package's find_provider(), which takes one whose name only resembles this.
    return next((one for one in _providers() if one.id == provider_id), None)


def _providers() -> list[Any]:
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415  heavy, see above

    return get_snapshot().providers


def _card(provider: Any, model: Any, purchase: Purchase, measured: Measured) -> RateCard | str:
    tier = tier_of(purchase)
    stated = _prices(model.get_prices(purchase.at))
    if tier is not None:
        special = _in_tier(provider, model, purchase, tier)
        if special is None:
            return f"no_price_for_tier:{tier}"
        # What the tier has no price for has none in it, but for what is not counted in tokens.
        stated = {key: value for key, value in stated.items() if not key.endswith(_PER_TOKENS)} | special
    entry = f"{provider.id}/{model.id}"
    if stated.get(_FEE):
        return "price_depends_on_request"
    rates = {}
    for key, (part, per) in _PRICES.items():
        if stated.get(key) is not None:
            rates[part] = _at_length(stated[key], measured.input_tokens) / per
    if not rates:
        if not _FREE.search(entry):
            return "entry_without_prices"
        rates = {Part.INPUT: Decimal(0), Part.OUTPUT: Decimal(0)}
    if provider.id == "anthropic" and _is_bound_to_us(purchase):
        rates = {part: rate * _US_ONLY if part is not Part.WEB_SEARCHES else rate for part, rate in rates.items()}
    if Part.OUTPUT_IMAGE not in rates and Part.OUTPUT in rates and "image" in model.id:
        rates[Part.OUTPUT_IMAGE] = rates[Part.OUTPUT]  # the only thing that it puts out
    fallbacks = FALLBACKS if tier is None else FALLBACKS_IN_A_TIER
    if provider.id == "google":
        fallbacks = fallbacks | FALLBACKS_OF_GOOGLE
    return RateCard(
        entry=entry,
        rates=rates,
        fallbacks=fallbacks,
        is_for_audio=bool(_AUDIO.search(model.id)),
        least_audio_s=_LEAST_SECONDS if entry.startswith("groq/whisper") else 0,
    )


def _in_tier(provider: Any, model: Any, purchase: Purchase, tier: str) -> dict[str, Any] | None:
    """The prices that the tier changes; None if the model is not sold in it."""
    if not any(model is own for own in provider.models):
        return None  # a model of another provider, whose tiers are not this one's
    wanted = {"processing": tier} if tier == "batch" else {"speed": tier} if tier == "fast" else {"service_tier": tier}
    also = {"service_tier": tier}
    for variant in model.price_variants or ():
        if variant.when in (wanted, also) and (variant.constraint is None or variant.constraint.active(purchase.at)):
            return _prices(variant.prices)
    return None


def _is_bound_to_us(purchase: Purchase) -> bool:
    return purchase.usage is not None and purchase.usage.raw.get("inference_geo") == "us"


def _prices(price: Any) -> dict[str, Any]:
    return {key: value for key, value in vars(price).items() if value is not None}


def _at_length(price: Any, input_tokens: int) -> Decimal:
    """A price that may depend on the length of the input; crossing a limit changes that of all tokens."""
    if isinstance(price, Decimal):
        return price
    reached = [tier.price for tier in price.tiers if input_tokens > tier.start]
    return Decimal(reached[-1] if reached else price.base)
