"""What calls took together. What is not known of one is not known of all, and said to be so much or more."""

from collections.abc import Sequence
from decimal import Decimal

from llm_proxy.model.completion import Completion, Status, Usage
from llm_proxy.ui import present

_OR_MORE = " or more"


def totals(calls: Sequence[Completion]) -> tuple[tuple[str, str], ...]:
    """Facts about these calls, of which there is one at least, oldest first."""
    first, last = calls[0], calls[-1]
    ended = (last.started_at - first.started_at).total_seconds() + (last.duration_s or 0)
    usages = [call.usage or Usage() for call in calls]
    return (
        ("Calls", present.count(len(calls))),
        ("Failed", present.count(sum(call.status is Status.FAILED for call in calls))),
        ("Tokens in", _sum([usage.input_tokens for usage in usages])),
        ("Tokens out", _sum([usage.output_tokens for usage in usages])),
        ("Cost", _cost([call.cost.usd if call.cost else None for call in calls])),
        ("Began", f"{first.started_at.astimezone():%Y-%m-%d %H:%M:%S}"),
        ("Took", present.duration(ended)),
    )


def _sum(numbers: list[int | None]) -> str:
    known = [number for number in numbers if number is not None]
    return (present.count(sum(known)) + ("" if len(known) == len(numbers) else _OR_MORE)) if known else present.DASH


def _cost(amounts: list[Decimal | None]) -> str:
    known = [amount for amount in amounts if amount is not None]
    if not known:
        return present.DASH
    return present.dollars_about(sum(known, Decimal(0))) + ("" if len(known) == len(amounts) else _OR_MORE)
