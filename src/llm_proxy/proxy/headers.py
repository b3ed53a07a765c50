"""Which headers go on, which end here, and which are recorded with their values.

Every header of a message gets one verdict by its name; verdicts are remembered, and so are those of all the names of a
head together, see head_shapes.py: names repeat with every call.
The only changes to what is forwarded: hop-by-hop headers end here, Host names the upstream, a configured key takes the
place of the client's, and gateway headers (ours and other products') are not for the upstream. What one
look gives serves every upstream that is tried.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

import msgspec

from llm_proxy.proxy.by_names import ByNames, Names, names_of
from llm_proxy.proxy.credentials import (
    CREDENTIAL_HEADERS,
    SECURITY_TOKEN,
    Fingerprints,
    key_in_protocols,
    without_key_in_protocols,
)
from llm_proxy.proxy.head_shapes import Fate, Recorded, RequestShape, ResponseShape, request_shape, response_shape
from llm_proxy.proxy.transport.base import RawHeaders

#: Headers that end at the next hop (RFC 9110 sections 7.6.1, 11.7; Keep-Alive and Proxy-Connection are of old use).
#: Expect: we answer 100-continue ourselves. Trailer: trailers are not relayed.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"expect",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
#: Verdicts that are remembered; beyond that somebody is making names up.
_REMEMBERED = 4096

_Verdict = TypeVar("_Verdict")


_FATES = {
    b"connection": Fate.CONNECTION,
    b"content-length": Fate.LENGTH,
    b"host": Fate.HOST,
    b"sec-websocket-protocol": Fate.PROTOCOLS,
    b"transfer-encoding": Fate.CODING,
    b"upgrade": Fate.UPGRADE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderRules:
    """Lower-case names and prefixes; see attribution/passage.py, where they are listed."""

    stripped: frozenset[bytes] = frozenset()
    stripped_prefixes: tuple[bytes, ...] = ()
    recorded_request: frozenset[bytes] = frozenset()
    recorded_request_prefixes: tuple[bytes, ...] = ()
    recorded_request_pattern: re.Pattern[bytes] | None = None
    recorded_response: frozenset[bytes] = frozenset()
    recorded_response_prefixes: tuple[bytes, ...] = ()
    #: What our own keys begin with, which are for us and never go on; None where all keys go on.
    proxy_key_mark: bytes | None = None
    #: Headers in which clients send the key of a gateway, beside that of the provider.
    gateway_keys: frozenset[bytes] = frozenset()


class RequestHead(msgspec.Struct):
    """What a look at the headers of a request gives. What is in it is not changed: the lists of places are shared."""

    #: What may go on, with the client's own Host and keys.
    passed: RawHeaders
    recorded: Recorded
    #: Where in ``passed`` they stand.
    hosts: list[int] = []
    credentials: list[int] = []
    #: Those with a key for the provider among the protocols of a WebSocket.
    key_protocols: list[int] = []
    key_fingerprint: str | None = None
    #: Keys of ours in the headers; none of them is in ``passed``.
    proxy_keys: list[bytes] = []
    content_length: int | None = None
    #: The body comes in a transfer encoding; the parser has seen to it that it is ``chunked`` and nothing else.
    chunked: bool = False
    wants_websocket: bool = False

    def forward(self, host: bytes, credential: tuple[bytes, bytes] | None, *, strips_keys: bool = False) -> RawHeaders:
        """The headers for one upstream; ``credential`` comes last and takes the place of all keys of the client.

        With ``strips_keys`` these are left out without one, too.
        """
        headers = self.passed.copy()
        for at in self.hosts:
            headers[at] = (headers[at][0], host)
        if credential is not None or strips_keys:
            for at in self.key_protocols:
                headers[at] = (headers[at][0], without_key_in_protocols(headers[at][1]))
            emptied = [at for at in self.key_protocols if not headers[at][1]]
            for at in sorted([*self.credentials, *emptied], reverse=True):
                del headers[at]
        if credential is not None:
            headers.append(credential)
        if not self.hosts:  # HTTP/1.0 needs none, the upstream gets HTTP/1.1
            headers.insert(0, (b"Host", host))
        return headers

    def without_keys(self) -> "RequestHead":
        """The same for an upstream that the client's keys are not for."""
        dropped = {*self.credentials, *self.key_protocols}
        shift = [sum(at < host for at in dropped) for host in self.hosts]
        passed = [header for at, header in enumerate(self.passed) if at not in dropped]
        hosts = [host - before for host, before in zip(self.hosts, shift, strict=True)]
        return msgspec.structs.replace(self, passed=passed, hosts=hosts, credentials=[], key_protocols=[])


