import pytest

from decode.exchanges import exchange_of
from llm_proxy.model.exchange import Endpoint
from llm_proxy.queue.base import Delivery


def test_a_delivery_cannot_be_changed_by_those_it_is_handed_to():
    delivery = Delivery(exchange_of(Endpoint.CHAT))

    with pytest.raises(AttributeError):
        delivery.exchange = exchange_of(Endpoint.TEXT)
