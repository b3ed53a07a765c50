import pytest

from llm_proxy.errors import StoreUnavailable
from llm_proxy.store.postgres_lease import leading


def test_one_holds_a_lease_at_a_time_and_lets_go_at_the_end(postgres):
    url = postgres.url()

    with leading(url, 1) as first, leading(url, 1) as second, leading(url, 2) as another:
        held = first, second, another
    with leading(url, 1) as later:
        pass

    assert held == (True, False, True)
    assert later


def test_a_server_that_is_away_is_said():
    with pytest.raises(StoreUnavailable, match="refused"), leading("postgresql://127.0.0.1:1/none", 1):
        pass
