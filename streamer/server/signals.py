"""What a streamer does on signals: it stops, or reads its bundle again.

SIGHUP has two meanings: a terminal that is closed sends it to what was started there, which shall then end, and whoever
keeps a service sends it to have its configuration read again. They are told apart by the terminal: where there was one
and it has gone, it is the former.
"""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType


class Terminal:
    """The terminal that this process was started from, if any."""

    def __init__(self) -> None:
        self._was_there = _has_terminal()

    @property
    def has_gone(self) -> bool:
        """Whether there was one, and is none any more."""
        return self._was_there and not _has_terminal()


def heed(stop: Callable[[], object], read_again: Callable[[], object]) -> None:
    """Have signals of this process do what they are for, but those that are ignored, as nohup asks.

    Parameters
    ----------
    stop : callable
        Called on SIGTERM and SIGINT, and on SIGHUP where the terminal has been closed.
    read_again : callable
        Called on any other SIGHUP.
    """
    terminal = Terminal()

    def on_stop(signum: int, frame: FrameType | None) -> None:
        stop()

    def on_hangup(signum: int, frame: FrameType | None) -> None:
        if terminal.has_gone:
            stop()
        else:
            read_again()

    for name, handler in (("SIGTERM", on_stop), ("SIGINT", on_stop), ("SIGHUP", on_hangup)):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _has_terminal() -> bool:
    if os.name != "posix":
        return False
    with suppress(OSError):
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK))
        return True
    return False
