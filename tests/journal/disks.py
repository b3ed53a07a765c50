"""Disks that are full."""

import contextlib
import ctypes
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """Let writes fail beyond ``size``, after as much as fits. (Python ignores SIGXFSZ: the write fails with EFBIG.)"""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def small_disk(directory: Path, size: str) -> Iterator[Path]:
    """A file system of its own on ``directory``; skips the test where that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    directory.mkdir()
    if libc.mount(b"tmpfs", bytes(directory), b"tmpfs", 0, f"size={size}".encode()) != 0:
        pytest.skip("mounting a file system is not allowed here")
    try:
        yield directory
    finally:
        libc.umount2(bytes(directory), 2)  # MNT_DETACH: whatever still is open in it
