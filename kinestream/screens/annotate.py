"""What a wearer does, said by keys in a terminal."""

import os
import select
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kinestream.model.clock import monotonic_ns, now_ns
from kinestream.model.errors import ConfigError
from kinestream.screens.stderr import say
from kinestream.streamer.client.keeper import annotate
from kinestream.streamer.client.watcher import WatchSubscriber
from kinestream.streamer.wire.messages import annotation_is_valid
from kinestream.streamer.wire.status import Status

termios: Any
tty: Any
try:
    import termios
    import tty
except ImportError:  # not on Windows
    termios = tty = None

KEYS = "123456789abcdefghijklmnoprstuvwxyz"
"""What activities are chosen by: all but q, which ends."""

_STATUS_S = 3.0
_SENT_EVERY_NS = 2_000_000_000
"""How often is said that an activity goes on: so much of it is lost where this ends without a word."""
_LOOK_S = 0.2


def annotate_by_keys(
    stream: str, activities: Sequence[str] | None, *, control: str, watch: str, keys: str | None = None
) -> list[dict[str, Any]]:
    """Say what a wearer does until q is pressed; return what was said.

    Parameters
    ----------
    stream : str
        Whose.
    activities : sequence of str, optional
        What keys stand for, in order; by default the classes of the streamer's bundle.
    control, watch : str
        The streamer's endpoints.
    keys : str, optional
        The file of your keys, where the streamer asks for them.

    Raises
    ------
    ConfigError
        If there is no terminal, or no activity to choose.
    KinestreamError
        If the streamer knows no such stream.
    EndpointError
        If no streamer answers.
    """
    if termios is None or not sys.stdin.isatty():
        raise ConfigError(
            "annotate",
            [f"no terminal to read keys from: say it with 'kinestream annotate {stream} ACTIVITY --since 10s'"],
        )
    chosen = _checked(activities or _classes(watch, keys))
    speaking, said = _Said(stream, control, keys), list[dict[str, Any]]()
    with _single_keys() as number:  # first: what was typed before is lost
        for key, activity in zip(KEYS, chosen, strict=False):
            say(f"{key}  {activity}")
        say("blank: none of them; q: end")
        try:
            for key in _pressed(number, speaking):
                if key == "q":
                    break
                at = KEYS.find(key)
                if key == " " or 0 <= at < len(chosen):
                    said += speaking.change(None if key == " " else chosen[at])
        except KeyboardInterrupt:
            pass
        said += speaking.change(None)
    return said


def _checked(activities: Sequence[str]) -> Sequence[str]:
    wrong = [name for name in activities if not annotation_is_valid(name, 0, 0)]
    problems = [f"activities: {name!r} is no name of up to 255 printable characters" for name in wrong[:3]]
    if len(activities) > len(KEYS):
        problems.append(f"activities: {len(activities)} are more than keys: name up to {len(KEYS)} with --activities")
    if problems:
        raise ConfigError("annotate", problems)
    return activities


def _classes(watch: str, keys: str | None) -> Sequence[str]:
    with WatchSubscriber(watch, status=True, keys=keys) as subscriber:
        status = subscriber.receive(_STATUS_S)
    if not isinstance(status, Status):
        raise ConfigError(
            "annotate", [f"no streamer tells its classes at {watch}: give its address with --watch, or --activities"]
        )
    return status.classes


class _Said:
    """What is being said: the activity that goes on, and since when."""

    def __init__(self, stream: str, control: str, keys: str | None) -> None:
        self._stream, self._control, self._keys = stream, control, keys
        self._activity: str | None = None
        self._since, self._sent = 0, 0

    def change(self, activity: str | None) -> list[dict[str, Any]]:
        """End the activity that goes on, and begin another or none; return what has ended."""
        now, ended = now_ns(), list[dict[str, Any]]()
        if self._activity is not None:
            self._send(self._activity, now)
            ended.append({"activity": self._activity, "begin": self._since, "end": now})
            say(f"{self._activity}: {(now - self._since) / 1e9:.1f} s")
        self._activity, self._since = activity, now
        if activity is not None:
            say(f"{activity} ...")
            self._send(activity, now)  # so that a stream that is not there is told at once
        return ended

    def go_on(self) -> None:
        """Say now and then that it goes on."""
        if self._activity is not None and monotonic_ns() - self._sent >= _SENT_EVERY_NS:
            self._send(self._activity, now_ns())

    def _send(self, activity: str, until: int) -> None:
        annotate(self._stream, activity, self._since, max(until, self._since), self._control, keys=self._keys)
        self._sent = monotonic_ns()


@contextmanager
def _single_keys() -> Iterator[int]:
    """Have keys come at once and unseen while the block lasts; give the number of the terminal's file."""
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)
    try:
        yield number
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _pressed(number: int, said: _Said) -> Iterator[str]:
    """Yield keys as they are pressed, until the terminal is gone."""
    while True:
        if select.select([number], [], [], _LOOK_S)[0]:
            pressed = os.read(number, 64).decode(errors="replace")
            if not pressed:
                return
            yield from pressed
        said.go_on()
