"""The progress bar of a replay."""

from collections.abc import Sequence
from typing import Self

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from kinestream.replay.play.playback import Playback
from kinestream.replay.play.take import Take
from kinestream.screens.console import SafeConsole
from kinestream.screens.stderr import say
from kinestream.streamer.client import Label


class ProgressScreen:
    """A progress bar on stderr.

    Parameters
    ----------
    takes : sequence of Take
        What is played.
    """

    every_s = 1.0

    def __init__(self, takes: Sequence[Take]) -> None:
        columns = (TextColumn("replaying"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        console = SafeConsole(stderr=True)
        hidden = not console.is_terminal  # elsewhere it would leave nothing but empty lines
        self._bar = Progress(*columns, console=console, auto_refresh=False, transient=True, disable=hidden)
        self._task = self._bar.add_task("", total=sum(take.samples for take in takes))

    def say(self, line: str) -> None:
        """Say it on stderr."""
        say(line)

    def draw(self, playback: Playback) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=playback.samples_sent, refresh=True)

    def hear(self, label: Label, latency_ms: float) -> None:
        """Labels are not shown."""

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        self._bar.stop()
