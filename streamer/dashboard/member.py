"""A streamer as pages are told of it: whether it is there, and how it fares."""

from typing import Any

from kinestream.streamer.dashboard.health import Health
from kinestream.streamer.dashboard.strip import SECOND

_SOON_NS = SECOND
"""Who has not been connected for less than that may be about to."""


class Member:
    """What is known of one streamer.

    Parameters
    ----------
    name : str
        Its slot in a fleet; empty where there is but one streamer.
    now : int
        Monotonic ns.

    Attributes
    ----------
    health : Health
        How it fares.
    is_connected, changed_at : bool, int
        Whether it publishes, and since when that is so, monotonic ns.
    state : str
        What the directory says of its slot: ``serving``, ``draining`` or ``away``.
    trouble : str
        Why it cannot be connected to, where that is known.
    """

    def __init__(self, name: str, now: int) -> None:
        self.name = name
        self.health = Health()
        self.is_connected = False
        self.changed_at = now
        self.state = "serving"
        self.trouble = ""

    def connect(self, is_connected: bool, now: int) -> None:
        """Note whether it publishes."""
        if is_connected != self.is_connected:
            self.is_connected, self.changed_at = is_connected, now

    def absence(self, now: int) -> str:
        """Return why nothing comes of it at a monotonic time in ns, in words; empty where it is there."""
        if self.is_connected or now - self.changed_at < _SOON_NS:
            return ""
        seconds = (now - self.changed_at) // SECOND
        away = ", and the directory has not heard of it either" if self.state == "away" else ""
        return f"its streamer, {self.name}, has been disconnected for {seconds} s{away}"

    def is_missed(self, now: int) -> bool:
        """Tell whether it should be there, and is not: of one that drains, others have the streams."""
        return self.state != "draining" and bool(self.absence(now))

    def about(self, now: int) -> dict[str, Any]:
        """Return it as JSON takes it."""
        newest = self.health.newest()
        return {
            "name": self.name,
            "state": self.state,
            "connected": self.is_connected,
            "since_s": (now - self.changed_at) // SECOND,
            "trouble": self.trouble,
            "streams": None if self.health.status is None else self.health.status.streams,
            "labels": newest.get("labels"),
            "p99_ms": newest.get("source_published_p99"),
        }
