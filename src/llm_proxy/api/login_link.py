"""A link that logs in once: who starts the program prints it, and the process with the pages takes it.

Between the two is a small file that holds the hash of the link and until when it is good. Taking it is deleting the
file, which only one can do. A new link replaces the one before.
"""

import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path

#: How long a link is good, in seconds: as long as it takes to come back to the terminal.
LIFE_S = 3600.0
_TOKEN_BYTES = 24


def issue(path: Path) -> str:
    """A new link's token, in the place of an earlier one. Raises OSError."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(f"{_hash(token)} {time.time() + LIFE_S:.0f}")
    fresh.replace(path)
    return token


def redeem(path: Path, token: str) -> bool:
    """Whether this is the token of the link, which is used up by that."""
    try:
        expected, until = path.read_text(encoding="ascii").split()
        if not hmac.compare_digest(expected, _hash(token)):
            return False
        path.unlink()
        return time.time() < float(until)
    except (OSError, ValueError):  # there is none, somebody was quicker, or it is no such file
        return False


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
