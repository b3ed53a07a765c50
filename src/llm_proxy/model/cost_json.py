"""A cost as JSON and back, exactly: amounts are decimal numbers as text, since readers round a JSON number."""

from decimal import Decimal
from typing import Annotated, TypedDict

import msgspec
from msgspec import Meta

from llm_proxy.model.completion import Cost, CostPart, CostSource, JsonValue

#: Digits before and behind the point of an amount that a file or an answer tells: 1e999999999 is gigabytes, written.
MAX_DIGITS_TOLD = 50
#: The same for what was computed of such amounts and whatever was counted.
MAX_DIGITS = 400


class CostPartFields(TypedDict):
    """What one kind of consumption costs: ``quantity`` times ``rate``."""

    name: str
    quantity: int | str
    rate: str
    usd: str


class CostFields(TypedDict):
    """What it costs in USD, as decimal text, and where the price comes from; or, in ``reason``, why that is unknown."""

    usd: str | None
    source: Annotated[str, Meta(extra_json_schema={"enum": [*CostSource]})] | None
    version: str | None
    entry: str | None
    reason: str | None
    parts: list[CostPartFields]


def cost_json(cost: Cost) -> CostFields:
    """``cost`` as JSON."""
    return {
        "usd": None if cost.usd is None else decimal_text(cost.usd),
        "source": cost.source.value if cost.source else None,
        "version": cost.version,
        "entry": cost.entry,
        "reason": cost.reason,
        "parts": [_part(part) for part in cost.parts],
    }


def cost_from_json(value: JsonValue) -> Cost:
    """The cost that ``cost_json`` made ``value`` of. Raises ValueError if it is none."""
    cost = msgspec.convert(value, Cost)
    amounts = [] if cost.usd is None else [cost.usd]
    for part in cost.parts:
        amounts += [Decimal(part.quantity), part.rate, part.usd]
    if not all(map(is_writable, amounts)):
        raise ValueError("an amount of its cost is out of range")
    return cost


def is_writable(amount: Decimal, *, digits: int = MAX_DIGITS) -> bool:
    """Whether it is 0 or more, finite, and has no more than so many digits on each side of the point."""
    if not amount.is_finite() or amount < 0:
        return False
    exponent = amount.as_tuple().exponent
    return amount.adjusted() < digits and isinstance(exponent, int) and exponent >= -digits


def decimal_text(amount: Decimal) -> str:
    """``amount`` without an exponent."""
    return format(amount, "f")


def _part(part: CostPart) -> CostPartFields:
    quantity = part.quantity
    return {
        "name": part.name,
        "quantity": quantity if isinstance(quantity, int) else decimal_text(quantity),
        "rate": decimal_text(part.rate),
        "usd": decimal_text(part.usd),
    }
