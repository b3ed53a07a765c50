"""The heavy part of a record: what it shares with others as links, and what is its own as one compressed blob.

A blob is a zstd frame of a MessagePack array, whose members are those of ``_Content``. All parts share one frame: an
answer and its decoded JSON say the same twice, and the second time costs next to nothing. JSON that is what its body
says is left out altogether and read from there. What of a request others are likely to repeat is cut out (content.py):
from its body or, if that has a content coding and can only be kept whole, from its decoded JSON.
"""

import sys
from array import array
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import cast

import msgspec

from llm_proxy.model.completion import Bodies, JsonValue
from llm_proxy.model.exchange import Attempt, Chunks, RecordedHeaders
from llm_proxy.model.json_text import decode_json, encode_json
from llm_proxy.store.content import Link, chain, cut, join

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: Level of zstd. Its default, 3, takes an eighth to a third longer for 1 to 4 % fewer bytes of text; the levels below 0
#: take as long as 1 where a text is long, and a third less for a fifth more bytes where it is short.
_LEVEL = 1
#: In place of JSON that can be read from the body; no JSON is empty.
_IS_IN_THE_BODY = b""
#: In place of a gap, where the rest of a body must be JSON: a text that nobody can look for.
_EMPTY_TEXT = b'""'
_WRAP = 2**64
#: First byte of a blob of the first step of the schema: a MessagePack array of eight.
_STEP_1 = 0x98


