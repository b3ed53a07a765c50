"""What an answer says of its own cost.

OpenRouter: ``usage.cost``, in credits, which are dollars; of a call with the caller's own key that is only the fee, and
``cost_details.upstream_inference_cost`` comes to it (https://openrouter.ai/docs/use-cases/usage-accounting).
xAI: ``usage.cost_in_usd_ticks``, 10^10 of which are a dollar (https://docs.x.ai/developers/cost-tracking).
Perplexity: ``usage.cost.total_cost`` (https://docs.perplexity.ai/api-reference/chat-completions-post).
LiteLLM: the header ``x-litellm-response-cost``, in which 0 stands for unknown
(https://docs.litellm.ai/docs/proxy/response_headers).
"""

from decimal import Decimal, InvalidOperation

from llm_proxy.model.completion import JsonObject, JsonValue
from llm_proxy.model.cost_json import MAX_DIGITS_TOLD, is_writable
from llm_proxy.model.exchange import RecordedHeaders

_TICKS_OF_A_DOLLAR = Decimal(10) ** 10
_HEADER = "x-litellm-response-cost"


def reported_usd(usage: JsonObject, headers: RecordedHeaders) -> Decimal | None:
    """The cost in USD that the usage object of an answer, or else its headers, tell; None if they tell none."""
    ticks = _amount(usage.get("cost_in_usd_ticks"))
    if ticks is not None:
        return ticks / _TICKS_OF_A_DOLLAR
    cost = usage.get("cost")
    if isinstance(cost, dict):
        return _amount(cost.get("total_cost"))
    told = _amount(cost)
    if told is not None:
        return told + _upstream(usage)
    lines = [value for name, value in headers if value is not None and name.lower() == _HEADER]
    return _amount(lines[-1].strip()) or None if lines else None


def _upstream(usage: JsonObject) -> Decimal:
    details = usage.get("cost_details")
    if usage.get("is_byok") is not True or not isinstance(details, dict):
        return Decimal(0)
    return _amount(details.get("upstream_inference_cost")) or Decimal(0)


def _amount(value: JsonValue) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if is_writable(amount, digits=MAX_DIGITS_TOLD) else None
