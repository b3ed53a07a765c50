"""A part of the full-text index: which of some hundreds of records in a row may hold a text. Pure.

A block has the words of its records, each once, and for each the texts in which it stands. What is looked for is cut
into words as well; the first and the last one may be parts of words, which are looked for in the list of words itself.
So whatever is in a text is found, from one character on and in every script, and what is found is read once more
(search.py), since words do not say in which order they stand.

A text is a piece that records share, which is in a block once, or what is a record's own. Records know their pieces by
the last link of a chain, as in the tables; links and pieces have numbers here.
"""

import re
import sys
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from operator import sub

import msgspec

from llm_proxy.store.bodies import decompress
from llm_proxy.store.search import readable, sought

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: Texts of a block at most; they are counted in two bytes.
MAX_TEXTS = 60_000
_WORD = re.compile(r"\w+")
#: ASCII with a space for each character that is in no word.
_WITHOUT_MARKS = bytes(code if _WORD.match(chr(code)) else ord(" ") for code in range(128)).ljust(256)
_NONE = -1
#: A part of a word that is in more words than that says nothing.
_TOO_MANY_WORDS = 5000
_END = b"\n"


class _Records(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    #: The number of the change of each, as differences.
    changes: list[int]
    #: The text that is its own, and its last link; -1 if there is none.
    own: list[int]
    tips: list[int]
    #: Of each link, the one before and the text; a link has a higher number than the one before.
    parents: list[int]
    texts: list[int]


_encode = msgspec.msgpack.Encoder().encode
_decode_records = msgspec.msgpack.Decoder(_Records).decode
#: Low and high bytes of how many texts each word is in, of which these are, as differences; and the records.
_decode_places = msgspec.msgpack.Decoder(tuple[bytes, bytes, bytes, bytes, bytes]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block as it is stored."""

    #: The words in order, an end of line before, between and behind them.
    words: bytes
    #: How many texts each word is in, which ones, and the records.
    places: bytes


class BlockBuilder:
    """Takes in records, and makes a block of them."""

    def __init__(self) -> None:
        #: The texts that each word is in.
        self._words: defaultdict[bytes, list[int]] = defaultdict(list)
        self._pieces: dict[bytes, int] = {}
        self._links: dict[tuple[int, int], int] = {}
        self._changes: list[int] = []
        self._own: list[int] = []
        self._tips: list[int] = []
        self._texts = 0

    @property
    def is_full(self) -> bool:
        """Whether no further record may be added."""
        return self._texts >= MAX_TEXTS

    @property
    def records(self) -> int:
        """How many there are."""
        return len(self._changes)

    def unknown(self, pieces: Iterable[bytes]) -> list[bytes]:
        """Those of the hashes of which ``learn`` has not been told the text."""
        return [piece for piece in dict.fromkeys(pieces) if piece not in self._pieces]

    def learn(self, piece: bytes, text: str) -> None:
        """Take in a piece."""
        self._pieces[piece] = self._add_text([text])

    def add(self, change: int, own: Sequence[str], pieces: Iterable[bytes]) -> None:
        """Take in a record, in the order of the changes, with the hashes of its pieces in their order."""
        tip = _NONE
        for piece in pieces:
            tip = self._links.setdefault((tip, self._pieces[piece]), len(self._links))
        self._changes.append(change)
        self._own.append(self._add_text(own))
        self._tips.append(tip)

    def block(self) -> Block:
        """All of it."""
        words = sorted(self._words)
        text = _END.join([b"", *words, b""])
        texts = [self._words[word] for word in words]
        counts = list(map(len, texts))
        records = _Records(
            changes=[*self._changes[:1], *(after - before for before, after in pairwise(self._changes))],
            own=self._own,
            tips=self._tips,
            parents=[parent for parent, _ in self._links],
            texts=[number for _, number in self._links],
        )
        # Bytes of the same kind side by side, which are compressed to half of what they are in pairs.
        parts = (*_split(array("H", counts)), *_split(array("H", _steps(texts, counts))), _encode(records))
        return Block(words=_compress(text), places=_compress(_encode(parts)))

    def _add_text(self, texts: Iterable[str]) -> int:
        number, numbers = self._texts, self._words
        for word in set().union(*map(_words_of, texts)):
            numbers[word].append(number)
        self._texts += 1
        return number


class Words:
    """What is looked for, as words."""

    def __init__(self, text: str) -> None:
        needle = sought(text)
        #: Each with an end of line where the word may not go on.
        self._parts = [
            (_END if found.start() else b"")
            + found[0].encode(errors="replace")
            + (_END if found.end() < len(needle) else b"")
            for found in _WORD.finditer(needle)
        ]

    def candidates(self, block_words: bytes, read_places: Callable[[], bytes]) -> list[int]:
        """The changes of the records that may hold the text; the places are read only if there may be any."""
        words = decompress(block_words)
        if not all(part in words for part in self._parts):
            return []
        places = _Places(read_places())
        texts: set[int] | None = None
        for part in sorted(self._parts, key=len, reverse=True):
            numbers = _words_with(part, words)
            if len(numbers) <= _TOO_MANY_WORDS:
                found = places.texts(numbers)
                texts = found if texts is None else texts & found
        return places.records(texts)


class _Places:
    def __init__(self, packed: bytes) -> None:
        counts_low, counts_high, steps_low, steps_high, records = _decode_places(decompress(packed))
        self._steps = _joined(steps_low, steps_high)
        self._starts = [0, *accumulate(_joined(counts_low, counts_high))]
        self._records = _decode_records(records)

    def texts(self, words: Iterable[int]) -> set[int]:
        """The texts that hold any of these words."""
        found: set[int] = set()
        for word in words:
            found.update(accumulate(self._steps[self._starts[word] : self._starts[word + 1]]))
        return found

    def records(self, texts: set[int] | None) -> list[int]:
        """The changes of the records that have any of these texts; of all records, if None."""
        records = self._records
        changes = accumulate(records.changes)
        if texts is None:
            return list(changes)
        marked: list[bool] = []
        for parent, number in zip(records.parents, records.texts, strict=True):
            marked.append(number in texts or (parent != _NONE and marked[parent]))
        return [
            change
            for change, own, tip in zip(changes, records.own, records.tips, strict=True)
            if own in texts or (tip != _NONE and marked[tip])
        ]


def _words_of(text: str) -> list[bytes]:
    text = readable(text)
    if text.isascii():  # the same words, in a tenth of the time
        return text.encode().translate(_WITHOUT_MARKS).split()
    return [word.encode(errors="replace") for word in _WORD.findall(text)]


def _words_with(part: bytes, words: bytes) -> list[int]:
    """The numbers of the words that ``part`` is in, and no more than are worth knowing."""
    numbers: list[int] = []
    counted, number = 0, -1
    place = words.find(part)
    while place >= 0 and len(numbers) <= _TOO_MANY_WORDS:
        at = place + part.startswith(_END)  # of a letter of the word, or of the end of line before it
        number += words.count(_END, counted, at)
        counted = at
        if not numbers or numbers[-1] != number:
            numbers.append(number)
        place = words.find(part, place + 1)
    return numbers


def _steps(texts: Sequence[list[int]], counts: Sequence[int]) -> list[int]:
    """The numbers of the texts of each word, the first as it is and the others as differences."""
    numbers = list(chain.from_iterable(texts))
    # Of all at once, also across words, and then put right there, which takes a third of the time.
    steps = list(map(sub, numbers, [0, *numbers]))
    for first in accumulate(counts[:-1]):
        steps[first] = numbers[first]
    return steps


def _compress(plain: bytes) -> bytes:
    return zstd.compress(plain, level=3)


def _split(numbers: "array[int]") -> tuple[bytes, bytes]:
    raw = _little(numbers)
    return raw[::2], raw[1::2]


def _joined(low: bytes, high: bytes) -> "array[int]":
    raw = bytearray(2 * len(low))
    raw[::2], raw[1::2] = low, high
    numbers = array("H", bytes(raw))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _little(numbers: "array[int]") -> bytes:
    if sys.byteorder == "big":
        numbers = array("H", numbers)
        numbers.byteswap()
    return numbers.tobytes()
