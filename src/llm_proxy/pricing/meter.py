"""Usage → what is charged, each token in exactly one part.

What ``Usage`` has no member for is read from the provider's own object: how long a cache entry lives, images, searches.
Counts that contradict each other are no basis for a bill: the answer is a reason instead.
"""

from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from llm_proxy.model.completion import JsonObject, JsonValue, Usage
from llm_proxy.pricing.rates import Measured, Part, Quantity

CONTRADICTION = "usage_does_not_add_up"
_DETAILS_OF_INPUT = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
_DETAILS_OF_OUTPUT = ("completion_tokens_details", "output_tokens_details", "output_token_details")


class Purchase(msgspec.Struct, frozen=True, kw_only=True):
    """A call, as far as its price depends on it."""

    usage: Usage | None
    #: The model that the answer names, and the one that was asked for: the first that has a price counts.
    response_model: str | None = None
    model: str | None = None
    #: As in the table of providers; None if it is not known, and then no list price is.
    provider: str | None
    #: When the call began; aware.
    at: datetime
    #: ``service_tier`` of the answer, or ``batch``; None for what is in the usage, or the ordinary one.
    tier: str | None = None
    #: Of a text that was spoken.
    characters: int | None = None
    #: Images that were made.
    images: int | None = None
    #: Of a recording that was transcribed.
    audio_s: Decimal | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the model, the best one first."""
        if self.provider == "bedrock" and self.model:
            return (self.model,)  # it has the region in it, on which the price depends; an answer's own name has not
        return tuple(dict.fromkeys(filter(None, (self.response_model, self.model))))


def measure(purchase: Purchase) -> Measured | str:
    """What ``purchase`` consumed, or why that cannot be said."""
    usage = purchase.usage or Usage()
    others: dict[Part, Quantity | None] = {
        Part.AUDIO_SECONDS: _seconds(usage.raw) or purchase.audio_s,
        Part.CHARACTERS: purchase.characters,
        Part.IMAGES: purchase.images,
        Part.WEB_SEARCHES: _count(_object(usage.raw, "server_tool_use").get("web_search_requests")),
    }
    known = {part: quantity for part, quantity in others.items() if quantity}
    if usage.input_tokens is None:
        return Measured(quantities=known) if known else "no_usage"
    tokens = _tokens(_with_thoughts(usage) if purchase.provider == "google" else usage)
    if isinstance(tokens, str):
        return tokens
    parts, entangled = tokens
    if min(parts.values()) < 0:
        return CONTRADICTION
    return Measured(quantities=parts | known, entangled=entangled, input_tokens=usage.input_tokens)


def tier_of(purchase: Purchase) -> str | None:
    """The tier that the call was served in, None for the ordinary one.

    Anthropic tells it in the usage, ``speed`` and ``service_tier``, and Google as well, ``trafficType``.
    """
    raw = purchase.usage.raw if purchase.usage else {}
    for tier in (purchase.tier, raw.get("speed"), raw.get("service_tier"), raw.get("trafficType")):
        if isinstance(tier, str) and tier.lower() not in _ORDINARY:
            return tier.lower()
    return None


#: What providers call the tier that their list prices are for.
_ORDINARY = frozenset({"", "auto", "default", "on_demand", "standard", "standard_only", "traffic_type_unspecified"})


def _with_thoughts(usage: Usage) -> Usage:
    """The usage with Google's thoughts as output, which its OpenAI-compatible API counts in the total alone.

    https://ai.google.dev/gemini-api/docs/thinking#pricing: they are charged as output.
    """
    if usage.total_tokens is None or usage.input_tokens is None or usage.output_tokens is None:
        return usage
    return replace(usage, output_tokens=max(usage.output_tokens, usage.total_tokens - usage.input_tokens))


def _tokens(usage: Usage) -> tuple[dict[Part, Quantity], frozenset[Part]] | str:
    input_tokens = usage.input_tokens or 0
    output_tokens = usage.output_tokens
    if output_tokens is None:
        # Embeddings have no output; a stream that was cut off has one, and it is not known.
        if usage.total_tokens != input_tokens:
            return "no_output_tokens"
        output_tokens = 0
    if usage.total_tokens is not None and usage.total_tokens > input_tokens + output_tokens:
        return CONTRADICTION
    of_input, entangled = _input_parts(usage, input_tokens)
    return of_input | _output_parts(usage, output_tokens), entangled


def _input_parts(usage: Usage, input_tokens: int) -> tuple[dict[Part, Quantity], frozenset[Part]]:
    cached, written = usage.cached_input_tokens or 0, usage.cache_write_input_tokens or 0
    written_1h = _written_1h(usage.raw)
    of_text: dict[Part, Quantity] = {
        Part.INPUT: input_tokens - cached - written,
        Part.CACHE_READ: cached,
        Part.CACHE_WRITE: written - written_1h,
        Part.CACHE_WRITE_1H: written_1h,
    }
    media = {Part.INPUT_AUDIO: usage.audio_input_tokens or 0, Part.INPUT_IMAGE: _image_tokens(usage.raw, "prompt")}
    cached_media = {Part.INPUT_AUDIO: _cached(usage.raw, "audio"), Part.INPUT_IMAGE: _cached(usage.raw, "image")}
    if not any(media.values()) and not any(cached_media.values()):
        return of_text, frozenset()
    entangled = {part for part, tokens in media.items() if tokens and cached and cached_media[part] is None}
    apart = {part: tokens for part, tokens in media.items() if part not in entangled}
    cached_apart = {part: cached_media[part] or 0 for part in apart}
    fresh = {part: tokens - cached_apart[part] for part, tokens in apart.items()}
    of_media: dict[Part, Quantity] = {
        Part.INPUT: of_text[Part.INPUT] - sum(fresh.values()),
        Part.CACHE_READ: cached - sum(cached_apart.values()),
        Part.CACHE_READ_AUDIO: cached_apart.get(Part.INPUT_AUDIO, 0),
        Part.CACHE_READ_IMAGE: cached_apart.get(Part.INPUT_IMAGE, 0),
    }
    return of_text | of_media | fresh, frozenset(entangled)


def _output_parts(usage: Usage, output_tokens: int) -> dict[Part, Quantity]:
    reasoning, audio = usage.reasoning_output_tokens or 0, usage.audio_output_tokens or 0
    image = _image_tokens(usage.raw, "candidates")
    return {
        Part.OUTPUT: output_tokens - reasoning - audio - image,
        Part.REASONING: reasoning,
        Part.OUTPUT_AUDIO: audio,
        Part.OUTPUT_IMAGE: image,
    }


def _written_1h(raw: JsonObject) -> int:
    """Anthropic: ``cache_creation``; Bedrock: ``cacheDetails``."""
    details = raw.get("cacheDetails")
    by_ttl = [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []
    of_bedrock = sum(_count(one.get("inputTokens")) or 0 for one in by_ttl if one.get("ttl") == "1h")
    return _count(_object(raw, "cache_creation").get("ephemeral_1h_input_tokens")) or of_bedrock


def _image_tokens(raw: JsonObject, side: str) -> int:
    """OpenAI: ``image_tokens`` of the details; Google: those of the modality IMAGE."""
    keys = _DETAILS_OF_INPUT if side == "prompt" else _DETAILS_OF_OUTPUT
    for key in keys:
        if key in raw and (tokens := _count(_object(raw, key).get("image_tokens"))):
            return tokens
    return _of_modality(raw, f"{side}TokensDetails", "IMAGE") or 0


def _cached(raw: JsonObject, medium: str) -> int | None:
    """OpenAI: ``cached_tokens_details``; Google: ``cacheTokensDetails``."""
    for key in _DETAILS_OF_INPUT:
        details = _object(raw, key).get("cached_tokens_details") if key in raw else None
        if isinstance(details, dict):
            return _count(details.get(f"{medium}_tokens")) or 0
    return _of_modality(raw, "cacheTokensDetails", medium.upper())


def _of_modality(raw: JsonObject, key: str, modality: str) -> int | None:
    details = raw.get(key)
    if not isinstance(details, list):
        return None
    found = [one for one in details if isinstance(one, dict) and one.get("modality") == modality]
    return sum(_count(one.get("tokenCount")) or 0 for one in found)


def _seconds(raw: JsonObject) -> Decimal | None:
    """OpenAI: ``{"type": "duration", "seconds"}``; Mistral: ``prompt_audio_seconds``."""
    value = raw.get("seconds") if raw.get("type") == "duration" else raw.get("prompt_audio_seconds")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        return None
    return Decimal(str(value))


def _object(raw: JsonObject, key: str) -> JsonObject:
    found = raw.get(key)
    return found if isinstance(found, dict) else {}


def _count(value: JsonValue) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
