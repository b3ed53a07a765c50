"""Signature Version 4 of AWS: a request is signed anew, as its signature covers the host that it goes to.

https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html. Signed are the headers that must be, and
the body; whatever the client has signed is left out. Pure, but for the clock that is passed in.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from llm_proxy.proxy.transport.base import RawHeaders

_ALGORITHM = "AWS4-HMAC-SHA256"
#: What a signature brings, besides Authorization.
_OF_A_SIGNATURE = frozenset({b"authorization", b"x-amz-date", b"x-amz-security-token", b"x-amz-content-sha256"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Credentials of AWS, and what they are for."""

    access_key_id: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    region: str
    service: str = "bedrock"

    def sign(self, method: bytes, target: bytes, headers: RawHeaders, body: bytes, *, at: datetime) -> RawHeaders:
        """``headers`` with a signature, of a request at the time ``at`` in UTC; they must have a Host."""
        time = at.strftime("%Y%m%dT%H%M%SZ")
        signed = [header for header in headers if header[0].lower() not in _OF_A_SIGNATURE]
        signed.append((b"X-Amz-Date", time.encode()))
        if self.session_token is not None:
            signed.append((b"X-Amz-Security-Token", self.session_token.encode()))
        covered = {
            name.lower().decode("latin-1"): " ".join(value.decode("latin-1").split())
            for name, value in signed
            if name.lower() in (b"host", b"content-type") or name.lower().startswith(b"x-amz-")
        }
        names = ";".join(sorted(covered))
        path, _, query = target.partition(b"?")
        canonical = "\n".join(
            [
                method.decode(),
                quote(path, safe="/-_.~"),
                _canonical_query(query),
                *(f"{name}:{covered[name]}" for name in sorted(covered)),
                "",
                names,
                hashlib.sha256(body).hexdigest(),
            ]
        )
        scope = f"{time[:8]}/{self.region}/{self.service}/aws4_request"
        text = "\n".join([_ALGORITHM, time, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = _signing_key(self.secret_key, time[:8], self.region, self.service)
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        value = f"{_ALGORITHM} Credential={self.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
        return [*signed, (b"Authorization", value.encode())]


@lru_cache(maxsize=8)  # one a day and upstream
def _signing_key(secret_key: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _canonical_query(query: bytes) -> str:
    pairs = (part.partition(b"=") for part in query.split(b"&") if part)
    return "&".join("=".join(pair) for pair in sorted((_encoded(name), _encoded(value)) for name, _, value in pairs))


def _encoded(text: bytes) -> str:
    return quote(unquote_to_bytes(text), safe="-_.~")
