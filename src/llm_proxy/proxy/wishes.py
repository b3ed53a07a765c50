"""What a caller says that the proxy itself obeys: which upstream, and what of the call is recorded.

Said in our headers, in the path prefix, or in the headers of other gateways, each with its own meaning; see
attribution/vocabulary.py. Ours count alone; of others', whatever asks for less is obeyed.
"""

from dataclasses import dataclass, replace

import msgspec

from llm_proxy.attribution.path import path_options
from llm_proxy.attribution.vocabulary import HEADERS, LOG_WORDS, Form, Level, Tells
from llm_proxy.proxy.by_names import ByNames, Names, names_of
from llm_proxy.proxy.transport.base import RawHeaders

_OMISSIONS = frozenset({Tells.OMIT_CALL, Tells.OMIT_BODIES, Tells.OMIT_REQUEST, Tells.OMIT_RESPONSE})
_OBEYED = {
    header.name.lower().encode(): header
    for header in HEADERS
    if header.tells in _OMISSIONS or header.tells in (Tells.LOG, Tells.UPSTREAM, Tells.TARGET, Tells.SERVER_TIMING)
}
#: Of other gateways, the first one counts that says something.
_ELSEWHERE = tuple(
    name for name, header in _OBEYED.items() if header.tells is Tells.UPSTREAM and header.level is not Level.OWN
)
_YES = frozenset({b"true", b"1", b"yes", b"on"})
_NO = frozenset({b"false", b"0", b"no", b"off"})
#: Where in a head something stands that is said here.
_telling = ByNames(lambda names: [at for at, name in enumerate(names) if name.lower() in _OBEYED])


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the caller wants."""

    provider: str | None = None
    #: ``full``, ``metadata`` or ``off``.
    log: str = "full"
    #: Of what is recorded in full, one body may be left out.
    request_body: bool = True
    response_body: bool = True
    #: URL that is to be called instead, as it was sent.
    address: str | None = None
    #: Whether the answer is to tell where its time went.
    server_timing: bool = False


def wishes(headers: RawHeaders, path_context: str | None, names: Names | None = None) -> Wishes:
    """A header beats the path prefix; a word that is not known changes nothing.

    ``names`` are those of the headers, if they are at hand.
    """
    telling = _telling[names_of(headers) if names is None else names]
    if path_context is None and not telling:
        return NO_WISHES
    said = [headers[at] for at in telling]
    named: dict[Tells, str] = {}
    omitted: set[Tells] = set()
    elsewhere: dict[bytes, str] = {}
    address, server_timing = None, False
    # Of a header that occurs twice the last one counts.
    for name, value in {name.lower(): value for name, value in said}.items():
        tells, word = _OBEYED[name].tells, value.strip().lower()
        if tells is Tells.TARGET:
            address = value.strip().decode("latin-1")
        elif tells is Tells.SERVER_TIMING:
            server_timing = word in _YES
        elif tells is Tells.UPSTREAM and _OBEYED[name].level is not Level.OWN:
            # "@" is how Portkey spells what it calls a slug.
            elsewhere[name] = _member(value, _OBEYED[name].key).strip().lower().removeprefix("@")
        elif tells not in _OMISSIONS:
            named[tells] = word.decode("latin-1")
        elif word in (_YES if _OBEYED[name].form is Form.IF_TRUE else _NO):
            omitted.add(tells)
    in_path = path_options(path_context) if path_context else {}
    of_others = next((elsewhere[name] for name in _ELSEWHERE if elsewhere.get(name)), None)
    provider = named.get(Tells.UPSTREAM) or in_path.get("provider") or of_others
    log = next((word for word in (named.get(Tells.LOG), in_path.get("log")) if word in LOG_WORDS), None)
    wanted = Wishes(provider, log) if log is not None else _without(provider, omitted)
    return replace(wanted, address=address, server_timing=server_timing) if address or server_timing else wanted


#: Of most calls.
NO_WISHES = Wishes()


def _without(provider: str | None, omitted: set[Tells]) -> Wishes:
    return Wishes(
        provider,
        "off" if Tells.OMIT_CALL in omitted else "full",
        request_body=not omitted & {Tells.OMIT_REQUEST, Tells.OMIT_BODIES},
        response_body=not omitted & {Tells.OMIT_RESPONSE, Tells.OMIT_BODIES},
    )


def _member(value: bytes, key: str | None) -> str:
    """What a header says: all of it, or the member ``key`` of its JSON object; empty if there is none."""
    if key is None:
        return value.decode("latin-1")
    try:
        found = msgspec.json.decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
    said = found.get(key) if isinstance(found, dict) else None
    return said if isinstance(said, str) else ""
