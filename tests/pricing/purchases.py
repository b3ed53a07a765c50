"""Purchases for the tests of prices."""

from datetime import UTC, datetime
from typing import Any

from llm_proxy.model.completion import Usage
from llm_proxy.pricing.meter import Purchase

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def usage_of(input_tokens: int, output_tokens: int | None, **members: Any) -> Usage:
    total = None if output_tokens is None else input_tokens + output_tokens
    return Usage(**({"input_tokens": input_tokens, "output_tokens": output_tokens, "total_tokens": total} | members))


def purchase_of(provider: str | None, response_model: str | None, usage: Usage | None, **members: Any) -> Purchase:
    return Purchase(**({"provider": provider, "response_model": response_model, "usage": usage, "at": NOW} | members))
