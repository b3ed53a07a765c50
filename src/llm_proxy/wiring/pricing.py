"""What the workers price with: list prices, and the operator's own file. Imports no table of list prices by itself."""

from collections.abc import Callable

from msgspec.structs import replace

from llm_proxy.errors import ConfigError
from llm_proxy.model.completion import Completion, Cost
from llm_proxy.model.trace import Settled
from llm_proxy.pricing.charge import cost_of, is_charged
from llm_proxy.pricing.litellm_prices import NO_OVERRIDES, Overrides, parse_overrides
from llm_proxy.settings.table import Settings
from llm_proxy.worker import Pricer


def read_prices(settings: Settings) -> Overrides:
    """The prices in the operator's file; none if there is no such file. Raises ConfigError, in one line."""
    path = settings.pricing.file
    if path is None:
        return NO_OVERRIDES
    try:
        raw = path.read_bytes()
    except OSError as exc:
        raise ConfigError(f"pricing.file: {path} cannot be read: {exc.strerror}") from exc
    return parse_overrides(raw, f"pricing.file: {path}")


def priced(to_completion: Callable[[str, Settled], Completion], price: Pricer) -> Callable[[str, Settled], Completion]:
    """``to_completion``, with what the record cost."""

    def made(organization_id: str, settled: Settled) -> Completion:
        completion = to_completion(organization_id, settled)
        return replace(completion, cost=price(completion))

    return made


def make_pricer(settings: Settings) -> Pricer:
    """What prices a record by the prices that there are now. Raises ConfigError if the operator's file is of no use."""
    overrides, by_caller = read_prices(settings), settings.pricing.from_callers

    def price(completion: Completion) -> Cost | None:
        return cost_of(completion, overrides=overrides, by_caller=by_caller) if is_charged(completion) else None

    return price
