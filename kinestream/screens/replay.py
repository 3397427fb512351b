"""What a person sees while a replay goes on.

A screen is drawn only when the player asks for it: a thread that drew by itself would disturb the timing.
"""

from collections.abc import Sequence
from typing import Protocol, Self

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from kinestream.replay.play.playback import Playback
from kinestream.replay.play.take import Take
from kinestream.screens.console import SafeConsole
from kinestream.streamer.client import Label


class Screen(Protocol):
    """Shows a replay; open while it goes on.

    Attributes
    ----------
    every_s : float
        How often it wants to be drawn.
    """

    every_s: float

    def draw(self, playback: Playback) -> None:
        """Show what was sent so far."""

    def hear(self, label: Label, latency_ms: float) -> None:
        """Note a label that has arrived; called from another thread than the others."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """End."""


class ProgressScreen:
    """A progress bar on stderr.

    Parameters
    ----------
    takes : sequence of Take
        What is played.
    shown : bool
        False shows nothing.
    """

    every_s = 1.0

    def __init__(self, takes: Sequence[Take], *, shown: bool = True) -> None:
        columns = (TextColumn("replaying"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        console = SafeConsole(stderr=True)
        hidden = not (shown and console.is_terminal)  # elsewhere it would leave nothing but empty lines
        self._bar = Progress(*columns, console=console, auto_refresh=False, transient=True, disable=hidden)
        self._task = self._bar.add_task("", total=sum(len(take.recording.samples) for take in takes))

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
