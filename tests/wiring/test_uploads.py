"""Where uploaded files lie, and with what their URLs are signed."""

import stat

import pytest

from llm_proxy.errors import ConfigError
from llm_proxy.settings.table import Settings
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.uploads import open_blobs, signing_secret


async def pieces():
    yield b"bytes"


def settings(data_dir, uploads_dir=None):
    DataDir(data_dir).prepare()
    store = {} if uploads_dir is None else {"uploads_dir": str(uploads_dir)}
    return Settings.model_validate({"data_dir": str(data_dir), "store": store})


async def test_hosts_that_share_a_directory_see_each_others_files_and_sign_alike(tmp_path):
    one, other = (settings(tmp_path / host, tmp_path / "shared") for host in ("a", "b"))

    blob = await open_blobs(one).add(pieces())

    assert await open_blobs(other).has(blob.hash)
    assert signing_secret(one) == signing_secret(other)
    assert len(signing_secret(one)) == 32
    assert stat.S_IMODE((tmp_path / "shared" / "signing.key").stat().st_mode) == 0o600


async def test_without_one_each_host_has_its_own(tmp_path):
    one, other = settings(tmp_path / "a"), settings(tmp_path / "b")

    blob = await open_blobs(one).add(pieces())

    assert not await open_blobs(other).has(blob.hash)
    assert (tmp_path / "a" / "uploads").is_dir()
    assert signing_secret(one) != signing_secret(other)


def test_a_directory_that_cannot_be_used_is_an_error_in_a_line(tmp_path):
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(ConfigError, match=r"store\.uploads_dir: .* cannot be used"):
        signing_secret(settings(tmp_path / "a", tmp_path / "file" / "below"))
