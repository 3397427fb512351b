"""A streamer in a process of its own, started again at the same addresses should it die.

libzmq ends a process where it meets what it holds to be impossible, and a sender who means it can bring that about; the
system ends one that takes too much memory. Neither can be prevented from within. So whoever is asked to serve watches
over a second process, which does: senders and subscribers connect again by themselves, senders describe their streams
again, and windows lie where they did, because they are counted from their session's first sample. Once it has been
ready it is always started again, unless it was asked to stop; programs are told of each start (``serve --json``). One
whose loop gives no sign of life for a minute is ended, and started again, too.
"""

import json
import math
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from types import FrameType

from kinestream.streamer.server.signals import Terminal

_VARIABLE = "KINESTREAM_SUPERVISED"
_LIVED_S = 5.0  # whoever dies sooner is started again later each time
_PAUSE_S, _PAUSE_MOST_S = 0.2, 2.0
_LOOK_S = 0.05
_PATIENCE_S = 20  # for a process that was asked to end, besides what it was told it may take
_STOPPED, _ALIVE = b"stopped\n", b"alive\n"
_HUNG_S = 60  # so long without a sign of life, which comes once a second: it hangs
_LOOK_ALIVE_S, _LAST_WORDS_S = 1, 5

STALLED_S = 30.0
"""A batch that takes longer than this is no sign of life."""


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
        Where the one before it was, under the names of `serve`'s parameters; empty at first. The bundle that it was
        told to take since, if it was, is there as well.
    """

    pipe: int
    parent: int
    restarts: int
    addresses: dict[str, str]

    def report_ready(self, **addresses: str) -> None:
        """Tell whoever watches where samples and labels are."""
        self._write(json.dumps(addresses).encode() + b"\n")

    def report_bundle(self, folder: str) -> None:
        """Tell whoever watches which bundle has taken the place of the one before."""
        self._write(json.dumps({"bundle": folder}).encode() + b"\n")

    def report_stopped(self) -> None:
        """Tell whoever watches that it ends because it was asked to, whatever its status will be."""
        self._write(_STOPPED)

    def report_alive(self) -> None:
        """Tell whoever watches that the loop turns."""
        self._write(_ALIVE)

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
        orders = Orders(**json.loads(told))
        os.set_blocking(orders.pipe, False)  # whoever watches may be stopped, and labels do not wait for it
        return orders
    except (ValueError, TypeError, OSError):  # somebody else's word
        return None


def supervise(
    command: Sequence[str], say: Callable[[str], object], *, drain_s: float = 0.0, hung_s: int = _HUNG_S
) -> int:
    """Run a streamer until it ends as it was asked to; return its exit status, 0 where it had been ready.

    One that never became ready is not started again: what it lacks, its user must mend.

    Parameters
    ----------
    command : sequence of str
        What runs it; it calls `orders_given`.
    say : callable
        Called with a line when it died; must not block.
    drain_s : float
        How long it may take to end once it was asked to, besides some seconds.
    hung_s : int
        So long it may give no sign of life, once it was ready, before it is ended and started again.
    """
    return _Supervisor(command, say, drain_s, hung_s).run()


class _Supervisor:
    def __init__(self, command: Sequence[str], say: Callable[[str], object], drain_s: float, hung_s: int) -> None:
        self._command, self._say = list(command), say
        self._patience_s, self._hung_s = math.ceil(_PATIENCE_S + drain_s), hung_s
        self._terminal = Terminal()
        self._child: subprocess.Popen[bytes] | None = None
        self._asked: int | None = None  # by which signal it was asked to end
        self._addresses: dict[str, str] = {}
        self._ready_at = 0.0
        self._hung_up = False  # while there was nobody to pass it on to

    def run(self) -> int:
        handlers = {
            signal.SIGTERM: self._pass_on,
            signal.SIGINT: self._pass_on,
            signal.SIGHUP: self._hang_up,
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
        try:
            try:
                orders = Orders(theirs, os.getpid(), restarts, self._addresses)
                environment = os.environ | {_VARIABLE: json.dumps(asdict(orders))}
                self._child = subprocess.Popen(self._command, env=environment, pass_fds=[theirs])
            finally:
                os.close(theirs)
            if self._asked is not None:  # before there was anybody to pass it on to
                self._child.send_signal(self._asked)
            stopped = self._listen(ours, self._child)
            return self._child.wait(), stopped
        finally:
            os.close(ours)

    def _listen(self, pipe: int, child: subprocess.Popen[bytes]) -> bool:
        """Take what a process says until it has ended; return whether it stopped because somebody asked it to."""
        stopped, silent_s = False, 0
        for line in _lines(pipe):
            silent_s = 0 if line is not None else silent_s + _LOOK_ALIVE_S
            if line is None:
                if self._ready_at and self._asked is None and not stopped:
                    self._end_hung(child, silent_s)
            elif line == _STOPPED:
                stopped = True
            elif line != _ALIVE:
                self._addresses |= json.loads(line)  # the bundle that it took since stays
                if not self._ready_at:
                    self._ready_at = time.monotonic()
                    self._hand_on_hangup()
        return stopped

    def _end_hung(self, child: subprocess.Popen[bytes], silent_s: int) -> None:
        """End a process that has given no sign of life for so long: so that it says where it hangs, or at once."""
        if silent_s == self._hung_s:
            self._say(f"the streamer has given no sign of life for {silent_s} s: it is ended")
            child.send_signal(signal.SIGABRT)
        elif silent_s > self._hung_s + _LAST_WORDS_S:
            child.kill()

    def _status(self, status: int) -> int:
        """Return what to end with: whoever was asked to end once it had been ready has done well."""
        if self._asked is not None and self._addresses and status in (-self._asked, 128 + self._asked, 130):
            return 0
        return status if status >= 0 else 128 - status

    def _pass_on(self, signum: int, frame: FrameType | None) -> None:
        if self._asked is None:
            self._asked = signum
            signal.alarm(self._patience_s)
        if self._child is not None:
            self._child.send_signal(signum)

    def _hang_up(self, signum: int, frame: FrameType | None) -> None:
        """Have the bundle read again, or end where the terminal was closed."""
        if self._terminal.has_gone:
            self._pass_on(signum, frame)
            return
        self._hung_up = True
        if self._ready_at:
            self._hand_on_hangup()

    def _hand_on_hangup(self) -> None:
        """Hand on a hangup to one that is ready: before, it would end of it."""
        if self._hung_up and self._asked is None and self._child is not None and self._child.poll() is None:
            self._hung_up = False
            self._child.send_signal(signal.SIGHUP)

    def _lose_patience(self, signum: int, frame: FrameType | None) -> None:
        if self._child is not None:
            self._child.kill()


def _lines(pipe: int) -> Iterator[bytes | None]:
    """Yield what is written to a pipe, line by line, until nobody can write to it; None whenever nothing comes."""
    begun = b""
    while True:
        if not select.select([pipe], [], [], _LOOK_ALIVE_S)[0]:
            yield None
            continue
        part = os.read(pipe, 65536)
        if not part:
            return
        *whole, begun = (begun + part).split(b"\n")
        for line in whole:
            yield line + b"\n"


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
