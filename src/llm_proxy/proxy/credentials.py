"""Keys: recognised, never recorded. A call is on record with a fingerprint of its key, by which keys can be told apart.

Where a key can stand, here and in the headers of attribution/passage.py, nothing else is ever kept either.
"""

import hashlib
import hmac
import re
from urllib.parse import unquote_to_bytes

#: Comes with a signature of AWS, and is of no use to tell who signed.
SECURITY_TOKEN = b"x-amz-security-token"
#: Headers that carry the client's key for a provider, lower-case.
CREDENTIAL_HEADERS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", SECURITY_TOKEN})
#: Query parameters that carry a secret with some provider or another.
_SECRET_PARAMETER = re.compile(
    rb"(?<=[?&;])((?:x-)?(?:api[-_]?)?key|(?:access[-_]?|auth[-_]?|id[-_]?)?token|(?:client[-_]?)?secret|password|"
    rb"sig|signature|x-amz-(?:signature|credential|security-token)|code)=[^&;]*",
    re.IGNORECASE,
)
#: Those that are the client's key itself, and are left out where another key takes its place.
_KEY_PARAMETER = re.compile(rb"(?:^|(?<=&))((?:x-)?(?:api[-_]?)?key|access[-_]?token)=([^&]*)(?:&|$)", re.IGNORECASE)
#: https://platform.openai.com/docs/guides/realtime-websocket
_KEY_PROTOCOL = re.compile(rb"(?:^|[\s,])openai-insecure-api-key\.([^\s,]+)")
#: What names the signer in the header of a signed request; the rest is another one each time
#: (https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html).
#: The same with what separates it from the others.
_KEY_PROTOCOL_WITH_COMMA = re.compile(rb"openai-insecure-api-key\.[^\s,]+[\s]*,?[\s]*")
_SIGNER = re.compile(rb"AWS4-HMAC-SHA256 +Credential=([^/,]+)")
#: Distinct keys whose fingerprints are remembered.
_REMEMBERED = 1024
_LAST_CHARACTERS = 4
#: A key that is not much longer than its last characters would be given away by them.
_SHORT_KEY_CHARACTERS = 16


class Fingerprints:
    """Keyed hashes: whoever reads the records cannot find a key by trying, but sees which calls used the same one."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._known: dict[bytes, str] = {}

    def of(self, value: bytes) -> str:
        """``<12 hex digits>…<last 4>`` of a credential header's value, its scheme word left out."""
        known = self._known.get(value)
        if known is not None:
            return known
        signer = _SIGNER.match(value)
        value = signer[1] if signer else value
        known = self._known.get(value)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[value] = self._compute(value)
        return known

    def _compute(self, value: bytes) -> str:
        key = value.split(b" ", 1)[-1].strip()
        digest = hmac.new(self._secret, key, hashlib.sha256).hexdigest()[:12]
        last = key[-_LAST_CHARACTERS:].decode("ascii", "replace") if len(key) >= _SHORT_KEY_CHARACTERS else ""
        return f"{digest}…{last}"


def without_keys(query: bytes, mark: bytes) -> tuple[bytes, list[bytes]]:
    """``query`` without the parameters whose value begins with ``mark``, and those values."""
    if mark not in query:
        return query, []
    kept: list[bytes] = []
    keys: list[bytes] = []
    for parameter in query.split(b"&"):
        value = unquote_to_bytes(parameter.partition(b"=")[2])
        (keys if value.startswith(mark) else kept).append(value if value.startswith(mark) else parameter)
    return b"&".join(kept), keys


def blank_secrets(query: bytes) -> bytes:
    """``query`` as it may be recorded: values of parameters that can be secrets are replaced by ``***``."""
    return _SECRET_PARAMETER.sub(rb"\1=***", b"?" + query)[1:] if query else query


def key_in_protocols(value: bytes) -> bytes | None:
    """The key that browsers put among the protocols of a WebSocket, as they can send no header of their own."""
    found = _KEY_PROTOCOL.search(value)
    return found[1] if found else None


def without_key_in_protocols(value: bytes) -> bytes:
    """The protocols of a WebSocket without those that are keys; empty if there are no others."""
    return _KEY_PROTOCOL_WITH_COMMA.sub(b"", value).rstrip(b", \t")


def split_key(query: bytes) -> tuple[bytes, bytes | None]:
    """``query`` without parameters that carry the client's key, and the first such key; None if there is none."""
    found = _KEY_PARAMETER.search(query) if b"key=" in query.lower() or b"token=" in query.lower() else None
    if found is None:
        return query, None
    return _KEY_PARAMETER.sub(b"", query).removesuffix(b"&"), found[2]
