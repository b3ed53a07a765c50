"""Undo the content codings of a recorded body: gzip, deflate, br, zstd.

Piece by piece, so that one knows how much of the plain body each piece of the wire brought, and never beyond a limit:
a bomb costs no more than an honest body of that size. What comes before a fault is kept; the fault becomes a problem,
worded to follow "the response body". Nothing in here raises for what a body contains.
"""

import sys
import zlib
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Protocol

import brotli
import msgspec

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: More codings on one body than that are an attack; curl draws the line at the same number.
_MAX_CODINGS = 5
#: CMF and FLG (RFC 1950 section 2.2).
_ZLIB_HEADER_BYTES = 2
#: Asked for at a time, since brotli goes beyond its output limit by up to a block, and blocks grow with the limit.
_BROTLI_OUTPUT_BYTES = 2**20
#: The window of the ``zstd`` content coding is 8 MiB at most (RFC 9659 section 3).
_ZSTD_WINDOW_LOG = 23


class Plain(msgspec.Struct, frozen=True, kw_only=True):
    """A body without its content codings, as far as they could be undone."""

    content: bytes
    #: For each piece of the wire, how many bytes of ``content`` had come by then; empty if nothing was coded.
    ends: tuple[int, ...] = ()
    problem: str | None = None


def undo_codings(pieces: Sequence[bytes], codings: Sequence[str], *, limit: int) -> Plain:
    """Undo the ``codings`` of a body, named in the order in which they were applied (RFC 9110 section 8.4).

    ``limit`` is in bytes and holds for the result of each coding.
    """
    if len(codings) > _MAX_CODINGS:
        return Plain(content=b"", problem=f"has {len(codings)} content codings; at most {_MAX_CODINGS} are undone")
    problem = None
    for coding in reversed(codings):
        pieces, trouble = _undo(coding, pieces, limit)
        problem = problem or trouble
    return Plain(content=b"".join(pieces), ends=tuple(accumulate(map(len, pieces))), problem=problem)


def _undo(coding: str, pieces: Sequence[bytes], limit: int) -> tuple[list[bytes], str | None]:
    if coding not in _INFLATERS:
        return [], f"has the content coding {coding[:40]!r}, which is unknown here"
    inflater = _INFLATERS[coding]()
    plain: list[bytes] = []
    room = limit
    try:
        for piece in pieces:
            # One byte more than there is room for tells a body that fits from one that does not.
            plain.append(inflater.inflate(piece, room + 1))
            room -= len(plain[-1])
            if room < 0:
                plain[-1] = plain[-1][:room]
                return plain, f"is larger than {limit} bytes without its content coding; the rest is left out"
    except (zlib.error, brotli.error, zstd.ZstdError) as exc:
        return plain, f"is no valid {coding}: {exc}"
    return plain, None if inflater.finished else f"ends in the middle of its {coding} coding"


class _Inflater(Protocol):
    @property
    def finished(self) -> bool: ...

    def inflate(self, piece: bytes, room: int) -> bytes:
        """What ``piece`` brings; at least ``room`` bytes if there are as many, and then no call follows."""


class _Decompressor(Protocol):
    """What those of zlib and zstd have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /, max_length: int) -> bytes: ...


class _Frames:
    """Compressed frames one behind the other: gzip members (RFC 1952 section 2.2), zstd frames (RFC 8878 section 3)."""

    def __init__(self, new_frame: Callable[[], _Decompressor]) -> None:
        self._new_frame = new_frame
        self._frame = new_frame()

    @property
    def finished(self) -> bool:
        return self._frame.eof

    def inflate(self, piece: bytes, room: int) -> bytes:
        plain = []
        while piece and room > 0:
            if self._frame.eof:
                # Zeros may fill up the space behind a gzip member; no frame begins with one.
                piece = piece.lstrip(b"\0")
                self._frame = self._new_frame() if piece else self._frame
            else:
                plain.append(self._frame.decompress(piece, room))
                room -= len(plain[-1])
                piece = self._frame.unused_data
        return b"".join(plain)


class _Deflate:
    """``deflate``, which means zlib (RFC 1950) and, from some servers, the bare stream inside it (RFC 1951)."""

    def __init__(self) -> None:
        self._head = b""
        self._stream: _Decompressor | None = None

    @property
    def finished(self) -> bool:
        return self._stream is not None and self._stream.eof

    def inflate(self, piece: bytes, room: int) -> bytes:
        if self._stream is None:
            piece = self._head = self._head + piece
            if len(piece) < _ZLIB_HEADER_BYTES:
                return b""
            is_zlib = piece[0] & 0x0F == zlib.DEFLATED and int.from_bytes(piece[:2], "big") % 31 == 0
            self._stream = zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        return self._stream.decompress(piece, room)


class _Brotli:
    """``br`` (RFC 7932)."""

    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    @property
    def finished(self) -> bool:
        return bool(self._stream.is_finished())

    def inflate(self, piece: bytes, room: int) -> bytes:
        plain: list[bytes] = []
        while room > 0:
            plain.append(self._stream.process(piece, output_buffer_limit=min(room, _BROTLI_OUTPUT_BYTES)))
            room -= len(plain[-1])
            if self._stream.can_accept_more_data():
                break
            piece = b""
        return b"".join(plain)


def _new_gzip_member() -> _Decompressor:
    return zlib.decompressobj(zlib.MAX_WBITS | 16)


def _new_zstd_frame() -> _Decompressor:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})


_INFLATERS: dict[str, Callable[[], _Inflater]] = {
    "gzip": lambda: _Frames(_new_gzip_member),
    "x-gzip": lambda: _Frames(_new_gzip_member),
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": lambda: _Frames(_new_zstd_frame),
}
