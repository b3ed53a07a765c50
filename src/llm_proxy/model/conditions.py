"""Whether a call meets a condition, as the store decides it, for a call that is at hand. Pure functions."""

import operator
from collections.abc import Callable
from typing import Any

from llm_proxy.model.completion import Completion, Usage
from llm_proxy.model.query import NUMBERS, Attribute, Comparison, Condition

_COMPARE: dict[Comparison, Callable[[Any, Any], bool]] = {
    Comparison.IS: operator.eq,
    Comparison.IS_NOT: operator.ne,
    Comparison.ABOVE: operator.gt,
    Comparison.AT_LEAST: operator.ge,
    Comparison.BELOW: operator.lt,
    Comparison.AT_MOST: operator.le,
}


def holds(condition: Condition, completion: Completion) -> bool:
    """Whether ``completion`` meets ``condition``; what is unknown only is not."""
    if condition.of in NUMBERS:
        number = _number(condition.of, completion)
        if number is None:
            return condition.comparison is Comparison.IS_NOT
        return _COMPARE[condition.comparison](number, condition.value)
    value, known = str(condition.value), _texts(condition.of, completion)
    found = value in known
    if condition.of is Attribute.KEY:
        found = any(text.endswith(value) for text in known)
    return found is (condition.comparison is Comparison.IS)


def _number(of: Attribute, completion: Completion) -> float | None:
    usage = completion.usage or Usage()
    given, answered = usage.input_tokens, usage.output_tokens
    both = None if given is None or answered is None else given + answered
    cost = completion.cost.usd if completion.cost else None
    return {
        Attribute.HTTP: completion.http_status,
        Attribute.LATENCY: completion.duration_s,
        Attribute.TTFT: completion.ttft_s,
        Attribute.TOKENS: both if usage.total_tokens is None else usage.total_tokens,
        Attribute.INPUT: given,
        Attribute.OUTPUT: answered,
        Attribute.COST: None if cost is None else float(cost),
        Attribute.CALLS: None,  # which are those of a group
    }[of]


def _texts(of: Attribute, completion: Completion) -> tuple[str, ...]:
    context = completion.context
    if of is Attribute.TAG:
        return context.tags
    one: dict[Attribute, tuple[str | None, ...]] = {
        Attribute.MODEL: (completion.model, completion.response_model),
        Attribute.STATUS: (completion.status.value,),
        Attribute.USER: (context.user_id,),
        Attribute.SESSION: (context.session_id,),
        Attribute.TRACE: (context.trace_id,),
        Attribute.PROJECT: (completion.project_id,),
        Attribute.PROVIDER: (completion.provider,),
        Attribute.UPSTREAM: (completion.upstream,),
        Attribute.KEY: (completion.key_fingerprint,),
        Attribute.ENDPOINT: (completion.endpoint.value,),
        Attribute.ENDING: (completion.ending.value if completion.ending else None,),
        Attribute.ERROR: (completion.failure_kind,),
    }
    return tuple(text for text in one[of] if text is not None)
