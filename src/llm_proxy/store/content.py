"""Cut a JSON request into pieces that later requests repeat, and join it again. Pure.

Agents send their whole history with every call, so that a call brings one new message and repeats the others, the
tools and the instructions. A body is cut at the byte offsets of its members and of the elements of its lists, in the
bytes as they came: whatever is found out about the JSON, the pieces and the rest joined are the body, byte for byte.

Small neighbours share a piece, since a piece costs about a hundred bytes beside its text. Pieces are cut from the
front, so that a history that grew at its end has the pieces that it had before. The conversation comes last, behind
what stays the same over many conversations, wherever it stands in the body.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

import msgspec

#: A piece is at least so long: less would cost more to refer to than to repeat.
MIN_PIECE_BYTES = 512
#: Members that grow from call to call.
_CONVERSATIONS = frozenset({"messages", "input", "contents"})
_HASH_BYTES = 16

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode
#: From the end of one member to the value of the next one.
_TO_VALUE = re.compile(rb'[\s,{]*"[^"\\]*(?:\\.[^"\\]*)*"\s*:\s*', re.DOTALL)
_BETWEEN = re.compile(rb"[\s,]*")
_IS_A_LIST_OF_OBJECTS = re.compile(rb"\[\s*\{")


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """A body in pieces: ``rest`` with gaps, and what belongs into them."""

    rest: bytes
    #: For each gap, where in ``rest`` it is, and the number of the first and of all its pieces; by place.
    gaps: tuple[tuple[int, int, int], ...]
    pieces: tuple[bytes, ...]


class Link(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One piece in its place: behind all that ``parent`` stands for. A msgspec structure since there are so many."""

    #: Of this link and, by its parent, of everything before it.
    hash: bytes
    parent: bytes | None
    piece_hash: bytes
    piece: bytes


def cut(body: bytes) -> Cut | None:
    """``body`` in pieces; None if it is too small, no JSON object, or one in which a member stands twice."""
    if len(body) < MIN_PIECE_BYTES:
        return None
    try:
        members = _members(body)
        gaps = sorted(_gaps(body, members), key=lambda gap: gap.in_conversation)
    except (ValueError, RecursionError):
        return None
    if not gaps:
        return None
    pieces: list[bytes] = []
    firsts: dict[int, int] = {}
    for gap in gaps:
        firsts[gap.start] = len(pieces)
        pieces += [body[start:end] for start, end in zip((gap.start, *gap.ends), gap.ends, strict=False)]
    rest, places, done = bytearray(), [], 0
    for gap in sorted(gaps, key=lambda gap: gap.start):
        rest += body[done : gap.start]
        places.append((len(rest), firsts[gap.start], len(gap.ends)))
        done = gap.ends[-1]
    return Cut(rest=bytes(rest + body[done:]), gaps=tuple(places), pieces=tuple(pieces))


def join(rest: bytes, gaps: Sequence[tuple[int, int, int]], pieces: Sequence[bytes]) -> bytes:
    """The body that ``cut`` cut."""
    parts, done = [], 0
    for place, first, count in gaps:
        parts.append(rest[done:place])
        parts += pieces[first : first + count]
        done = place
    return b"".join([*parts, rest[done:]])


def chain(pieces: Sequence[bytes], organization_id: str) -> tuple[Link, ...]:
    """``pieces`` as links, each behind the one before.

    The last one's hash stands for all of them, and histories with the same beginning have the same links. The hashes
    are keyed by the organisation: no two ever share a piece, nor can one find out what another has.
    """
    key = _key_of(organization_id)
    links: list[Link] = []
    parent: bytes | None = None
    for piece in pieces:
        piece_hash = hashlib.blake2b(piece, digest_size=_HASH_BYTES, key=key).digest()
        place = hashlib.blake2b((parent or b"") + piece_hash, digest_size=_HASH_BYTES).digest()
        links.append(Link(hash=place, parent=parent, piece_hash=piece_hash, piece=piece))
        parent = place
    return tuple(links)


@lru_cache(maxsize=1024)
def _key_of(organization_id: str) -> bytes:
    return hashlib.blake2b(organization_id.encode(errors="surrogatepass"), digest_size=32).digest()


class _Gap(msgspec.Struct, frozen=True):
    in_conversation: bool
    start: int
    #: The end of each of its pieces; one begins where the one before ends.
    ends: tuple[int, ...]


def _gaps(body: bytes, members: dict[str, msgspec.Raw]) -> Iterator[_Gap]:
    """What is to be cut out, by its place. Raises ValueError if ``members`` are not all that is in ``body``."""
    end = 0
    for name, value in members.items():
        before = _TO_VALUE.match(body, end)
        start = before.end() if before else 0
        end = start + len(value)
        if not body.startswith(value, start):  # a member that stands twice is in ``members`` once
            raise ValueError(name)
        if end - start >= MIN_PIECE_BYTES:
            ends = _ends(body, start, value)
            if ends:
                first = start + 1 if body[start] == ord("[") else start
                yield _Gap(name in _CONVERSATIONS, first, ends)


def _ends(body: bytes, start: int, value: msgspec.Raw) -> tuple[int, ...]:
    if body[start] in b'"{':
        return (start + len(value),)
    # Numbers and vectors are left whole: nobody repeats half of a list of them.
    return tuple(_ends_in_list(body, start + 1, value)) if _IS_A_LIST_OF_OBJECTS.match(body, start) else ()


def _ends_in_list(body: bytes, piece_start: int, value: msgspec.Raw) -> Iterator[int]:
    """Ends of elements, far enough from each other; a comma belongs to what follows it, as it comes with that."""
    end = piece_start
    for element in _elements(value):
        between = _BETWEEN.match(body, end)
        end = (between.end() if between else end) + len(element)
        if end - piece_start >= MIN_PIECE_BYTES:
            yield end
            piece_start = end
