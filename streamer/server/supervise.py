"""A streamer in a process of its own, started again at the same addresses should it die.

libzmq ends a process where it meets what it holds to be impossible, and a sender who means it can bring that about; the
system ends one that takes too much memory. Neither can be prevented from within. So whoever is asked to serve watches
over a second process, which does: senders and subscribers connect again by themselves, senders describe their streams
again, and windows lie where they did, because they are counted from their session's first sample. Once it has been
ready it is always started again, unless it was asked to stop; programs are told of each start (``serve --json``).
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from types import FrameType

_VARIABLE = "KINESTREAM_SUPERVISED"
_LIVED_S = 5.0  # whoever dies sooner is started again later each time
_PAUSE_S, _PAUSE_MOST_S = 0.2, 2.0
_LOOK_S = 0.05
_PATIENCE_S = 20  # for a process that was asked to end
_STOPPED = b"stopped\n"


@dataclass(frozen=True)
class Orders:
    """What a process is told that is watched over.

    Parameters
    ----------
    pipe : int
        File to which it writes its addresses as soon as it is ready, and a word when it stops as it was asked to.
    parent : int
        The process that watches.
    restarts : int
        How many before it died.
    addresses : dict of str
        Where the one before it was, under the names of `serve`'s parameters; empty at first.
    """

    pipe: int
    parent: int
    restarts: int
    addresses: dict[str, str]

    def report_ready(self, **addresses: str) -> None:
        """Tell whoever watches where samples and labels are."""
        self._write(json.dumps(addresses).encode() + b"\n")

    def report_stopped(self) -> None:
        """Tell whoever watches that it ends because it was asked to, whatever its status will be."""
        self._write(_STOPPED)

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody watches any more."""
        return os.getppid() != self.parent

    def _write(self, line: bytes) -> None:
        with suppress(OSError):  # whoever watches may have gone
            os.write(self.pipe, line)


def orders_given() -> Orders | None:
    """Return what this process was told by whoever watches over it, if anybody does."""
    told = os.environ.pop(_VARIABLE, None)
    if told is None:
        return None
    try:
        return Orders(**json.loads(told))
    except (ValueError, TypeError):  # somebody else's word
        return None


def supervise(command: Sequence[str], say: Callable[[str], object]) -> int:
    """Run a streamer until it ends as it was asked to; return its exit status, 0 where it had been ready.

    One that never became ready is not started again: what it lacks, its user must mend.

    Parameters
    ----------
    command : sequence of str
        What runs it; it calls `orders_given`.
    say : callable
        Called with a line when it died; must not block.
    """
    return _Supervisor(command, say).run()


class _Supervisor:
    def __init__(self, command: Sequence[str], say: Callable[[str], object]) -> None:
        self._command, self._say = list(command), say
        self._child: subprocess.Popen[bytes] | None = None
        self._asked: int | None = None  # by which signal it was asked to end
        self._addresses: dict[str, str] = {}
        self._ready_at = 0.0

    def run(self) -> int:
        handlers = {
            signal.SIGTERM: self._pass_on,
            signal.SIGINT: self._pass_on,
            signal.SIGHUP: self._pass_on,
            signal.SIGALRM: self._lose_patience,
        }
        before = {number: signal.getsignal(number) for number in (*handlers, signal.SIGCHLD)}
        for number, handler in handlers.items():
            if before[number] is not signal.SIG_IGN:  # as nohup asks
                signal.signal(number, handler)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it was ignored, nobody would learn how the child ended
        try:
            return self._run()
        finally:
            signal.alarm(0)
            for number, former in before.items():
                signal.signal(number, former)

    def _run(self) -> int:
        restarts, pause = 0, 0.0
        while True:
            try:
                status, stopped = self._run_once(restarts)
            except OSError as error:  # no process, file or memory is left just now
                if not self._addresses:
                    raise
                status, stopped, end = -1, False, f"could not be started ({error.strerror})"
            else:
                end = _end(status)
            if self._asked is not None or stopped or status == 0 or not self._addresses:
                return self._status(status)
            restarts += 1
            lived = time.monotonic() - self._ready_at if self._ready_at else 0.0
            pause = 0.0 if lived >= _LIVED_S else min(2 * pause or _PAUSE_S, _PAUSE_MOST_S)
            after = f" after {lived:.0f} s" if self._ready_at else ""
            soon = f" in {pause:.1f} s" if pause else ""
            self._say(f"the streamer {end}{after}; it is started again at the same addresses{soon}")
            until = time.monotonic() + pause
            while time.monotonic() < until and self._asked is None:
                time.sleep(_LOOK_S)  # a signal does not end a longer sleep
            if self._asked is not None:
                return 0

    def _run_once(self, restarts: int) -> tuple[int, bool]:
        """Return the exit status of one process, and whether it stopped because somebody asked it to."""
        self._ready_at, self._child = 0.0, None
        ours, theirs = os.pipe()
        with open(ours, "rb") as told:
            try:
                orders = Orders(theirs, os.getpid(), restarts, self._addresses)
                environment = os.environ | {_VARIABLE: json.dumps(asdict(orders))}
                self._child = subprocess.Popen(self._command, env=environment, pass_fds=[theirs])
            finally:
                os.close(theirs)
            if self._asked is not None:  # before there was anybody to pass it on to
                self._child.send_signal(self._asked)
            if line := told.readline():  # empty where it ended before
                self._addresses, self._ready_at = json.loads(line), time.monotonic()
            status = self._child.wait()
            return status, told.read() == _STOPPED

    def _status(self, status: int) -> int:
        """Return what to end with: whoever was asked to end once it had been ready has done well."""
        if self._asked is not None and self._addresses and status in (-self._asked, 128 + self._asked, 130):
            return 0
        return status if status >= 0 else 128 - status

    def _pass_on(self, signum: int, frame: FrameType | None) -> None:
        if self._asked is None:
            self._asked = signum
            signal.alarm(_PATIENCE_S)
        if self._child is not None:
            self._child.send_signal(signum)

    def _lose_patience(self, signum: int, frame: FrameType | None) -> None:
        if self._child is not None:
            self._child.kill()


def _end(status: int) -> str:
    """Say how a process ended."""
    if status >= 0:
        return f"ended with status {status}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-status).name}"
    return f"was ended by signal {-status}"


def command_line() -> list[str] | None:
    """Return what this process was started with; None where the like cannot be started again."""
    return None if sys.argv[0] == "-" else [sys.executable, *sys.orig_argv[1:]]
