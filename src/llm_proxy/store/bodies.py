"""The heavy part of a record as one compressed blob, and text search in it.

A blob is a zstd frame of a MessagePack array, whose members are those of ``_Content``. All parts share one frame: an
answer and its decoded JSON say the same twice, and the second time costs next to nothing. JSON that is byte for byte
its own body, as that of most requests, is left out altogether.
"""

import sys
from array import array
from typing import cast

import msgspec

from llm_proxy.model.completion import Bodies, JsonValue
from llm_proxy.model.exchange import Chunks, RecordedHeaders
from llm_proxy.model.json_text import decode_json, encode_json

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: zstd's own default: higher levels take several times as long for a few per cent.
_LEVEL = 3
#: In place of JSON that is the same as the body; no JSON is empty.
_IS_THE_BODY = b""


class _Content(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    request_body: bytes | None
    response_body: bytes | None
    #: Decoded bodies as JSON.
    request: bytes | None
    response: bytes | None
    #: JSON lists of [name, value].
    request_headers: bytes
    response_headers: bytes
    #: Unsigned 64-bit integers, little-endian.
    chunk_times_us: bytes
    chunk_sizes: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Content).decode


class Packer:
    """Makes blobs, with one compressor for all, which takes a third of the time off; so not for several threads."""

    def __init__(self) -> None:
        self._compressor = zstd.ZstdCompressor(level=_LEVEL)

    def pack(self, bodies: Bodies) -> bytes:
        """The blob. Raises RecursionError if the JSON is too deep."""
        content = _Content(
            request_body=bodies.request_body,
            response_body=bodies.response_body,
            request=_json(bodies.request, bodies.request_body),
            response=_json(bodies.response, bodies.response_body),
            request_headers=encode_json(bodies.request_headers),
            response_headers=encode_json(bodies.response_headers),
            chunk_times_us=_pack_integers(bodies.chunks.times_us),
            chunk_sizes=_pack_integers(bodies.chunks.sizes),
        )
        return self._compressor.compress(_encode(content), mode=zstd.ZstdCompressor.FLUSH_FRAME)


def unpack(blob: bytes) -> Bodies:
    """What ``Packer.pack`` made the blob of."""
    content = _decode(zstd.decompress(blob))
    return Bodies(
        request_headers=_headers(content.request_headers),
        response_headers=_headers(content.response_headers),
        request_body=content.request_body,
        response_body=content.response_body,
        request=_value(content.request, content.request_body),
        response=_value(content.response, content.response_body),
        chunks=Chunks(times_us=_unpack_integers(content.chunk_times_us), sizes=_unpack_integers(content.chunk_sizes)),
    )


def search_needle(text: str) -> str:
    """``text`` as ``contains`` looks for it: escaped as within JSON, in no case."""
    return encode_json(text)[1:-1].decode().casefold()


def contains(blob: bytes, needle: str) -> bool:
    """Whether the JSON of the decoded request or response contains ``needle``."""
    content = _decode(zstd.decompress(blob))
    pairs = (content.request, content.request_body), (content.response, content.response_body)
    texts = (body if json == _IS_THE_BODY else json for json, body in pairs)
    return any(needle in text.decode().casefold() for text in texts if text is not None)


def _json(value: JsonValue, body: bytes | None) -> bytes | None:
    if value is None:
        return None
    json = encode_json(value)
    return _IS_THE_BODY if json == body else json


def _value(json: bytes | None, body: bytes | None) -> JsonValue:
    if json == _IS_THE_BODY:
        json = body
    return None if json is None else decode_json(json)


def _headers(json: bytes) -> RecordedHeaders:
    pairs = cast("list[tuple[str, str | None]]", decode_json(json))
    return tuple((name, value) for name, value in pairs)


def _pack_integers(numbers: "array[int]") -> bytes:
    return _little_endian(array("Q", numbers)).tobytes()


def _unpack_integers(packed: bytes) -> "array[int]":
    return _little_endian(array("Q", packed))


def _little_endian(numbers: "array[int]") -> "array[int]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
