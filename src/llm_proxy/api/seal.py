"""What others keep for us, in a cookie or a URL: readable by whoever has it, and changed by nobody."""

import base64
import hmac

_DIGEST = "sha256"


class Seal:
    """Signs, for one purpose."""

    def __init__(self, secret: bytes, purpose: bytes) -> None:
        """``secret`` is the same for all processes that serve pages."""
        self._secret = hmac.digest(secret, purpose, _DIGEST)

    def close(self, content: bytes) -> str:
        """``content`` with a signature, as a word that fits a cookie and a path."""
        said = _encoded(content)
        return f"{said}.{self._signature(said)}"

    def open(self, sealed: str) -> bytes | None:
        """What was signed; None if it was not signed here, or for another purpose."""
        said, _, signature = sealed.partition(".")
        if not said or not hmac.compare_digest(signature.encode(errors="replace"), self._signature(said).encode()):
            return None
        return base64.urlsafe_b64decode(said + "=" * (-len(said) % 4))

    def _signature(self, said: str) -> str:
        return _encoded(hmac.digest(self._secret, said.encode(errors="replace"), _DIGEST))


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
