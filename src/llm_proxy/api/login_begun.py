"""A login that has begun: what the browser keeps until it is back from the provider that says who it is."""

import secrets
import time

import msgspec


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer of the provider has to fit."""

    #: Comes back in the address (RFC 6749 section 10.12).
    state: str
    #: Comes back in the token (OpenID Connect Core 1.0 section 15.5.2).
    nonce: str
    #: Whose hash the provider gets first (RFC 7636).
    verifier: str
    #: A path of the pages.
    leads_to: str
    redirect_uri: str
    #: Seconds since 1970.
    until: float


def begin(leads_to: str, redirect_uri: str, *, life_s: float) -> Begun:
    """One that begins now."""
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    until = time.time() + life_s
    return Begun(state=state, nonce=nonce, verifier=verifier, leads_to=leads_to, redirect_uri=redirect_uri, until=until)
