"""Which route a call follows, and the order of its places."""

import random
from collections import Counter

import pytest

from llm_proxy.proxy.routes import Place, Route, Routes
from llm_proxy.proxy.upstreams import upstream_at

A, B, C = (upstream_at(name, f"https://{name}.test/v1", provider=None, key=None) for name in "abc")
CHAT = "chat.completions"


def found(route, *, model="gpt-4o", endpoint=CHAT, headers=(), named=False):
    return Routes([route]).find(lambda: model, endpoint, list(headers), named=named) is route


@pytest.mark.parametrize(
    ("route", "fits"),
    [
        (Route(name="r"), True),
        (Route(name="r", models=("gpt-4o",)), True),
        (Route(name="r", models=("claude-*", "gpt-*")), True),
        (Route(name="r", models=("gpt-4",)), False),
        (Route(name="r", models=("GPT-*",)), False),
        (Route(name="r", endpoints=(CHAT,)), True),
        (Route(name="r", endpoints=("embeddings",)), False),
        (Route(name="r", headers=((b"x-team", "red*"),)), True),
        (Route(name="r", headers=((b"x-team", "blue"),)), False),
        (Route(name="r", headers=((b"x-team", "*"), (b"x-other", "*"))), False),
        (Route(name="r", models=("gpt-*",), endpoints=("embeddings",)), False),
    ],
)
def test_a_route_is_for_calls_that_have_all_it_asks_for(route, fits):
    assert found(route, headers=[(b"X-Team", b" red-1 ")]) is fits


@pytest.mark.parametrize(
    ("model", "upstream", "comes"),
    [
        ("gpt-4o", A, True),
        ("gpt-4o", B, True),
        ("gpt-4o", C, False),
        ("ada", C, True),
        ("fast", B, False),
        ("x", A, False),
    ],
)
def test_a_model_comes_to_the_places_of_the_first_route_of_any_endpoint(model, upstream, comes):
    routes = Routes(
        [
            Route(name="gpt", models=("gpt-*",), places=(Place(A), Place(B))),
            Route(name="fast", models=("fast",), places=(Place(B, "llama"),)),
            Route(name="ada", models=("ada", "gpt-*"), endpoints=("embeddings",), places=(Place(C),)),
        ]
    )

    assert routes.lead_to(upstream, model, []) is comes
    assert routes.names([]) == [("fast", "b"), ("ada", "c")]


def test_no_route_with_models_is_for_a_call_without_one():
    assert not found(Route(name="r", models=("*",)), model=None)
    assert found(Route(name="r"), model=None)


def test_the_model_is_not_looked_for_where_nothing_depends_on_it():
    def model():
        raise AssertionError("looked for")

    routes = Routes([Route(name="a", models=("*",), endpoints=("embeddings",)), Route(name="b")])

    assert routes.find(model, CHAT, [], named=False).name == "b"


def test_the_first_that_fits_counts():
    routes = Routes([Route(name="a", models=("x",)), Route(name="b"), Route(name="c")])

    assert routes.find(lambda: "gpt-4o", CHAT, [], named=False).name == "b"


def test_a_call_that_names_its_upstream_is_sent_nowhere_else():
    assert not found(Route(name="r", places=(Place(A),)), named=True)
    assert found(Route(name="r"), named=True)


def test_without_weights_the_order_is_as_written():
    places = (Place(A), Place(B), Place(C))

    assert Routes(()).order(Route(name="r", places=places)) == list(places)


def test_weights_draw_the_first_place_and_leave_the_rest_in_order():
    routes = Routes((), draw=random.Random(7))
    route = Route(name="r", places=(Place(A, None, 3), Place(B, None, 1), Place(C, None, 0)))

    orders = Counter("".join(place.upstream.name for place in routes.order(route)) for _ in range(10_000))

    assert set(orders) == {"abc", "bac"}
    assert 7300 < orders["abc"] < 7700
