import os
import stat

import pytest

from llm_proxy.errors import StoreUnavailable
from llm_proxy.store.blobs import DirectoryOfBlobs

#: SHA-256 of "hello".
HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


async def pieces(*of):
    for piece in of:
        yield piece


async def breaking_off():
    yield b"hel"
    raise ConnectionError


@pytest.fixture
def blobs(tmp_path):
    return DirectoryOfBlobs(tmp_path / "blobs")


async def all_of(blobs, blob_hash):
    return b"".join([piece async for piece in blobs.read(blob_hash)])


async def test_what_comes_in_goes_out_by_its_hash(blobs):
    blob = await blobs.add(pieces(b"hel", b"", b"lo"))

    assert (blob.hash, blob.size_bytes) == (HELLO, 5)
    assert await all_of(blobs, HELLO) == b"hello"


async def test_the_same_bytes_are_there_once_and_for_their_owner_only(blobs, tmp_path):
    await blobs.add(pieces(b"hello"))
    await blobs.add(pieces(b"hello"))

    files = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    assert [path.name for path in files] == [HELLO]
    assert [stat.S_IMODE(path.stat().st_mode) for path in (*files, tmp_path / "blobs")] == [0o600, 0o700]


async def test_a_large_file_comes_back_whole(blobs):
    content = os.urandom(1_000_000)

    blob = await blobs.add(pieces(content))

    assert await all_of(blobs, blob.hash) == content


async def test_nothing_stays_of_a_file_that_breaks_off(blobs, tmp_path):
    with pytest.raises(ConnectionError):
        await blobs.add(breaking_off())

    assert not [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]


async def test_a_directory_that_cannot_be_used_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    blobs = DirectoryOfBlobs(tmp_path / "file")

    with pytest.raises(StoreUnavailable):
        await blobs.add(pieces(b"hello"))


async def test_a_file_that_is_not_there_says_so(blobs):
    with pytest.raises(StoreUnavailable):
        await all_of(blobs, HELLO)