class _Content(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    request_body: bytes | None
    response_body: bytes | None
    #: Decoded bodies as JSON.
    request: bytes | None
    response: bytes | None
    #: JSON lists of [name, value].
    request_headers: bytes
    response_headers: bytes
    #: Times as the differences from one to the next, modulo 2**64.
    chunk_gaps_us: list[int]
    chunk_sizes: list[int]
    #: Those of ``Cut``; empty if nothing was cut.
    gaps: list[tuple[int, int, int]]
    #: Whether they are in ``request``, and not in ``request_body``.
    cut_decoded: bool
    #: As JSON; empty if there is none, and not there in what was written before there were any.
    stacktrace: bytes = b""
    attempts: tuple[Attempt, ...] = ()
    #: Those of what was sent after a 101, as of the chunks.
    sent_gaps_us: list[int] = []
    sent_sizes: list[int] = []


class _ContentOfStep1(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    request_body: bytes | None
    response_body: bytes | None
    request: bytes | None
    response: bytes | None
    request_headers: bytes
    response_headers: bytes
    #: Unsigned 64-bit integers, little-endian.
    chunk_times_us: bytes
    chunk_sizes: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Content).decode
_decode_strictly = msgspec.json.Decoder().decode
_decode_step_1 = msgspec.msgpack.Decoder(_ContentOfStep1).decode


class Packed(msgspec.Struct, frozen=True, kw_only=True):
    """Bodies as they are stored."""

    blob: bytes
    #: What the blob leaves out, in order; the last one's hash is what refers to all.
    links: tuple[Link, ...] = ()

    @property
    def tip(self) -> bytes | None:
        """The hash to read the links from; None if there are none."""
        return self.links[-1].hash if self.links else None


class Packer:
    """Makes blobs, with the same compressor for all, which takes a third of the time off; not for several threads."""

    def __init__(self) -> None:
        self._compressor = zstd.ZstdCompressor(level=_LEVEL)

    def pack(self, bodies: Bodies, organization_id: str) -> Packed:
        """The blob and its links. Raises RecursionError if the JSON is too deep."""
        request, request_body = _json(bodies.request, bodies.request_body), bodies.request_body
        found = cut(request_body) if request_body else None
        cut_decoded = False
        if found is None and request:
            found = cut(request)
            cut_decoded = found is not None
        content = _Content(
            request_body=found.rest if found and not cut_decoded else request_body,
            response_body=bodies.response_body,
            request=found.rest if found and cut_decoded else request,
            response=_json(bodies.response, bodies.response_body),
            request_headers=encode_json(bodies.request_headers),
            response_headers=encode_json(bodies.response_headers),
            chunk_gaps_us=_differences(bodies.chunks.times_us),
            chunk_sizes=bodies.chunks.sizes.tolist(),
            gaps=list(found.gaps) if found else [],
            cut_decoded=cut_decoded,
            stacktrace=b"" if bodies.stacktrace is None else encode_json(bodies.stacktrace),
            attempts=bodies.attempts,
            sent_gaps_us=_differences(bodies.sent.times_us),
            sent_sizes=bodies.sent.sizes.tolist(),
        )
        links = chain(found.pieces, organization_id) if found else ()
        return Packed(blob=self.compress(_encode(content)), links=links)

    def compress(self, plain: bytes) -> bytes:
        """``plain`` as a zstd frame: a blob, or a piece."""
        return self._compressor.compress(plain, mode=zstd.ZstdCompressor.FLUSH_FRAME)


def unpack(blob: bytes, pieces: Sequence[bytes]) -> Bodies:
    """What ``Packer.pack`` made the blob of; ``pieces`` are those of its links, as ``decompress`` gives them."""
    content = _content(blob)
    request, request_body = content.request, content.request_body
    if content.cut_decoded:
        request = join(request or b"", content.gaps, pieces)
    elif content.gaps:
        request_body = join(request_body or b"", content.gaps, pieces)
    return Bodies(
        request_headers=_headers(content.request_headers),
        response_headers=_headers(content.response_headers),
        request_body=request_body,
        response_body=content.response_body,
        request=_value(request, request_body),
        response=_value(content.response, content.response_body),
        chunks=Chunks(times_us=_sums(content.chunk_gaps_us), sizes=array("Q", content.chunk_sizes)),
        stacktrace=decode_json(content.stacktrace) if content.stacktrace else None,
        attempts=content.attempts,
        sent=Chunks(times_us=_sums(content.sent_gaps_us), sizes=array("Q", content.sent_sizes)),
    )


def decompress(piece: bytes) -> bytes:
    """The piece that ``Packer.compress`` compressed."""
    return zstd.decompress(piece)


def searched_texts(blob: bytes) -> tuple[list[str], bool]:
    """The decoded request and response as JSON, with gaps where links are; and whether these belong to it, too."""
    content = _content(blob)
    request, request_body = content.request, content.request_body
    links_belong = bool(content.gaps) and (content.cut_decoded or request == _IS_IN_THE_BODY)
    if links_belong:
        gaps = [(place, index, 1) for index, (place, _, _) in enumerate(content.gaps)]
        rest = join((request if content.cut_decoded else request_body) or b"", gaps, [_EMPTY_TEXT] * len(gaps))
        request, request_body = _IS_IN_THE_BODY, rest
    pairs = (request, request_body), (content.response, content.response_body)
    texts = [_rewritten(body or b"") if json == _IS_IN_THE_BODY else json for json, body in pairs if json is not None]
    return [text.decode() for text in texts], links_belong


def searched_text(piece: bytes) -> str:
    """A piece as JSON in the same way of writing, or as it is if it is part of what was never decoded."""
    try:
        return _rewritten(b"[" + piece.lstrip(b", \t\r\n") + b"]").decode()
    except (ValueError, RecursionError):
        return piece.decode(errors="replace")


def _content(blob: bytes) -> _Content:
    plain = decompress(blob)
    if plain[0] != _STEP_1:
        return _decode(plain)
    content = _decode_step_1(plain)
    return _Content(
        request_body=content.request_body,
        response_body=content.response_body,
        request=content.request,
        response=content.response,
        request_headers=content.request_headers,
        response_headers=content.response_headers,
        chunk_gaps_us=_differences(_integers(content.chunk_times_us)),
        chunk_sizes=_integers(content.chunk_sizes).tolist(),
        gaps=[],
        cut_decoded=False,
    )


def _json(value: JsonValue, body: bytes | None) -> bytes | None:
    if value is None:
        return None
    json = encode_json(value)
    return _IS_IN_THE_BODY if json == body or _says(body, json) else json


def _says(body: bytes | None, json: bytes) -> bool:
    """Whether ``body`` is another way of writing ``json``."""
    if not body or body[:1] not in b"{[ \t\r\n":
        return False
    try:
        return encode_json(_decode_strictly(body)) == json
    except (ValueError, RecursionError):
        return False


def _value(json: bytes | None, body: bytes | None) -> JsonValue:
    if json == _IS_IN_THE_BODY:
        json = body
    return None if json is None else decode_json(json)


def _rewritten(json: bytes) -> bytes:
    return encode_json(decode_json(json))


def _headers(json: bytes) -> RecordedHeaders:
    pairs = cast("list[tuple[str, str | None]]", decode_json(json))
    return tuple((name, value) for name, value in pairs)


def _differences(numbers: "array[int]") -> list[int]:
    """Mostly small, and small numbers take one byte."""
    return [*numbers[:1], *((after - before) % _WRAP for before, after in pairwise(numbers))]


def _sums(differences: list[int]) -> "array[int]":
    return array("Q", accumulate(differences, lambda total, more: (total + more) % _WRAP))


def _integers(packed: bytes) -> "array[int]":
    numbers = array("Q", packed)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
