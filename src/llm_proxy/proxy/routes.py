"""Routes: which calls are tried again and elsewhere, where, in which order, and how often.

The first route that fits a call counts. Nothing is read of a call that no route can be for. Pure but for the draw.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

from llm_proxy.proxy.transport.base import RawHeaders
from llm_proxy.proxy.upstreams import Upstream

#: What makes a name a pattern.
_WILD = frozenset("*?[")


class Place(NamedTuple):
    """One of the targets of a route."""

    upstream: Upstream
    #: To be asked for there; None for the one that the call asks for.
    model: str | None = None
    weight: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often and when; see the section ``routes`` of the configuration."""

    attempts: int = 2
    statuses: frozenset[int] = frozenset({429, 500, 502, 503, 504, 529})
    first_byte_s: float | None = None
    backoff_s: float = 0.5
    budget_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """For which calls, and where to."""

    name: str
    #: Patterns, of which ``*`` stands for anything; empty is all.
    models: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    #: Lower-case name and pattern of each header that is needed.
    headers: tuple[tuple[bytes, str], ...] = ()
    #: In their order; empty is where the call goes anyway.
    places: tuple[Place, ...] = ()
    retry: Retry = Retry()

    def fits(self, model: Callable[[], str | None], endpoint: str, headers: RawHeaders) -> bool:
        """Whether it is for such a call; the model is looked for only if the rest fits."""
        if self.endpoints and endpoint not in self.endpoints:
            return False
        if not self.fits_headers(headers):
            return False
        if not self.models:
            return True
        asked = model()
        return asked is not None and any(fnmatchcase(asked, pattern) for pattern in self.models)

    def fits_headers(self, headers: RawHeaders) -> bool:
        """Whether all headers that are needed are there."""
        return all(_has(headers, name, pattern) for name, pattern in self.headers)


class Routes:
    """All of them, in their order."""

    def __init__(self, routes: Sequence[Route] = (), *, draw: random.Random | None = None) -> None:
        self._routes = tuple(routes)
        #: Whether one of them has targets: of a call it is then known late whom it goes to.
        self.have_targets = any(route.places for route in routes)
        self._draw = draw or random.Random()  # noqa: S311 - spreads load, keeps no secret

    def __bool__(self) -> bool:
        return bool(self._routes)

    def find(self, model: Callable[[], str | None], endpoint: str, headers: RawHeaders, *, named: bool) -> Route | None:
        """The first that fits; of a call that names its upstream, none that would send it elsewhere."""
        for route in self._routes:
            if not (named and route.places) and route.fits(model, endpoint, headers):
                return route
        return None

    def lead(self, upstream: Upstream) -> bool:
        """Whether a call may come to ``upstream`` by them."""
        return any(place.upstream is upstream for route in self._routes for place in route.places)

    def lead_elsewhere(self, upstream: Upstream) -> bool:
        """Whether a call may come to another upstream by them, or to another model."""
        places = [place for route in self._routes for place in route.places]
        return any(place.upstream is not upstream or place.model is not None for place in places)

    def lead_to(self, upstream: Upstream, model: str, headers: RawHeaders) -> bool:
        """Whether calls that ask for ``model``, of some endpoint, may come to ``upstream`` and ask for it there."""
        for endpoint in dict.fromkeys(endpoint for route in self._routes for endpoint in route.endpoints or ("",)):
            route = self.find(lambda: model, endpoint, headers, named=False)
            for place in route.places if route else ():
                if place.upstream is upstream and place.model in (None, model):
                    return True
        return False

    def names(self, headers: RawHeaders) -> list[tuple[str, str]]:
        """The models that routes are for by their very name, each with the upstream that is tried first."""
        fitting = [route for route in self._routes if route.places and route.fits_headers(headers)]
        return [
            (model, route.places[0].upstream.name)
            for route in fitting
            for model in route.models
            if not _WILD.intersection(model)
        ]

    def order(self, route: Route) -> list[Place]:
        """Its places in the order to be tried in: the first one drawn by weight, if there are weights."""
        places = list(route.places)
        weights = [place.weight for place in places]
        if any(weights):
            first = self._draw.choices(range(len(places)), weights)[0]
            places.insert(0, places.pop(first))
        return places


def _has(headers: RawHeaders, name: bytes, pattern: str) -> bool:
    return any(key.lower() == name and fnmatchcase(value.strip().decode("latin-1"), pattern) for key, value in headers)