@dataclass(slots=True)
class HeaderPolicy:
    """The rules at work."""

    rules: HeaderRules
    fingerprints: Fingerprints
    _request: dict[bytes, tuple[Fate, bool]] = field(default_factory=dict)
    _response: dict[bytes, tuple[bool, bool]] = field(default_factory=dict)
    _requests: ByNames[RequestShape | None] = field(init=False)
    _responses: ByNames[ResponseShape | None] = field(init=False)

    def __post_init__(self) -> None:
        self._requests = ByNames(self._shape_of_request)
        self._responses = ByNames(self._shape_of_response)

    def request(self, headers: RawHeaders, names: Names | None = None) -> RequestHead:
        """What may go to an upstream, and what is recorded; ``names`` are those of the headers, if they are at hand."""
        shape = self._requests[names_of(headers) if names is None else names]
        if shape is None:
            return self._judged(headers)
        for at in shape.connections:
            if _listed(headers[at][1]):
                return self._judged(headers)
        for at in shape.credentials:
            if self._is_ours(headers[at][1]):
                return self._judged(headers)
        recorded: Recorded = [*headers]
        for at, blank in shape.blanks:
            recorded[at] = blank
        key, length = shape.key, shape.length
        return RequestHead(
            passed=[*shape.passed(headers)],
            recorded=recorded,
            hosts=shape.passed_hosts,
            credentials=shape.passed_credentials,
            key_fingerprint=None if key is None else self.fingerprints.of(headers[key][1]),
            content_length=None if length is None else int(headers[length][1]),
            chunked=shape.chunked,
        )

    def _judged(self, headers: RawHeaders) -> RequestHead:
        head, listed = self._read(headers)
        if listed:
            rest, _ = self._read([header for header in headers if header[0].lower() not in listed])
            head.passed, head.hosts = rest.passed, rest.hosts
            head.credentials, head.key_protocols = rest.credentials, rest.key_protocols
        return head

    def _read(self, headers: RawHeaders) -> tuple[RequestHead, frozenset[bytes]]:
        """One pass, and the names that Connection lists."""
        head = RequestHead([], [])
        passed = head.passed
        listed: frozenset[bytes] = frozenset()
        for name, value in headers:
            fate, kept = self._request.get(name) or self._judge_request(name)
            head.recorded.append((name, value if kept else None))
            if fate is Fate.FORWARD:
                passed.append((name, value))
            elif fate is Fate.HOST:
                head.hosts.append(len(passed))
                passed.append((name, value))
            elif fate is Fate.CONNECTION:
                listed |= _listed(value)
            elif fate is Fate.CREDENTIAL:
                if head.key_fingerprint is None and len(name) != len(SECURITY_TOKEN):
                    head.key_fingerprint = self.fingerprints.of(value)
                if self._is_ours(value):
                    head.proxy_keys.append(value.rsplit(b" ", 1)[-1].strip())
                else:
                    head.credentials.append(len(passed))
                    passed.append((name, value))
            elif fate is Fate.GATEWAY_KEY:
                if self._is_ours(value):
                    head.proxy_keys.insert(0, value.rsplit(b" ", 1)[-1].strip())
            else:
                self._note_rare(head, fate, name, value)
        return head, listed

    def _is_ours(self, value: bytes) -> bool:
        return self.rules.proxy_key_mark is not None and self.rules.proxy_key_mark in value

    def _note_rare(self, head: RequestHead, fate: Fate, name: bytes, value: bytes) -> None:
        if fate is not Fate.PROTOCOLS:
            _note_framing(head, fate, name, value)
            return
        key = key_in_protocols(value)
        if key is not None and head.key_fingerprint is None:
            head.key_fingerprint = self.fingerprints.of(key)
        if key is not None and self._is_ours(key):
            head.proxy_keys.append(key)
            value = without_key_in_protocols(value)
        elif key is not None:
            head.key_protocols.append(len(head.passed))
        if value:
            head.passed.append((name, value))

    def response(self, headers: RawHeaders) -> tuple[RawHeaders, Recorded]:
        """What goes to the client, and what is recorded."""
        shape = self._responses[names_of(headers)]
        if shape is None:
            return self._judged_response(headers)
        for at in shape.connections:
            if _listed(headers[at][1]):
                return self._judged_response(headers)
        recorded: Recorded = [*headers]
        for at, blank in shape.blanks:
            recorded[at] = blank
        return [*shape.passed(headers)], recorded

    def _judged_response(self, headers: RawHeaders) -> tuple[RawHeaders, Recorded]:
        forward: RawHeaders = []
        recorded: Recorded = []
        listed: frozenset[bytes] = frozenset()
        for name, value in headers:
            goes_on, kept = self._response.get(name) or self._judge_response(name)
            recorded.append((name, value if kept else None))
            if goes_on:
                forward.append((name, value))
            elif len(name) == len(b"connection") and name.lower() == b"connection":
                listed |= _listed(value)
        if listed:
            forward = [header for header in forward if header[0].lower() not in listed]
        return forward, recorded

    def _shape_of_request(self, names: Names) -> RequestShape | None:
        return request_shape(names, [self._request.get(name) or self._judge_request(name) for name in names])

    def _shape_of_response(self, names: Names) -> ResponseShape | None:
        return response_shape(names, [self._response.get(name) or self._judge_response(name) for name in names])

    def _judge_request(self, name: bytes) -> tuple[Fate, bool]:
        lower, rules = name.lower(), self.rules
        kept = lower in rules.recorded_request or lower.startswith(rules.recorded_request_prefixes)
        if rules.recorded_request_pattern is not None:
            kept = kept or rules.recorded_request_pattern.fullmatch(lower) is not None
        verdict = Fate.FORWARD, kept
        if lower in _FATES:
            verdict = _FATES[lower], kept and _FATES[lower] is not Fate.PROTOCOLS
        elif lower in CREDENTIAL_HEADERS:
            verdict = Fate.CREDENTIAL, False
        elif lower in rules.gateway_keys:
            verdict = Fate.GATEWAY_KEY, False
        elif lower in HOP_BY_HOP or lower in rules.stripped or lower.startswith(rules.stripped_prefixes):
            verdict = Fate.DROP, kept
        _remember(self._request, name, verdict)
        return verdict

    def _judge_response(self, name: bytes) -> tuple[bool, bool]:
        lower, rules = name.lower(), self.rules
        kept = lower in rules.recorded_response or lower.startswith(rules.recorded_response_prefixes)
        verdict = lower not in HOP_BY_HOP, kept
        _remember(self._response, name, verdict)
        return verdict


