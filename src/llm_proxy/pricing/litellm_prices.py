"""The operator's own prices, in the JSON shape of LiteLLM's ``model_prices_and_context_window.json``.

The keys of an entry and what they mean are LiteLLM's (https://docs.litellm.ai/docs/provider_registration/add_model_pricing
and its cost calculator): ``_above_200k_tokens`` is the price of every token once the input is longer than that,
``_batches``, ``_flex`` and ``_priority`` that of a tier. Other than there, a tier, audio or a cache write that an entry
has no price for is unknown, not charged as something else.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from llm_proxy.errors import ConfigError
from llm_proxy.model.cost_json import MAX_DIGITS_TOLD, is_writable
from llm_proxy.pricing.meter import Purchase, tier_of
from llm_proxy.pricing.rates import FALLBACKS, FALLBACKS_IN_A_TIER, FALLBACKS_OF_GOOGLE, Measured, Part, RateCard

#: Explains the shape; no model.
_SAMPLE = "sample_spec"
_KEYS = {
    Part.INPUT: "input_cost_per_token",
    Part.CACHE_READ: "cache_read_input_token_cost",
    Part.CACHE_WRITE: "cache_creation_input_token_cost",
    Part.CACHE_WRITE_1H: "cache_creation_input_token_cost_above_1hr",
    Part.INPUT_AUDIO: "input_cost_per_audio_token",
    Part.CACHE_READ_AUDIO: "cache_read_input_audio_token_cost",
    Part.CACHE_READ_IMAGE: "cache_read_input_image_token_cost",
    Part.INPUT_IMAGE: "input_cost_per_image_token",
    Part.OUTPUT: "output_cost_per_token",
    Part.REASONING: "output_cost_per_reasoning_token",
    Part.OUTPUT_AUDIO: "output_cost_per_audio_token",
    Part.OUTPUT_IMAGE: "output_cost_per_image_token",
    Part.CHARACTERS: "input_cost_per_character",
    Part.IMAGES: "output_cost_per_image",
    Part.REQUESTS: "input_cost_per_request",
}
#: How entries of Gemini call it.
_CACHED_AUDIO_OF_GEMINI = "cache_read_input_token_cost_per_audio_token"
#: A recording is charged by one of them; the other one is zero or repeats it.
_SECONDS = ("input_cost_per_second", "output_cost_per_second")
_SEARCHES = "search_context_cost_per_query"
_SEARCH = "search_context_size_medium"
_TIERS = {"batch": "_batches", "flex": "_flex", "priority": "_priority", "fast": "_priority", "ultrafast": "_ultrafast"}
_COST = re.compile(r"(_cost|_cost_per_)")
_THRESHOLD = re.compile(r"_above_(\d+)(k?)_tokens")
_OFF_PEAK = "off_peak_pricing"
_WINDOW = re.compile(r"\s*(\d\d:\d\d)\s*-\s*(\d\d:\d\d)\s*")
#: What LiteLLM calls the providers that it has another name for.
_LITELLM_NAMES = {
    "azure": ("azure", "azure_ai"),
    "bedrock": ("bedrock_converse", "bedrock"),
    "fireworks": ("fireworks_ai",),
    "google": ("gemini", "vertex_ai"),
    "moonshot": ("moonshot",),
    "nvidia": ("nvidia_nim",),
    "together": ("together_ai",),
    "vllm": ("hosted_vllm", "vllm"),
}
#: Where a price begins at its threshold, and not above it.
_INCLUSIVE = "xai"
_AUDIO_MODES = frozenset({"audio_transcription", "audio_speech", "realtime"})

_Entry = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """A table of prices."""

    #: By the name of the model in lower case; with the name as the file has it.
    entries: Mapping[str, tuple[str, _Entry]] = field(default_factory=dict)
    #: ``sha256:`` and the beginning of the file's.
    version: str | None = None

    def card(self, purchase: Purchase, measured: Measured) -> RateCard | str:
        """The rates for ``purchase``, or why there are none."""
        provider = purchase.provider or ""
        for name, needs_provider in _names(purchase):
            stated, entry = self.entries.get(name.lower(), (name, None))
            if entry is not None and (not needs_provider or _is_of(entry, provider)):
                return _card(stated, entry, purchase, measured)
        return "unknown_model"


NO_OVERRIDES = Overrides()


def parse_overrides(raw: bytes, origin: str) -> Overrides:
    """The table in ``raw``, the contents of the file ``origin``. Raises ConfigError, in a line that says where."""
    try:
        table = json.loads(raw, parse_float=Decimal, parse_int=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"{origin}: is no JSON: {exc}") from exc
    if not isinstance(table, dict):
        raise ConfigError(f"{origin}: must be an object with an entry for each model")
    entries = {}
    for name, entry in table.items():
        if name != _SAMPLE:
            entries[name.lower()] = (name, _checked(entry, f"{origin}: {name}"))
    return Overrides(entries=entries, version=f"sha256:{hashlib.sha256(raw).hexdigest()[:12]}")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no price")


def _checked(entry: Any, where: str) -> _Entry:
    if not isinstance(entry, dict):
        raise ConfigError(f"{where}: must be an object")
    cheaper = entry.get(_OFF_PEAK)
    for part in [entry, *_price_tiers(entry), *([cheaper] if isinstance(cheaper, dict) else [])]:
        for key, value in part.items():
            if _COST.search(key) and not isinstance(value, dict | list | None):
                part[key] = _price(value, f"{where}: {key}")
    return entry


def _price(value: Any, where: str) -> Decimal:
    """A price; as a text as well, since that is what becomes of 3e-7 on its way through YAML."""
    try:
        price = Decimal(value) if isinstance(value, str | Decimal) else Decimal("NaN")
    except InvalidOperation:
        price = Decimal("NaN")
    if not is_writable(price, digits=MAX_DIGITS_TOLD):
        raise ConfigError(f"{where}: must be a number of dollars, 0 or more")
    return price


def _names(purchase: Purchase) -> list[tuple[str, bool]]:
    """Under which names the model may stand, and whether its entry must be of the provider."""
    provider = purchase.provider
    prefixes = [] if provider is None else [*_LITELLM_NAMES.get(provider, ()), provider]
    names = []
    for model in purchase.models:
        bare = model.removeprefix("models/")
        base = ":".join(bare.split(":")[:2]) if bare.startswith("ft:") else bare
        for one in dict.fromkeys((bare, base)):
            names += [(f"{prefix}/{one}", False) for prefix in prefixes] + [(one, True)]
    return names


def _is_of(entry: _Entry, provider: str) -> bool:
    """Whether an entry without its provider's name before that of the model is meant for ``provider``."""
    stated = entry.get("litellm_provider")
    if not isinstance(stated, str):
        return True
    return any(name in stated.lower() for name in (*_LITELLM_NAMES.get(provider, ()), provider) if name)


