"""Ask an OpenID provider who somebody is: the authorization code flow with PKCE (OpenID Connect Core 1.0 section 3.1).

What the provider says counts only if it is signed with a key that the provider publishes, by an algorithm of the list
below, for this client, in answer to this very request, and is not over. To import this is to import an HTTP client and
cryptography, so it is done only where there is a provider.
"""

import base64
import hashlib
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote_plus, urlencode, urlsplit

import httpx
import msgspec
from joserfc import jws, jwt
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey

from llm_proxy.api.login_begun import Begun
from llm_proxy.errors import Refused

#: Those with a key pair: with "none" and HS256 others could sign in the provider's name (RFC 8725 section 3.1).
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
#: How long the provider's document and keys are taken to be the same, in seconds.
_REMEMBERED_S = 3600.0
#: A key that is unknown is looked for anew no more often than this, in seconds.
_RENEWED_EVERY_S = 10.0
#: What clocks may differ by, in seconds.
_LEEWAY_S = 60
_TIMEOUT_S = 10.0
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")

Claims = Mapping[str, Any]
_Kind = TypeVar("_Kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """How the provider knows the pages."""

    issuer: str
    client_id: str
    client_secret: str | None
    scopes: tuple[str, ...]
    #: Certificate authorities in PEM to trust instead of the built-in ones.
    ca_file: Path | None = None


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    """Of OpenID Connect Discovery 1.0 section 3 and RP-Initiated Logout 1.0 section 2.1, what is needed here."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class _Tokens(msgspec.Struct, frozen=True, kw_only=True):
    id_token: str
    access_token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who somebody is."""

    claims: Claims
    #: The token that said so.
    token: str


class Provider:
    """An OpenID provider. Every method raises Refused with 502 if it does not answer as it should."""

    def __init__(self, registration: Registration) -> None:
        self._me = registration
        self._document: tuple[float, _Document] | None = None
        self._keys: tuple[float, list[RSAKey | ECKey]] | None = None

    async def address(self, begun: Begun) -> str:
        """Where the browser is to go."""
        document = await self._discover()
        digest = hashlib.sha256(begun.verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": self._me.client_id,
            "redirect_uri": begun.redirect_uri,
            "scope": " ".join(self._me.scopes),
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        return _with_query(document.authorization_endpoint, asked)

    async def farewell(self, token: str, back: str) -> str | None:
        """Where the browser is to go to log out, and come ``back`` from; None if the provider has no such address.

        ``token`` is that of the login, or empty (OpenID Connect RP-Initiated Logout 1.0 section 2).
        """
        document = await self._discover()
        if document.end_session_endpoint is None:
            return None
        hint = {"id_token_hint": token} if token else {}
        asked = {**hint, "client_id": self._me.client_id, "post_logout_redirect_uri": back}
        return _with_query(document.end_session_endpoint, asked)

    async def identity(self, begun: Begun, code: str, *, issuer: str | None, wanted: Iterable[str]) -> Identity:
        """What the provider says of who is back with ``code``; ``issuer`` is the one that the address named, if any.

        Of the claims that are ``wanted``, those that the token has not are asked for where the provider has them.
        """
        document = await self._discover()
        if issuer is not None and issuer != document.issuer:  # RFC 9207
            raise _refused("it was another provider that answered")
        tokens = await self._redeem(document, begun, code)
        claims = await self._checked(document, tokens.id_token, begun.nonce)
        if document.userinfo_endpoint is None or tokens.access_token is None or all(name in claims for name in wanted):
            return Identity(claims=claims, token=tokens.id_token)
        bearer = {"authorization": f"Bearer {tokens.access_token}"}
        more = await self._get(document.userinfo_endpoint, dict[str, Any], headers=bearer)
        if more.get("sub") != claims["sub"]:  # OpenID Connect Core section 5.3.2
            raise _refused("it told of somebody else")
        return Identity(claims={**more, **claims}, token=tokens.id_token)

    async def _discover(self) -> _Document:
        if self._document is None or time.monotonic() - self._document[0] > _REMEMBERED_S:
            document = await self._get(f"{self._me.issuer}/.well-known/openid-configuration", _Document)
            if document.issuer.rstrip("/") != self._me.issuer:
                raise _refused("its document is that of another issuer")
            self._check_addresses(document)
            self._document = time.monotonic(), document
        return self._document[1]

    def _check_addresses(self, document: _Document) -> None:
        named = (document.authorization_endpoint, document.token_endpoint, document.jwks_uri)
        for url in (*named, document.userinfo_endpoint, document.end_session_endpoint):
            if url is not None and urlsplit(url).scheme not in ("https", urlsplit(self._me.issuer).scheme):
                raise _refused("its document names an address without TLS")

    async def _redeem(self, document: _Document, begun: Begun, code: str) -> _Tokens:
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": begun.redirect_uri,
            "code_verifier": begun.verifier,
        }
        secret, auth = self._me.client_secret, None
        if secret is not None and "client_secret_basic" in document.token_endpoint_auth_methods_supported:
            auth = httpx.BasicAuth(quote_plus(self._me.client_id), quote_plus(secret))  # RFC 6749 section 2.3.1
        else:
            fields["client_id"] = self._me.client_id
            fields |= {} if secret is None else {"client_secret": secret}
        return await self._ask("POST", document.token_endpoint, _Tokens, data=fields, auth=auth)

    async def _checked(self, document: _Document, token: str, nonce: str) -> Claims:
        """The claims of an ID token (OpenID Connect Core section 3.1.3.7)."""
        registry = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": document.issuer},
            aud={"essential": True, "value": self._me.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            claims = await self._verified(document, token)
            registry.validate(claims)
        except (JoseError, ValueError) as exc:
            raise _refused(f"its token is not valid: {exc}") from exc
        # A token for several clients says which of them it was given to.
        party = claims.get("azp", self._me.client_id if isinstance(claims["aud"], str) else None)
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if (several or "azp" in claims) and party != self._me.client_id:
            raise _refused("its token was given to another client")
        return claims

    async def _verified(self, document: _Document, token: str) -> dict[str, Any]:
        """What a token says that is signed by a key of the provider. Raises JoseError."""
        kid = jws.extract_compact(token.encode()).headers().get("kid")
        keys = _fitting(await self._published(document, _REMEMBERED_S), kid)
        if not keys:  # The provider may have changed its keys since.
            keys = _fitting(await self._published(document, _RENEWED_EVERY_S), kid)
        for key in keys:
            try:
                return dict(jwt.decode(token, key, algorithms=ALGORITHMS).claims)
            except BadSignatureError:
                continue
        raise BadSignatureError

    async def _published(self, document: _Document, remembered_s: float) -> list[RSAKey | ECKey]:
        if self._keys is None or time.monotonic() - self._keys[0] > remembered_s:
            published = await self._get(document.jwks_uri, dict[str, Any])
            try:
                keys = KeySet.import_key_set({"keys": published["keys"]}).keys
            except (JoseError, ValueError, KeyError, TypeError) as exc:
                raise _refused("its keys cannot be read") from exc
            pairs = [key for key in keys if isinstance(key, RSAKey | ECKey) and key.get("use", "sig") == "sig"]
            self._keys = time.monotonic(), pairs
        return self._keys[1]

    async def _get(self, url: str, kind: type[_Kind], **options: Any) -> _Kind:
        return await self._ask("GET", url, kind, **options)

    async def _ask(self, method: str, url: str, kind: type[_Kind], **options: Any) -> _Kind:
        """What the provider answers, as a ``kind``."""
        is_here = urlsplit(url).hostname in _THIS_MACHINE
        trusted = ssl.create_default_context(cafile=self._me.ca_file) if self._me.ca_file else True
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=not is_here, verify=trusted) as client:
                answer = await client.request(method, url, **options)
                answer.raise_for_status()
                return msgspec.json.decode(answer.content, type=kind)
        except httpx.HTTPStatusError as exc:
            raise _refused(f"it answered with {exc.response.status_code}{_error_of(exc.response)}") from exc
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
            raise _refused("it cannot be reached") from exc
        except msgspec.MsgspecError as exc:
            raise _refused("its answer is not as it should be") from exc


def _with_query(address: str, asked: Mapping[str, str]) -> str:
    return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"


def _fitting(keys: list[RSAKey | ECKey], kid: str | None) -> list[RSAKey | ECKey]:
    return [key for key in keys if kid is None or key.kid == kid]


def _error_of(answer: httpx.Response) -> str:
    """The error code of OAuth (RFC 6749 section 5.2), which is made for those who configure."""
    try:
        error = msgspec.json.decode(answer.content)["error"]
    except (msgspec.MsgspecError, LookupError, TypeError):
        return ""
    return f": {error[:100]}" if isinstance(error, str) and error.isprintable() else ""


def _refused(reason: str) -> Refused:
    return Refused(f"the provider could not say who you are: {reason}", status=502, code="login_provider")
