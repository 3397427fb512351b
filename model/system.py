"""What only some systems offer; where one lacks it, there is a stand-in, so that all else need not ask."""

import ctypes
import mmap
import os
import socket
import time
from contextlib import suppress
from functools import cache, partial
from importlib import metadata
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

_GIVES_WAY = 10  # as nice(1) gives unless told otherwise
_GIVES_WAY_MOST = 19  # the most that there is

has_unix_sockets = hasattr(socket, "AF_UNIX")
"""Whether Python can open ``ipc://`` addresses' sockets."""


_malloc_trim: Any
try:
    _malloc_trim = ctypes.CDLL(None).malloc_trim
except (AttributeError, OSError, TypeError):  # another C library than glibc
    _malloc_trim = None


def file_limit() -> int:
    """Return how many files this process may have open, connections among them."""
    if resource is None:
        return _FILES_ANYWAY
    limit = int(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    return _FILES_MOST if limit < 0 else min(limit, _FILES_MOST)  # infinity is negative


def open_files(fallback: int) -> int:
    """Return how many files this process has open, or `fallback` where the system does not tell."""
    with suppress(OSError):
        return len(os.listdir("/proc/self/fd"))
    return fallback


def give_way(*, wholly: bool = False) -> None:
    """Let other processes of this machine have its processors first, for good; wholly: take what they leave alone.

    On Linux that is so of the thread that calls and of the threads and processes that it starts from then on; elsewhere
    of the whole process.
    """
    if hasattr(os, "nice"):  # not on Windows
        os.nice(_GIVES_WAY)
    if wholly and hasattr(os, "SCHED_IDLE"):  # Linux
        with suppress(OSError):  # some sandboxes do not let it
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    if hasattr(os, "getsid") and os.getsid(0) == os.getpid():
        # Linux may share processors between sessions first (autogroups, sched(7)): within one that is a process's own,
        # the above says nothing. One that others share, such as a terminal, is left as it is.
        with suppress(OSError), open("/proc/self/autogroup", "r+") as group:
            group.write(str(_GIVES_WAY_MOST if wholly else _GIVES_WAY))


def allow_many_files() -> None:
    """Raise `file_limit` as far as the machine lets us."""
    if resource is None:
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def give_back_memory() -> None:
    """Return to the system what was freed; glibc keeps it in the threads that it was allocated for.

    It takes some 0.2 ms for each megabyte there is to return, and nothing where there is none.
    """
    if _malloc_trim is not None:
        _malloc_trim(0)


@cache
def own_version() -> str:
    """Return kinestream's version; to look for it takes a millisecond, so it is looked for once."""
    return metadata.version("kinestream")


def resident_bytes() -> int:
    """Return the memory that this process takes, 0 where the system does not tell."""
    with suppress(OSError, ValueError, IndexError), open("/proc/self/statm", "rb") as told:
        return int(told.read().split()[1]) * mmap.PAGESIZE
    return 0


def lock(file: IO[bytes] | int) -> bool:
    """Take an open file, or the number of one, for this process until it is closed; return False where another has it.

    Where files cannot be locked, none has.
    """
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
