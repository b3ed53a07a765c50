"""The file of the keys: what is in it, what takes its place, and what is no such file."""

import asyncio
import time

import pytest

from conftest import until
from llm_proxy.model.account import secret_hash
from llm_proxy.proxy.key_file import KeyFile
from proxy_keys import proxy_key, write_keys


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.snapshot"


def test_a_key_is_found_by_the_hash_of_its_whole(path):
    secret, key = proxy_key()
    write_keys(path, key)

    keys = KeyFile(path)

    assert keys.find(secret_hash(secret)) == key
    assert keys.find(secret_hash(secret[:-1])) is None
    assert keys.age_s < 60


def test_without_a_file_nothing_is_known(path):
    keys = KeyFile(path)

    assert not keys.is_known
    assert keys.find(bytes(32)) is None


def test_a_key_that_has_expired_is_none_though_it_stands_in_the_file(path):
    secret, key = proxy_key(expires_at=time.time() - 1)
    later, valid = proxy_key(expires_at=time.time() + 3600)
    write_keys(path, key, valid)

    keys = KeyFile(path)

    assert keys.find(secret_hash(secret)) is None
    assert keys.find(secret_hash(later)) == valid


async def test_another_file_in_its_place_is_read_and_damage_changes_nothing(path):
    (old, first), (new, second) = proxy_key(), proxy_key()
    write_keys(path, first)
    keys, stopping = KeyFile(path), asyncio.Event()
    following = asyncio.create_task(keys.follow(stopping))

    write_keys(path, second)
    await until(lambda: keys.find(secret_hash(new)) is not None)
    path.write_bytes(b"damaged")
    path.unlink()

    assert keys.find(secret_hash(old)) is None
    assert keys.find(secret_hash(new)) == second
    stopping.set()
    await following
