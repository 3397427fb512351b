"""What only some systems offer; where one lacks it, there is a stand-in, so that all else need not ask."""

import os
import socket
import time
from contextlib import suppress
from functools import partial
from typing import IO, Any

fcntl: Any
resource: Any
try:
    import fcntl
    import resource
except ImportError:  # not on Windows
    fcntl = resource = None

_FILES_ANYWAY = 8192  # where nothing limits them by name
_FILES_MOST = 1 << 20

yield_processor = getattr(os, "sched_yield", None) or partial(time.sleep, 0)
"""Let another thread or process run, if one is waiting."""

has_unix_sockets = hasattr(socket, "AF_UNIX")
"""Whether Python can open ``ipc://`` addresses' sockets."""


def file_limit() -> int:
    """Return how many files this process may have open, connections among them."""
    if resource is None:
        return _FILES_ANYWAY
    limit = int(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    return _FILES_MOST if limit < 0 else min(limit, _FILES_MOST)  # infinity is negative


def open_files(otherwise: int) -> int:
    """Return how many files this process has open, or `otherwise` where the system does not tell."""
    with suppress(OSError):
        return len(os.listdir("/proc/self/fd"))
    return otherwise


def allow_many_files() -> None:
    """Raise `file_limit` as far as the machine lets us."""
    if resource is None:
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def lock(file: IO[bytes]) -> bool:
    """Take an open file for this process until it is closed; return False where another process has it.

    Where files cannot be locked, none has.
    """
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
