"""One exchange as bytes, compact and versioned: how it travels in a queue and lies among the dead letters.

::

    envelope = version 1 byte | zstd frame with its content size and a checksum, of MessagePack:
               [[fields of Exchange in the order below], [gaps between the chunks in µs], [sizes of the chunks],
                [gaps between the pieces sent after a 101 in µs], [sizes of those]]

Invariants
- ``unpack(pack(exchange)) == exchange``, whatever the bodies are.
- Fields are added at the end only, with a default, so that an older and a newer process read each other's envelopes.
- What cannot be read raises EnvelopeUnreadable and nothing else; a small envelope cannot claim unlimited memory.
"""

import sys
from array import array
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import accumulate, pairwise

import msgspec

from llm_proxy.errors import EnvelopeUnreadable
from llm_proxy.model.exchange import Attempt, Chunks, Ending, Endpoint, Exchange, RecordedHeaders

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

VERSION = 1
#: Level 1 takes a tenth of the time of the default one and a seventh more bytes, which live for a second.
_COMPRESSION: dict[int, int] = {
    zstd.CompressionParameter.compression_level: 1,
    zstd.CompressionParameter.checksum_flag: 1,
    zstd.CompressionParameter.content_size_flag: 1,
}
#: One for all, since to make one takes as long as a small call; a frame is one call of it, which locks it.
_compressor = zstd.ZstdCompressor(options=_COMPRESSION)
#: Unpacked bytes that an envelope may claim; two bodies at the largest capture limit that is of use are far less.
MAX_UNPACKED_BYTES = 2 * 2**30


class Fields(msgspec.Struct, kw_only=True):
    """The fields of an Exchange but its chunks."""

    id: str
    started_at: datetime
    method: str
    target: str
    path_context: str | None = None
    endpoint: Endpoint = Endpoint.OTHER
    upstream: str | None = None
    provider: str | None = None
    client: str | None = None
    key_fingerprint: str | None = None
    request_headers: RecordedHeaders = ()
    request_body: bytes | None = None
    request_bytes: int | None = None
    http_status: int | None = None
    response_headers: RecordedHeaders = ()
    response_body: bytes | None = None
    response_bytes: int | None = None
    ending: Ending | None = None
    reason: str | None = None
    truncated: bool = False
    connect_s: float | None = None
    first_byte_s: float | None = None
    ended_s: float | None = None
    organization_id: str | None = None
    project_id: str | None = None
    key_id: str | None = None
    tags: tuple[str, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    sent_s: float | None = None
    overhead_s: float | None = None
    queued_s: float | None = None
    dns_s: float | None = None
    tcp_s: float | None = None
    tls_s: float | None = None

    def exchange(self, times_us: Iterable[int], sizes: Iterable[int], sent: Chunks | None = None) -> Exchange:
        """The exchange of these fields and chunks."""
        members = {name: getattr(self, name) for name in self.__struct_fields__ if name in _NAMES}
        members["started_at"] = self.started_at.astimezone(UTC)
        chunks = Chunks(times_us=array("Q", times_us), sizes=array("Q", sizes))
        return Exchange(**members, chunks=chunks, sent=sent or Chunks())


_NAMES = frozenset(Fields.__struct_fields__)


class _PackedFields(Fields, array_like=True):
    pass


class _Packed(msgspec.Struct, array_like=True):
    fields: _PackedFields
    gaps_us: list[int]
    sizes: list[int]
    sent_gaps_us: list[int] = []
    sent_sizes: list[int] = []


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Packed).decode


def pack(exchange: Exchange) -> bytes:
    """The envelope of ``exchange``."""
    packed = _Packed(
        _PackedFields(**{name: getattr(exchange, name) for name in _NAMES}),
        _gaps(exchange.chunks),
        exchange.chunks.sizes.tolist(),
        _gaps(exchange.sent),
        exchange.sent.sizes.tolist(),
    )
    return bytes([VERSION]) + _compressor.compress(_encode(packed), mode=zstd.ZstdCompressor.FLUSH_FRAME)


def unpack(envelope: bytes) -> Exchange:
    """The exchange in ``envelope``. Raises EnvelopeUnreadable."""
    unpacked_bytes(envelope)
    try:
        packed = _decode(zstd.decompress(memoryview(envelope)[1:]))
        sent = Chunks(
            times_us=array("Q", accumulate(packed.sent_gaps_us)),
            sizes=array("Q", packed.sent_sizes),
        )
        return packed.fields.exchange(accumulate(packed.gaps_us), packed.sizes, sent)
    except (zstd.ZstdError, msgspec.MsgspecError, ValueError, TypeError, OverflowError, MemoryError) as exc:
        raise EnvelopeUnreadable(f"the envelope is damaged: {exc}") from exc


def _gaps(chunks: Chunks) -> list[int]:
    return [after - before for before, after in pairwise([0, *chunks.times_us])]


def unpacked_bytes(head: bytes) -> int:
    """How much memory an envelope takes unpacked, told by its first bytes. Raises EnvelopeUnreadable."""
    if head[:1] != bytes([VERSION]):
        raise EnvelopeUnreadable(f"the envelope has version {head[0] if head else 'none'}, which is not known here")
    try:
        size = zstd.get_frame_info(memoryview(head)[1:]).decompressed_size
    except zstd.ZstdError as exc:
        raise EnvelopeUnreadable(f"the envelope is damaged: {exc}") from exc
    if size is None or size > MAX_UNPACKED_BYTES:
        raise EnvelopeUnreadable(f"the envelope claims to hold {size} bytes")
    return size
