"""When an upstream is left alone, and how it is found out that it works again."""

import pytest

from llm_proxy.metrics import Ledger
from llm_proxy.proxy.breaker import Breakers, State


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def breaker(ledger):
    return Breakers(failures=3, window_s=10, open_s=5, ledger=ledger).of("groq")


def fail(breaker, *times):
    for now in times:
        breaker.begin(now).fail(now)


def test_so_many_failures_in_so_much_time_open_it(breaker, ledger):
    fail(breaker, 0, 4, 9)

    assert breaker.state(9) is State.OPEN
    assert breaker.begin(9) is None
    assert (ledger.get("breaker_openings"), ledger.get("breakers_open")) == (1, 1)


def test_failures_that_lie_further_apart_do_not(breaker):
    fail(breaker, 0, 8, 16, 24)

    assert breaker.state(24) is State.CLOSED


def test_after_a_time_one_call_alone_is_let_through(breaker):
    fail(breaker, 0, 0, 0)

    assert breaker.begin(4.9) is None
    assert breaker.begin(5) is not None
    assert breaker.begin(5) is None


def test_the_probe_closes_it_when_it_goes_well(breaker, ledger):
    fail(breaker, 0, 0, 0)

    breaker.begin(5).succeed()

    assert breaker.state(5) is State.CLOSED
    assert ledger.get("breakers_open") == 0
    fail(breaker, 6, 6)
    assert breaker.state(6) is State.CLOSED


def test_the_probe_opens_it_for_as_long_again_when_it_fails(breaker):
    fail(breaker, 0, 0, 0)

    breaker.begin(5).fail(6)

    assert breaker.state(10.9) is State.OPEN
    assert breaker.begin(11) is not None


def test_a_probe_that_tells_nothing_makes_room_for_another(breaker):
    fail(breaker, 0, 0, 0)

    breaker.begin(5).let_go()

    assert breaker.begin(5) is not None


def test_calls_that_began_before_it_opened_neither_close_it_nor_keep_it_open(breaker):
    early, late, gone = breaker.begin(0), breaker.begin(0), breaker.begin(0)
    fail(breaker, 0, 0, 0)
    probe = breaker.begin(5)

    early.succeed()
    late.fail(5)
    gone.let_go()

    assert breaker.state(5) is State.HALF_OPEN
    assert breaker.begin(5) is None
    probe.succeed()
    assert breaker.state(5) is State.CLOSED


def test_each_upstream_has_its_own(ledger):
    breakers = Breakers(failures=1, window_s=10, open_s=5, ledger=ledger)

    breakers.of("a").begin(0).fail(0)

    assert not breakers.of("a").admits(1)
    assert breakers.of("b").admits(1)


def test_which_upstream_it_is_is_told():
    ledger = Ledger(upstreams=["groq"])
    breaker = Breakers(failures=2, window_s=10, open_s=5, ledger=ledger).of("groq")

    fail(breaker, 0, 0)
    opened = ledger.get("upstream_left_alone.groq")
    breaker.begin(5).succeed()

    assert (opened, ledger.get("upstream_left_alone.groq")) == (1, 0)
