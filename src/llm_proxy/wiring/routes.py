"""The routes of the settings, and who sends calls along them."""

from llm_proxy.errors import ConfigError
from llm_proxy.metrics import Ledger
from llm_proxy.model.exchange import Endpoint
from llm_proxy.proxy.attempts import Attempts
from llm_proxy.proxy.breaker import Breakers
from llm_proxy.proxy.headers import HeaderPolicy
from llm_proxy.proxy.routes import Place, Retry, Route, Routes
from llm_proxy.proxy.transport.base import Transport
from llm_proxy.proxy.upstreams import Upstreams
from llm_proxy.settings.routes import Route as Configured
from llm_proxy.settings.table import Settings


def routes_of(settings: Settings, upstreams: Upstreams) -> Routes:
    """The routes, in the order of the file. Raises ConfigError for what leads nowhere."""
    return Routes([_route(name, configured, upstreams) for name, configured in settings.routes.items()])


def attempts_of(settings: Settings, transport: Transport, policy: HeaderPolicy, ledger: Ledger) -> Attempts | None:
    """Who makes more than one attempt; None if nothing asks for that."""
    breaker = settings.breaker
    breakers = None
    if breaker.failures is not None:
        breakers = Breakers(failures=breaker.failures, window_s=breaker.window_s, open_s=breaker.open_s, ledger=ledger)
    if breakers is None and not settings.routes:
        return None
    return Attempts(transport, policy, ledger=ledger, breakers=breakers, retry_ratio=settings.retries.ratio)


def _route(name: str, configured: Configured, upstreams: Upstreams) -> Route:
    endpoints = {endpoint.value for endpoint in Endpoint}
    for endpoint in configured.endpoints:
        if endpoint not in endpoints:
            raise ConfigError(f"routes.{name}.endpoints: {endpoint!r} is none of {', '.join(sorted(endpoints))}")
    weights = configured.weights or (0,) * len(configured.targets)
    return Route(
        name=name,
        models=configured.models,
        endpoints=configured.endpoints,
        headers=tuple(_header(header) for header in configured.headers),
        places=tuple(
            _place(name, target, weight, upstreams) for target, weight in zip(configured.targets, weights, strict=True)
        ),
        retry=Retry(
            attempts=configured.attempts,
            statuses=frozenset(configured.statuses),
            first_byte_s=configured.first_byte_s,
            backoff_s=configured.backoff_s,
            budget_s=configured.budget_s,
        ),
    )


def _header(text: str) -> tuple[bytes, str]:
    name, _, pattern = text.partition(":")
    return name.strip().lower().encode(), pattern.strip()


def _place(route: str, text: str, weight: int, upstreams: Upstreams) -> Place:
    name, _, model = text.partition("/")
    upstream = upstreams.find(name)
    if upstream is None:
        raise ConfigError(f"routes.{route}.targets: no upstream and no provider that can be called is named {name!r}")
    return Place(upstream, model or None, weight)
