"""Text search in bodies, exact and without an index: every piece of text is read, but each only once a search.

Text is looked for in the decoded request and response as JSON, within one message, tool or other member, whatever its
case. Not for several threads.
"""

import re
from collections.abc import Iterable

from llm_proxy.model.json_text import encode_json
from llm_proxy.store.bodies import decompress, searched_text, searched_texts

#: Answers about pieces that are remembered before all are forgotten; one takes about a hundred bytes.
_REMEMBERED_PIECES = 200_000
#: Images, sounds and vectors in base64 or hexadecimal: nobody reads them, and an index of them would be as large.
_ENCODED = re.compile(r"[a-z0-9+/_-]{1000,}")
#: To find out whether there is any: each byte of its characters as one, and each other byte as a space.
_IS_OF_ENCODED = bytes(ord("x" if re.match(r"[a-z0-9+/_-]", chr(code), re.ASCII) else " ") for code in range(256))
_RUN = b"x" * 1000


class Searcher:
    """One search for ``text``."""

    def __init__(self, text: str) -> None:
        self._needle = sought(text)
        self._found: dict[bytes, bool] = {}

    def unknown(self, pieces: Iterable[bytes]) -> list[bytes]:
        """Those of the hashes of which ``learn`` has not been told the piece."""
        if len(self._found) > _REMEMBERED_PIECES:
            self._found.clear()
        return [piece for piece in set(pieces) if piece not in self._found]

    def learn(self, piece_hash: bytes, compressed: bytes) -> None:
        """Read a piece."""
        self._found[piece_hash] = self._is_in(searched_text(decompress(compressed)))

    def matches(self, blob: bytes | None, pieces: Iterable[bytes]) -> bool:
        """Whether the text is in a record that has this blob and these pieces, by their hashes, which were learnt."""
        if blob is None:
            return False
        texts, links_belong = searched_texts(blob)
        return any(map(self._is_in, texts)) or (links_belong and any(self._found[piece] for piece in pieces))

    def _is_in(self, text: str) -> bool:
        return self._needle in readable(text)


def sought(text: str) -> str:
    """What is looked for, as it stands in a ``readable`` text."""
    # Escaped as within JSON, where it is looked for.
    return encode_json(text)[1:-1].decode().casefold()


def readable(text: str) -> str:
    """What of a text is looked at: all of it, whatever its case, but what is encoded and long."""
    folded = text.casefold()
    if len(folded) < len(_RUN) or _RUN not in folded.encode(errors="replace").translate(_IS_OF_ENCODED):
        return folded
    return _ENCODED.sub(" ", folded)
