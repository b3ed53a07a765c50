"""The one formula of money: what was consumed, part by part, times the rates of one entry of a price table.

Invariants: a part that was consumed and has no rate makes the whole unknown, never cheaper; money is Decimal from the
digits of the table to the sum, with 28 digits, and is never rounded to cents.
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

import msgspec

from llm_proxy.model.completion import CostPart


class Part(StrEnum):
    """A kind of consumption that can have a price of its own; none of them is part of another."""

    INPUT = "input"
    CACHE_READ = "cache_read"
    #: For five minutes, or for as long as the provider likes.
    CACHE_WRITE = "cache_write"
    CACHE_WRITE_1H = "cache_write_1h"
    INPUT_AUDIO = "input_audio"
    CACHE_READ_AUDIO = "cache_read_audio"
    INPUT_IMAGE = "input_image"
    CACHE_READ_IMAGE = "cache_read_image"
    OUTPUT = "output"
    REASONING = "reasoning"
    OUTPUT_AUDIO = "output_audio"
    OUTPUT_IMAGE = "output_image"
    AUDIO_SECONDS = "audio_seconds"
    CHARACTERS = "characters"
    IMAGES = "images"
    WEB_SEARCHES = "web_searches"
    REQUESTS = "requests"


Quantity = int | Decimal

#: What is charged as something else where a table does not name it: providers name a price that differs.
FALLBACKS = {
    Part.CACHE_READ: Part.INPUT,
    Part.CACHE_READ_IMAGE: Part.CACHE_READ,
    Part.INPUT_IMAGE: Part.INPUT,
    Part.REASONING: Part.OUTPUT,
}
#: Within a service tier, that a cached token costs what any other does is too bold a guess.
FALLBACKS_IN_A_TIER = {Part.INPUT_IMAGE: Part.INPUT, Part.REASONING: Part.OUTPUT}
#: Where audio costs what text does unless it is said otherwise (https://ai.google.dev/gemini-api/docs/pricing).
FALLBACKS_OF_GOOGLE = {Part.INPUT_AUDIO: Part.INPUT, Part.CACHE_READ_AUDIO: Part.CACHE_READ}


class RateCard(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a price table, resolved for one call: its time, its tier, the length of its input."""

    entry: str
    #: USD for one of each.
    rates: Mapping[Part, Decimal]
    fallbacks: Mapping[Part, Part] = msgspec.field(default_factory=lambda: FALLBACKS)
    #: Of a model that hears or speaks: tables have zeros there for what they do not know.
    is_for_audio: bool = False
    #: The shortest recording that is charged for.
    least_audio_s: int = 0

    def rate_of(self, part: Part) -> Decimal | None:
        """USD for one of ``part``; None if the entry does not say."""
        rate, seen = self.rates.get(part), part
        while rate is None and seen in self.fallbacks:
            seen = self.fallbacks[seen]
            rate = self.rates.get(seen)
        return rate


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What a call consumed."""

    quantities: Mapping[Part, Quantity]
    #: Parts that are known to be in there, but not how much of them was cached: they are counted with the others.
    entangled: frozenset[Part] = frozenset()
    #: All input tokens, by which long-context prices are chosen.
    input_tokens: int = 0


def bill(measured: Measured, card: RateCard) -> tuple[CostPart, ...] | str:
    """What each part costs, or why that is not known."""
    for part in measured.entangled:
        if card.rate_of(part) != card.rate_of(Part.INPUT):
            return f"no_split_of_cache:{part}"
    parts = []
    for part, quantity in _charged(measured, card).items():
        rate = card.rate_of(part)
        if rate is None:
            return f"no_price_for:{part}"
        parts.append(CostPart(name=part.value, quantity=quantity, rate=rate, usd=rate * quantity))
    if not parts:
        return "no_usage"
    if card.is_for_audio and not any(one.usd for one in parts) and any(card.rates.values()):
        return "zero_price"
    return tuple(parts)


def _charged(measured: Measured, card: RateCard) -> dict[Part, Quantity]:
    charged = {part: quantity for part, quantity in measured.quantities.items() if quantity}
    by_time = Part.AUDIO_SECONDS in charged and Part.AUDIO_SECONDS in card.rates
    by_image = Part.IMAGES in charged and Part.IMAGES in card.rates
    by_tokens = Part.INPUT in card.rates or Part.OUTPUT in card.rates
    if (by_time or by_image) and not by_tokens:  # then its tokens are for information
        charged = {part: charged[part] for part in (Part.AUDIO_SECONDS, Part.IMAGES) if part in charged}
    for part in (Part.AUDIO_SECONDS, Part.CHARACTERS, Part.IMAGES):
        if by_tokens and part not in card.rates and _has_tokens(measured):
            charged.pop(part, None)  # for information, too
    if Part.AUDIO_SECONDS in charged:
        charged[Part.AUDIO_SECONDS] = max(charged[Part.AUDIO_SECONDS], card.least_audio_s)
    if Part.REQUESTS in card.rates:
        charged[Part.REQUESTS] = 1
    if not charged and measured.quantities:
        charged = {part: 0 for part in (Part.INPUT, Part.OUTPUT) if part in card.rates}
    return charged


def _has_tokens(measured: Measured) -> bool:
    return bool(measured.quantities.get(Part.INPUT) or measured.quantities.get(Part.OUTPUT) or measured.input_tokens)
