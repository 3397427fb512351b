"""A streamer in a process of its own, started again at the same addresses should it die.

libzmq ends a process where it meets what it holds to be impossible, and a sender who means it can bring that about; the
system ends one that takes too much memory. Neither can be prevented from within. So whoever is asked to serve watches
over a second process, which does: senders and subscribers connect again by themselves, senders describe their streams
again, and windows lie where they did, because they are counted from their session's first sample.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from types import FrameType

_VARIABLE = "KINESTREAM_SUPERVISED"
_LIVED_S = 5.0  # whoever dies sooner is started again later each time
_PAUSE_S, _PAUSE_MOST_S = 0.2, 10.0
_LOOK_S = 0.05


@dataclass(frozen=True)
class Charge:
    """What a process is told that is watched over.

    Parameters
    ----------
    ready : int
        File to which it writes its addresses as soon as it is ready.
    parent : int
        The process that watches.
    restarts : int
        How many before it died.
    addresses : dict of str
        Where the one before it was, under the names of `serve`'s parameters; empty at first.
    """

    ready: int
    parent: int
    restarts: int
    addresses: dict[str, str]

    def tell_ready(self, **addresses: str) -> None:
        """Tell whoever watches where samples and labels are."""
        with suppress(OSError):  # it may have gone
            os.write(self.ready, json.dumps(addresses).encode() + b"\n")
            os.close(self.ready)

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody watches any more."""
        return os.getppid() != self.parent


def taken_charge() -> Charge | None:
    """Return what this process was told by whoever watches over it, if anybody does."""
    told = os.environ.pop(_VARIABLE, None)
    return None if told is None else Charge(**json.loads(told))


def supervise(command: Sequence[str], say: Callable[[str], object]) -> int:
    """Run a streamer until it ends as it was asked to; return its exit status.

    One that never became ready is not started again: what it lacks, its user must mend.

    Parameters
    ----------
    command : sequence of str
        What runs it; it calls `taken_charge`.
    say : callable
        Called with a line when it died.
    """
    return _Watch(command, say).run()


class _Watch:
    def __init__(self, command: Sequence[str], say: Callable[[str], object]) -> None:
        self._command, self._say = list(command), say
        self._child: subprocess.Popen[bytes] | None = None
        self._asked: int | None = None  # by which signal it was asked to end
        self._addresses: dict[str, str] = {}

    def run(self) -> int:
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:  # as nohup asks
                signal.signal(number, self._pass_on)
        try:
            return self._run()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _run(self) -> int:
        restarts, pause = 0, 0.0
        while True:
            began = time.monotonic()
            status = self._run_once(restarts)
            # Status 130 is an interrupt that reached it before it could have been asked.
            if self._asked is not None or status in (0, 130) or not self._addresses:
                return status if status >= 0 else 128 - status
            restarts += 1
            lived = time.monotonic() - began
            pause = 0.0 if lived >= _LIVED_S else min(2 * pause or _PAUSE_S, _PAUSE_MOST_S)
            line = f"the streamer {_end(status)} after {lived:.0f} s; it is started again at the same addresses"
            line += f" in {pause:.1f} s" if pause else ""
            threading.Thread(target=self._say, args=(line,), daemon=True).start()  # nobody may be reading it
            until = time.monotonic() + pause
            while time.monotonic() < until and self._asked is None:
                time.sleep(_LOOK_S)  # a signal does not end a longer sleep
            if self._asked is not None:
                return 0

    def _run_once(self, restarts: int) -> int:
        ours, theirs = os.pipe()
        charge = Charge(theirs, os.getpid(), restarts, self._addresses)
        self._child = subprocess.Popen(
            self._command, env=os.environ | {_VARIABLE: json.dumps(asdict(charge))}, pass_fds=[theirs]
        )
        if self._asked is not None:  # before there was anybody to pass it on to
            self._child.send_signal(self._asked)
        os.close(theirs)
        with open(ours, "rb") as told:
            line = told.readline()  # empty where it ended before
        if line:
            self._addresses = json.loads(line)
        return self._child.wait()

    def _pass_on(self, signum: int, frame: FrameType | None) -> None:
        self._asked = signum
        if self._child is not None:
            self._child.send_signal(signum)


def _end(status: int) -> str:
    """Say how a process ended."""
    if status >= 0:
        return f"ended with status {status}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-status).name}"
    return f"was ended by signal {-status}"


def command_line() -> list[str]:
    """Return what this process was started with."""
    return [sys.executable, *sys.orig_argv[1:]]