def with_length(headers: RawHeaders, body_bytes: int) -> RawHeaders:
    """``headers`` for a body of another length."""
    return [(name, b"%d" % body_bytes if name.lower() == b"content-length" else value) for name, value in headers]


def _note_framing(head: RequestHead, fate: Fate, name: bytes, value: bytes) -> None:
    if fate is Fate.LENGTH:
        head.content_length = int(value)  # the parser has taken it for a number
        head.passed.append((name, value))
    elif fate is Fate.CODING:
        head.chunked = True
    elif fate is Fate.UPGRADE:
        head.wants_websocket = value.strip().lower() == b"websocket"


def _remember(verdicts: dict[bytes, _Verdict], name: bytes, verdict: _Verdict) -> None:
    if len(verdicts) >= _REMEMBERED:
        verdicts.clear()
    verdicts[name] = verdict


#: What a Connection header may list that is no header to be removed with it.
_NO_HEADERS = frozenset({b"close", b"keep-alive", b"upgrade", b""})
#: Framing and routing of the message itself: a client must not be able to have them removed.
_NEVER_LISTED = frozenset({b"host", b"content-length", b"authorization"})


@lru_cache(maxsize=64)  # nearly always ``keep-alive`` or ``close``
def _listed(value: bytes) -> frozenset[bytes]:
    """The header names in a Connection header (RFC 9110 section 7.6.1)."""
    return frozenset(_tokens(value)) - _NO_HEADERS - _NEVER_LISTED


def _tokens(value: bytes) -> Iterable[bytes]:
    return (token.strip().lower() for token in value.split(b","))
