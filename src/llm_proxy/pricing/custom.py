"""What a caller says that its call costs: the header ``cf-aig-custom-cost``.

A JSON object with ``total_cost``, or with ``per_token_in`` and ``per_token_out`` for the tokens of the usage, in USD
(https://developers.cloudflare.com/ai-gateway/configuration/custom-costs/). What is not of that shape says nothing.
"""

import json
from decimal import Decimal

from llm_proxy.model.completion import Cost, CostPart, CostSource, JsonValue, Usage
from llm_proxy.model.cost_json import MAX_DIGITS_TOLD, is_writable
from llm_proxy.model.exchange import RecordedHeaders

HEADER = "cf-aig-custom-cost"
_MAX_CHARACTERS = 1024


def custom_cost(headers: RecordedHeaders, usage: Usage | None) -> Cost | None:
    """The cost that the headers of a request tell; None if they tell none, or the tokens are not known."""
    lines = [value for name, value in headers if value is not None and name.lower() == HEADER]
    if not lines:
        return None
    told = _object(lines[-1])
    total = _amount(told.get("total_cost"))
    if total is not None:
        return Cost(usd=total, source=CostSource.CALLER, entry=HEADER)
    counted = usage or Usage()
    parts: list[CostPart] = []
    for name, tokens, member in (
        ("input", counted.input_tokens, "per_token_in"),
        ("output", counted.output_tokens, "per_token_out"),
    ):
        rate = _amount(told.get(member))
        if rate is None or tokens is None:
            return None
        parts.append(CostPart(name=name, quantity=tokens, rate=rate, usd=rate * tokens))
    usd = sum((part.usd for part in parts), Decimal(0))
    return Cost(usd=usd, source=CostSource.CALLER, entry=HEADER, parts=tuple(parts))


def _object(text: str) -> dict[str, JsonValue]:
    try:
        value = json.loads(text, parse_float=str) if len(text) <= _MAX_CHARACTERS else None
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _amount(value: JsonValue) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        amount = Decimal(value)
    except ArithmeticError:
        return None
    return amount if is_writable(amount, digits=MAX_DIGITS_TOLD) else None
