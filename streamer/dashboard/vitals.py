"""How a streamer fares, as one page shows it."""

from typing import Any

from kinestream.streamer.dashboard.board import Board
from kinestream.streamer.dashboard.health import KEPT, Health
from kinestream.streamer.dashboard.strip import SECOND
from kinestream.streamer.watch.tally import natural


class Vitals:
    """What one page has been told of a streamer's health.

    Parameters
    ----------
    streamer : str
        Which, of a fleet's; the first one, where there is none of that name.
    """

    every_ns = SECOND

    def __init__(self, streamer: str = "") -> None:
        self._wanted = streamer
        self._shown: Health | None = None
        self._told = 0

    def message(self, board: Board, now: int) -> dict[str, Any]:
        """Return the seconds that the page does not know yet: at first all that are kept."""
        members = {name: board.members[name] for name in sorted(board.members, key=natural)}
        member = members.get(self._wanted) or next(iter(members.values()), None)
        health = Health() if member is None else member.health
        is_new, self._shown = health is not self._shown, health
        count = KEPT if is_new else min(health.seconds - self._told, KEPT)
        self._told = health.seconds
        return {
            "t": "health",
            "anew": is_new,
            "columns": health.columns(count),
            "losses": health.losses(),
            "streamer": health.about(),
            "shown": "" if member is None else member.name,
            "streamers": [each.about(now) for name, each in members.items() if name],
        }
