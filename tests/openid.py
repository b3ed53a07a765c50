"""An OpenID provider for tests: small, with real RSA keys and a real port. It signs in whoever presses its button."""

import asyncio
import base64
import contextlib
import hashlib
import socket
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "llm-proxy", "a-secret/with+signs"


class OpenIdProvider:
    """Its ``claims`` are those of whoever signs in; ``forged`` changes the next tokens."""

    def __init__(self) -> None:
        self.url = ""
        self.claims: dict[str, Any] = {"sub": "u-1", "email": "ann@acme.test", "email_verified": True}
        self.userinfo: dict[str, Any] = {}
        self.forged: dict[str, Any] = {}
        self.algorithm = "RS256"
        #: Signs in place of the key that is published.
        self.signer: Any = None
        self.endpoints = dict(_ENDPOINTS)
        #: What those asked who logged out.
        self.left: list[dict[str, str]] = []
        self.tokens_asked = 0
        self.keys_asked = 0
        self._codes: dict[str, dict[str, str]] = {}
        self.rotate()

    def rotate(self) -> None:
        """Another key, which alone is published from now on."""
        self.key = RSAKey.generate_key(2048, {"kid": uuid.uuid4().hex, "use": "sig"})

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._document),
                Route("/authorize", self._authorize),
                Route("/signed-in", self._signed_in, methods=["POST"]),
                Route("/token", self._token, methods=["POST"]),
                Route("/keys", self._keys),
                Route("/userinfo", self._userinfo),
                Route("/logout", self._logout),
            ]
        )

    def code_for(self, asked: dict[str, str]) -> str:
        """What the browser of somebody who has signed in is sent back with."""
        code = uuid.uuid4().hex
        self._codes[code] = asked
        return code

    async def _document(self, request: Request) -> Response:
        named = {name: f"{self.url}/{path}" for name, path in self.endpoints.items()}
        return JSONResponse({"issuer": self.url, **named})

    async def _authorize(self, request: Request) -> Response:
        assert request.query_params["code_challenge_method"] == "S256"
        back = urlencode(dict(request.query_params))
        return HTMLResponse(f'<form action="/signed-in?{back}" method="post"><button>Sign in</button></form>')

    async def _signed_in(self, request: Request) -> Response:
        asked = dict(request.query_params)
        answer = {"code": self.code_for(asked), "state": asked["state"], "iss": self.url}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(answer)}", status_code=303)

    async def _token(self, request: Request) -> Response:
        self.tokens_asked += 1
        basic = base64.b64encode(b"llm-proxy:a-secret%2Fwith%2Bsigns").decode()
        if request.headers.get("authorization") != f"Basic {basic}":
            return JSONResponse({"error": "invalid_client"}, 401)
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        asked = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if asked is None or asked["code_challenge"] != challenge or asked["redirect_uri"] != form["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse({"id_token": self.token(asked["nonce"]), "access_token": "at", "token_type": "Bearer"})

    def token(self, nonce: str) -> str:
        """An ID token."""
        now = int(time.time())
        said = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce, **self.claims}
        said = {name: value for name, value in {**said, **self.forged}.items() if value is not None}
        signer = self.signer or self.key
        return jwt.encode({"alg": self.algorithm, "kid": signer.kid}, said, signer, algorithms=[self.algorithm])

    async def _keys(self, request: Request) -> Response:
        self.keys_asked += 1
        return JSONResponse({"keys": [self.key.as_dict(private=False), {"kty": "LATTICE", "kid": "of another age"}]})

    async def _userinfo(self, request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer at"
        return JSONResponse({"sub": self.claims["sub"], **self.userinfo})

    async def _logout(self, request: Request) -> Response:
        self.left.append(dict(request.query_params))
        return RedirectResponse(request.query_params["post_logout_redirect_uri"], status_code=303)


_ENDPOINTS = {
    "authorization_endpoint": "authorize",
    "token_endpoint": "token",
    "jwks_uri": "keys",
    "userinfo_endpoint": "userinfo",
    "end_session_endpoint": "logout",
}


@contextlib.asynccontextmanager
async def openid_provider() -> AsyncIterator[OpenIdProvider]:
    """One that runs until the end of the block."""
    provider = OpenIdProvider()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    provider.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(provider.app, lifespan="off", log_config=None, ws="none"))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield provider
    finally:
        server.should_exit = True
        await running
