"""The interface by which a replay reports its progress; the caller passes an implementation."""

import logging
from typing import Protocol, Self

from kinestream.replay.play.playback import Playback
from kinestream.streamer.client import Label

_logger = logging.getLogger(__name__)


class Screen(Protocol):
    """Shows a replay; a context manager that is open while it runs.

    It is drawn only when the player asks for it: a thread that drew by itself would disturb the timing.

    Attributes
    ----------
    every_s : float
        How often it wants to be drawn.
    """

    every_s: float

    def say(self, line: str) -> None:
        """Show a message for the user."""

    def draw(self, playback: Playback) -> None:
        """Show what was sent so far."""

    def hear(self, label: Label, latency_ms: float) -> None:
        """Note a label that has arrived; called from another thread than the others."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """End."""


class NoScreen:
    """Shows nothing; messages are logged."""

    every_s = 1.0

    def say(self, line: str) -> None:
        """Log it."""
        _logger.warning("%s", line)

    def draw(self, playback: Playback) -> None:
        """Nothing is drawn."""

    def hear(self, label: Label, latency_ms: float) -> None:
        """Labels are not shown."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass
