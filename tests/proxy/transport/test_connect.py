"""Connections, and what the kernel knows of them."""

import asyncio
import socket
import ssl
import sys

import pytest

from conftest import PATIENCE_S, until
from llm_proxy.errors import UpstreamTimeout, UpstreamUnreachable
from llm_proxy.proxy.transport.base import Origin, Sending
from llm_proxy.proxy.transport.connect import bytes_acked, connect, was_reset

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="TCP_INFO has this on Linux only")
RESET_ON_CLOSE = b"\x01\0\0\0\0\0\0\0"


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture
def pair(listener):
    """Both ends of a TCP connection."""
    near = socket.create_connection(listener.getsockname())
    far, _ = listener.accept()
    with near, far:
        yield near, far


class Line(asyncio.Protocol):
    """Holds its transport, to be closed by the test."""

    def connection_made(self, transport):
        self.transport = transport
        self.lost = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc):
        self.lost.set_result(None)

    async def close(self):
        self.transport.abort()
        await self.lost


async def connected(origin, *, timeout_s=PATIENCE_S, sending=None):
    tls = ssl.create_default_context()
    return await connect(origin, Line, tls=tls, timeout_s=timeout_s, sending=sending or Sending())


@linux_only
async def test_what_the_peer_has_acknowledged_is_known(pair):
    near, far = pair
    before = bytes_acked(near)

    near.sendall(bytes(1234))
    far.recv(2000)

    await until(lambda: bytes_acked(near) == before + 1234)
    assert not was_reset(near)


@linux_only
async def test_a_reset_is_known_and_a_close_is_none(pair):
    near, far = pair
    far.shutdown(socket.SHUT_WR)
    near.recv(1)
    closed_only = was_reset(near)

    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    far.close()

    assert closed_only is False
    await until(lambda: was_reset(near))


def test_of_a_socket_that_is_closed_or_no_tcp_nothing_is_known(pair):
    near, _ = pair
    near.close()
    unix, other = socket.socketpair()

    with unix, other:
        assert bytes_acked(near) is None
        assert bytes_acked(unix) is None
        assert was_reset(near) is False
        assert was_reset(unix) is False


async def test_the_next_address_is_tried_when_one_refuses(listener):
    origin = Origin("http", "localhost", listener.getsockname()[1])  # may be ::1 first, where nobody listens

    line, sock = await connected(origin)

    assert sock.getpeername()[:2] == listener.getsockname()
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    await line.close()


async def test_a_unix_socket_is_connected_to_by_its_path(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()

        line, sock = await connected(Origin("http", "store", 80, str(tmp_path / "s")))

    assert sock.family == socket.AF_UNIX
    await line.close()


@pytest.mark.parametrize("missing", ["port", "path"])
async def test_what_is_not_there_is_named(tmp_path, listener, missing):
    port = listener.getsockname()[1]
    listener.close()
    path = str(tmp_path / "nothing") if missing == "path" else None

    with pytest.raises(UpstreamUnreachable, match=path or rf"http://127\.0\.0\.1:{port}: .*refused"):
        await connected(Origin("http", "127.0.0.1", port, path))


async def test_a_peer_that_says_nothing_of_tls_is_a_timeout_and_its_socket_closed(listener):
    with pytest.raises(UpstreamTimeout, match=r"within 0\.2 s"):
        await connected(Origin("https", "127.0.0.1", listener.getsockname()[1]), timeout_s=0.2)

    far, _ = listener.accept()
    with far:
        far.settimeout(PATIENCE_S)
        hello = far.recv(65536)
        assert hello[:1] == b"\x16"
        assert await asyncio.to_thread(far.recv, 1) == b""


async def test_a_peer_that_speaks_no_tls_is_unreachable(listener):
    connecting = asyncio.create_task(connected(Origin("https", "127.0.0.1", listener.getsockname()[1])))
    far, _ = await asyncio.to_thread(listener.accept)

    with far:
        far.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        with pytest.raises(UpstreamUnreachable):
            await connecting


@pytest.mark.parametrize(("host", "address"), [("localhost", None), ("127.0.0.1", None), ("some.name", "127.0.0.1")])
async def test_looking_up_takes_time_only_for_a_name(listener, host, address):
    sending = Sending()

    line, _ = await connected(Origin("http", host, listener.getsockname()[1], None, address), sending=sending)

    assert (sending.dns_s is not None) == (host == "localhost")
    assert sending.tcp_s > 0
    assert sending.tls_s is None
    await line.close()


async def test_the_step_that_failed_is_the_last_one_that_took_time(listener):
    unknown, refused = Sending(), Sending()
    port = listener.getsockname()[1]
    listener.close()

    with pytest.raises(UpstreamUnreachable):
        await connected(Origin("https", "no-such-name.invalid", port), sending=unknown)
    with pytest.raises(UpstreamUnreachable):
        await connected(Origin("https", "127.0.0.1", port), sending=refused)

    assert unknown.dns_s > 0
    assert (unknown.tcp_s, unknown.tls_s) == (None, None)
    assert refused.tcp_s > 0
    assert (refused.dns_s, refused.tls_s) == (None, None)
