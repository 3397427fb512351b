"""Postpones Ctrl-C while something is done that must not be interrupted."""

import signal
import threading
from types import FrameType
from typing import Self


class Interrupts:
    """Within its block, Ctrl-C raises `KeyboardInterrupt` as ever, but between `hold` and `release` only at the latter.

    Where there is another handler than Python's own, or this is not the main thread, nothing changes.
    """

    def __init__(self) -> None:
        self.is_held = self._asked = False
        self._ours = False

    def hold(self) -> None:
        """Postpone Ctrl-C."""
        self.is_held = True

    def release(self) -> None:
        """Postpone it no longer; raises `KeyboardInterrupt` if it came meanwhile."""
        self.is_held = False
        if self._asked:
            self._asked = False
            raise KeyboardInterrupt

    def __enter__(self) -> Self:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._ours = True
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._ours:
            self._ours = False
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if not self.is_held:
            raise KeyboardInterrupt
        self._asked = True