def _card(name: str, entry: _Entry, purchase: Purchase, measured: Measured) -> RateCard | str:
    tier = tier_of(purchase)
    if tier is not None and tier not in _TIERS:
        return f"no_price_for_tier:{tier}"
    suffix = _TIERS[tier] if tier else ""
    cheaper = entry.get(_OFF_PEAK)
    if isinstance(cheaper, dict) and "windows" in cheaper:
        return "price_depends_on_weekday"
    entry = _at_time(_of_length(entry, measured.input_tokens), purchase.at)
    inclusive = _INCLUSIVE in (purchase.provider or "", entry.get("litellm_provider"))
    rates = {
        part: rate
        for part, key in _KEYS.items()
        if (rate := _rate(entry, key, suffix, measured.input_tokens, inclusive=inclusive)) is not None
    }
    if suffix and Part.INPUT not in rates and Part.OUTPUT not in rates:
        return f"no_price_for_tier:{tier}"
    if Part.CACHE_READ_AUDIO not in rates and isinstance(entry.get(_CACHED_AUDIO_OF_GEMINI), Decimal) and not suffix:
        rates[Part.CACHE_READ_AUDIO] = entry[_CACHED_AUDIO_OF_GEMINI]
    seconds = [rate for key in _SECONDS if isinstance(rate := entry.get(key), Decimal)]
    if seconds:
        rates[Part.AUDIO_SECONDS] = max(seconds)
    searches = entry.get(_SEARCHES)
    if isinstance(searches, dict) and isinstance(searches.get(_SEARCH), Decimal):
        rates[Part.WEB_SEARCHES] = searches[_SEARCH]
    if not rates:
        return "entry_without_prices"
    fallbacks = FALLBACKS_IN_A_TIER if suffix else FALLBACKS
    if purchase.provider == "google":
        fallbacks = fallbacks | FALLBACKS_OF_GOOGLE
    return RateCard(entry=name, rates=rates, fallbacks=fallbacks, is_for_audio=str(entry.get("mode")) in _AUDIO_MODES)


def _rate(entry: _Entry, key: str, suffix: str, input_tokens: int, *, inclusive: bool) -> Decimal | None:
    """The price under ``key`` for an input of that length, in the tier of ``suffix``."""
    thresholds = [
        (int(match[1]) * (1000 if match[2] else 1), match[0])
        for name in entry
        if name.startswith(key) and (match := _THRESHOLD.fullmatch(name[len(key) :].removesuffix(suffix)))
    ]
    reached = [(limit, text) for limit, text in thresholds if input_tokens > limit - inclusive]
    above = max(reached)[1] if reached else ""
    rate = entry.get(f"{key}{above}{suffix}")
    return rate if isinstance(rate, Decimal) else None


def _of_length(entry: _Entry, input_tokens: int) -> _Entry:
    """``entry`` with the prices of its ``tiered_pricing`` for an input of that length."""
    tiers = _price_tiers(entry)
    if not tiers:
        return entry
    return entry | next((tier for tier in tiers if input_tokens <= _end_of(tier)), tiers[-1])


def _end_of(tier: _Entry) -> Decimal:
    """The last length in the ``range`` of a tier."""
    limits = tier.get("range")
    end = limits[-1] if isinstance(limits, list) and limits else None
    return end if isinstance(end, Decimal) and end.is_finite() else Decimal(0)


def _at_time(entry: _Entry, at: datetime) -> _Entry:
    """``entry`` with the prices of its ``off_peak_pricing`` if it is that time of the day."""
    block = entry.get(_OFF_PEAK)
    if not isinstance(block, dict):
        return entry
    hours = block.get("hours_utc")
    now = at.astimezone(UTC).strftime("%H:%M")
    windows = hours if isinstance(hours, list) else [hours]
    spans = [_WINDOW.fullmatch(window) for window in windows if isinstance(window, str)]
    # A window whose end is not later than its begin goes on to the next day.
    is_off_peak = any(
        span and (span[1] <= now < span[2] if span[1] < span[2] else now >= span[1] or now < span[2]) for span in spans
    )
    return entry | block if is_off_peak else entry


def _price_tiers(entry: _Entry) -> list[_Entry]:
    tiers = entry.get("tiered_pricing")
    return [tier for tier in tiers if isinstance(tier, dict)] if isinstance(tiers, list) else []
