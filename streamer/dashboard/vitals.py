"""How the streamer fares, as one page shows it."""

from typing import Any

from kinestream.streamer.dashboard.board import Board
from kinestream.streamer.dashboard.health import KEPT
from kinestream.streamer.dashboard.strip import SECOND


class Vitals:
    """What one page has been told of the streamer's health."""

    every_ns = SECOND

    def __init__(self) -> None:
        self._told = -1

    def message(self, board: Board) -> dict[str, Any]:
        """Return the seconds that the page does not know yet: at first all that are kept."""
        health, is_new = board.health, self._told < 0
        count = KEPT if is_new else min(health.seconds - self._told, KEPT)
        self._told = health.seconds
        return {
            "t": "health",
            "anew": is_new,
            "columns": health.columns(count),
            "losses": health.losses(),
            "streamer": health.about(),
        }
