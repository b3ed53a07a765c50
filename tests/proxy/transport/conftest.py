"""Upstreams worked by hand, and certificates for those that speak TLS."""

import ssl

import pytest

from certificates import make_certificate
from proxy.transport.by_hand import HandServer


@pytest.fixture
def server():
    made = HandServer()
    yield made
    made.listener.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate for localhost and 127.0.0.1 that vouches for itself, and its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server_tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture
def client_tls(certificate):
    """Trusts that certificate."""
    return ssl.create_default_context(cafile=certificate[0])
