import gzip
import sys
import tracemalloc
import zlib

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_proxy.decode.codings import Plain, undo_codings

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MIB = 2**20
TEXT = b'data: {"choices":[{"delta":{"content":"Gr\xc3\xbc\xc3\x9f dich"}}]}\n\n' * 20


def raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


CODED = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}


def flushed(coding: str, pieces: list[bytes]) -> list[bytes]:
    """Each piece compressed so that it can be read when it has arrived, as servers send streams."""
    if coding == "br":
        compressor = brotli.Compressor()
        return [*(compressor.process(piece) + compressor.flush() for piece in pieces), compressor.finish()]
    if coding == "zstd":
        compressor = zstd.ZstdCompressor()
        flush_block = compressor.FLUSH_BLOCK
        return [*(compressor.compress(piece, mode=flush_block) for piece in pieces), compressor.flush()]
    compressor = zlib.compressobj(wbits=zlib.MAX_WBITS | 16 if coding == "gzip" else zlib.MAX_WBITS)
    sync = zlib.Z_SYNC_FLUSH
    return [*(compressor.compress(piece) + compressor.flush(sync) for piece in pieces), compressor.flush()]


@pytest.mark.parametrize("coding", CODED)
def test_a_coding_cut_at_any_byte_is_undone(coding):
    wire = CODED[coding](TEXT)

    for cut in range(len(wire) + 1):
        plain = undo_codings([wire[:cut], wire[cut:]], [coding], limit=MIB)
        assert (plain.content, plain.problem) == (TEXT, None)


@pytest.mark.parametrize("coding", CODED)
def test_a_coding_that_ends_early_yields_what_had_come_and_a_problem(coding):
    wire = CODED[coding](bytes(range(256)) * 400)

    for cut in range(1, len(wire), 7):
        plain = undo_codings([wire[:cut]], [coding], limit=MIB)
        assert (bytes(range(256)) * 400).startswith(plain.content)
        assert plain.problem == f"ends in the middle of its {coding} coding"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_it_is_known_how_much_came_with_each_piece(coding):
    pieces = [b"data: 1\n\n", b"data: 22\n\n", b"data: 333\n\n"]

    plain = undo_codings(flushed(coding, pieces), [coding], limit=MIB)

    assert plain == Plain(content=b"".join(pieces), ends=(9, 19, 30, 30))


def test_a_deflate_body_without_its_zlib_wrapper_is_undone():
    wire = raw_deflate(TEXT)

    for cut in range(len(wire) + 1):
        assert undo_codings([wire[:cut], wire[cut:]], ["deflate"], limit=MIB).content == TEXT


@pytest.mark.parametrize("padding", [b"", b"\0" * 40])
def test_a_gzip_body_may_have_several_members_and_padding(padding):
    wire = gzip.compress(b"one ") + padding + gzip.compress(b"two") + padding

    for cut in range(len(wire) + 1):
        plain = undo_codings([wire[:cut], wire[cut:]], ["gzip"], limit=MIB)
        assert (plain.content, plain.problem) == (b"one two", None)


def test_a_zstd_body_may_have_several_frames():
    wire = zstd.compress(b"one ") + zstd.compress(b"two")

    assert undo_codings([wire], ["zstd"], limit=MIB).content == b"one two"


def test_what_follows_the_last_member_is_a_problem_and_the_body_is_kept():
    plain = undo_codings([gzip.compress(TEXT) + b"garbage"], ["gzip"], limit=MIB)

    assert plain.content in (TEXT, b"")
    assert plain.problem is not None
    assert plain.problem.startswith("is no valid gzip: ")


def test_codings_are_undone_in_the_reverse_of_the_order_in_which_they_are_named():
    wire = brotli.compress(gzip.compress(TEXT))

    for cut in range(len(wire) + 1):
        plain = undo_codings([wire[:cut], wire[cut:]], ["gzip", "br"], limit=MIB)
        assert (plain.content, plain.problem) == (TEXT, None)
        assert len(plain.ends) == 2


def test_more_codings_than_anyone_needs_are_not_undone():
    plain = undo_codings([TEXT], ["gzip"] * 6, limit=MIB)

    assert plain == Plain(content=b"", problem="has 6 content codings; at most 5 are undone")


def test_an_unknown_coding_is_a_problem():
    plain = undo_codings([TEXT], ["compress"], limit=MIB)

    assert plain == Plain(content=b"", problem="has the content coding 'compress', which is unknown here")


@pytest.mark.parametrize("coding", CODED)
def test_a_body_may_be_as_large_as_the_limit_and_not_a_byte_larger(coding):
    wire = CODED[coding](TEXT)

    fits = undo_codings([wire], [coding], limit=len(TEXT))
    exceeds = undo_codings([wire], [coding], limit=len(TEXT) - 1)

    assert (fits.content, fits.problem) == (TEXT, None)
    assert exceeds.content == TEXT[:-1]
    assert exceeds.problem == (f"is larger than {len(TEXT) - 1} bytes without its content coding; the rest is left out")


@pytest.mark.parametrize("coding", CODED)
def test_a_bomb_takes_no_more_memory_than_the_limit_is_worth(coding):
    wire = CODED[coding](bytes(16 * MIB))
    tracemalloc.start()

    plain = undo_codings([wire], [coding], limit=MIB)

    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(plain.content) == MIB
    assert peak_bytes < 8 * MIB


def test_a_bomb_inside_a_bomb_is_stopped_at_the_first_one():
    wire = gzip.compress(gzip.compress(bytes(16 * MIB)))

    plain = undo_codings([wire], ["gzip", "gzip"], limit=1000)

    assert len(plain.content) <= 1000
    assert plain.problem is not None


@pytest.mark.parametrize("coding", CODED)
@given(body=st.binary(max_size=300), place=st.integers(0, 400), flip=st.integers(1, 255))
def test_a_damaged_body_never_raises_and_gzip_tells(coding, body, place, flip):
    wire = bytearray(CODED[coding](body))
    wire[place % len(wire)] ^= flip

    plain = undo_codings([bytes(wire)], [coding], limit=MIB)

    # The others have no checksum, or need none.
    assert "gzip" not in coding or plain.content == body or plain.problem is not None


@given(wire=st.binary(max_size=60), coding=st.sampled_from(sorted(CODED)))
def test_random_bytes_never_raise(wire, coding):
    assert len(undo_codings([wire], [coding, coding], limit=1000).content) <= 1000
