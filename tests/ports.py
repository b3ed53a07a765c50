"""Ports for servers that a test stops and starts again."""

import random
import socket

#: Below those that the kernel gives to whoever connects (32768 and up on Linux): a client that tries again and again
#: to reach one of those while nobody listens on it is given it as its own one day, and is connected to itself.
_RANGE = (10_000, 22_000)


def free_port() -> int:
    """A port that nobody listens on, nor on the one 10000 above, which is the second one of a Redis Cluster's node."""
    while True:
        port = random.randrange(*_RANGE)
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind(("127.0.0.1", port))
                other.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port
