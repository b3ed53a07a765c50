"""What a client's connection itself looks at in a head: its framing, and whether HTTP goes on behind it.

A WebSocket is the one other protocol that is spoken here. The rest is ignored, as every server may (RFC 9110 section
7.8): that of HTTP/2 without TLS comes with the first request of Java's ``HttpClient`` and of ``curl --http2``.
"""

from typing import NamedTuple

import httptools

from llm_proxy.proxy.by_names import ByNames, Names
from llm_proxy.proxy.transport.base import RawHeaders

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class Noted(NamedTuple):
    """What the wire itself looks at in a head, by where it stands."""

    #: One object for all heads that are alike, by which what is known of it is found without comparing names.
    names: Names
    names_bytes: int
    #: How many there are.
    hosts: int
    codings: list[int]
    expectations: list[int]


def _note(names: Names) -> Noted:
    lower = [name.lower() for name in names]
    return Noted(
        names=names,
        names_bytes=sum(map(len, names)),
        hosts=lower.count(b"host"),
        codings=[at for at, name in enumerate(lower) if name == b"transfer-encoding"],
        expectations=[at for at, name in enumerate(lower) if name == b"expect"],
    )


noted = ByNames(_note)


def new_parser(protocol: object) -> httptools.HttpRequestParser:
    """A parser that guesses nothing about what follows a request after which the connection is to be closed."""
    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=False)
    return parser


def leaves_http(method: bytes, headers: RawHeaders) -> bool:
    """Whether a request for another protocol, as the parser has found it to be, is one for a WebSocket."""
    return method == b"GET" and any(
        name.lower() == b"upgrade" and value.strip().lower() == b"websocket" for name, value in headers
    )


def same_framing(http_version: str, headers: RawHeaders, *, keep_alive: bool) -> bytes:
    """A head for the body behind ``headers`` that offers no other protocol: behind one that does, llhttp reads none."""
    lines = [b"POST / HTTP/%b" % http_version.encode()]
    lines += [b"%b: %b" % (name, value) for name, value in headers if name.lower() in _FRAMING]
    lines += [] if keep_alive else [b"Connection: close"]
    return b"\r\n".join([*lines, b"", b""])
