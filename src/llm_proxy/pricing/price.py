"""What a call costs: what the answer says first, then the operator's own prices, then list prices, else unknown.

Never raises and never guesses: what is not known is None, with the reason. What is stored with a cost (source, version,
entry, parts) is enough to see how it came about, and usage is kept as it came, so every price can be computed again.
List prices cover what usage counts: fees for tools that a provider does not count there (file searches, containers,
Google's grounding) and discounts of a contract are not in them.
"""

from collections.abc import Callable
from decimal import Decimal

from llm_proxy.model.completion import Cost, CostSource
from llm_proxy.pricing.list_prices import list_card, list_version
from llm_proxy.pricing.litellm_prices import NO_OVERRIDES, Overrides
from llm_proxy.pricing.meter import Purchase, measure
from llm_proxy.pricing.rates import Measured, RateCard, bill

_Lookup = Callable[[Purchase, Measured], RateCard | str]


def price(purchase: Purchase, *, reported_usd: Decimal | None = None, overrides: Overrides = NO_OVERRIDES) -> Cost:
    """The cost of ``purchase`` in USD; ``reported_usd`` is what the answer itself told, see ``reported.py``."""
    if reported_usd is not None:
        return Cost(usd=reported_usd, source=CostSource.REPORTED)
    measured = measure(purchase)
    if isinstance(measured, str):
        return Cost(reason=measured)
    if not overrides.entries:
        return _priced(purchase, measured, list_card, CostSource.LIST, list_version())
    own = _priced(purchase, measured, overrides.card, CostSource.OVERRIDE, overrides.version)
    if own.usd is not None:
        return own
    listed = _priced(purchase, measured, list_card, CostSource.LIST, list_version())
    # That the own entry of a model lacks something is what its owner can mend.
    return own if listed.usd is None and own.entry is not None else listed


def _priced(purchase: Purchase, measured: Measured, lookup: _Lookup, source: CostSource, version: str | None) -> Cost:
    card = lookup(purchase, measured)
    if isinstance(card, str):
        return Cost(reason=card)
    parts = bill(measured, card)
    if isinstance(parts, str):
        return Cost(entry=card.entry, reason=parts, source=source, version=version)
    usd = sum((part.usd for part in parts), Decimal(0))
    return Cost(usd=usd, source=source, version=version, entry=card.entry, parts=parts)
