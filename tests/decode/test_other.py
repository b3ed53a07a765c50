from decode.exchanges import exchange_of
from llm_proxy.decode.dispatch import decode
from llm_proxy.model.completion import Decoded, ProviderError
from llm_proxy.model.exchange import Endpoint


def test_the_error_of_a_call_that_failed_is_read():
    body = b'{"error": {"message": "No such file", "type": "invalid_request_error", "code": null}}'

    found = decode(exchange_of(Endpoint.OTHER, body, request=b"\x00\x01 multipart", http_status=404))

    assert found.error == ProviderError(kind="invalid_request_error", message="No such file")
    assert found.response == {"error": {"message": "No such file", "type": "invalid_request_error", "code": None}}
    assert (found.kind, found.request, found.problem) == (None, None, None)


def test_nothing_is_read_of_a_call_that_succeeded():
    assert decode(exchange_of(Endpoint.OTHER, b'{"data": []}', request=b"x")) == Decoded()


def test_nothing_is_known_of_a_call_whose_bodies_are_not_kept():
    assert decode(exchange_of(Endpoint.OTHER, None, http_status=500)) == Decoded()


def test_nothing_is_known_of_a_call_in_flight():
    assert decode(exchange_of(Endpoint.OTHER, None, http_status=None, ending=None)) == Decoded()
