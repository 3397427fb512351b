"""Small disks, to be filled."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

PAGE = 4096


@contextmanager
def disk_of(folder: Path, size: str) -> Iterator[Path]:
    """Mount a disk of a size, as in ``64k``, in a folder until the block ends; skip the test where that may not be."""
    libc, path = ctypes.CDLL(None, use_errno=True), folder / "disk"
    path.mkdir()
    where = str(path).encode()
    if not hasattr(libc, "mount") or libc.mount(b"tmpfs", where, b"tmpfs", 0, f"size={size}".encode()):
        pytest.skip(f"no disk can be mounted here: {os.strerror(ctypes.get_errno())}")
    try:
        yield path
    finally:
        libc.umount2(where, 2)


def fill(disk: Path) -> Path:
    """Leave no room on a disk; return the file that takes it."""
    with suppress(OSError), (disk / "full").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(PAGE))
    return disk / "full"
