"""Looks at a window of every session now and then: whether its readings are strange, which nobody sees in a label."""

import zlib

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.windows.familiar import Familiar, Strange
from kinestream.streamer.streams.outcomes import DueWindow
from kinestream.streamer.streams.sessions import Emit
from kinestream.streamer.streams.stream import Outlook, Session

EVERY_S = 10.0
"""Seconds between two windows of a session that are looked at."""
IN_A_ROW = 2
"""Windows that must agree before anything is told."""


class Lookout:
    """Tells by an ``unusual`` event when a sensor's readings become strange, and when they are so no more.

    What it costs a window is a comparison; a look takes less than a tenth of a millisecond.

    Parameters
    ----------
    bundle : Bundle
        Its ranges.
    emit : callable
        See `kinestream.streamer.streams.sessions.Emit`.
    """

    def __init__(self, bundle: Bundle, emit: Emit) -> None:
        about = bundle.description
        self._familiar = Familiar(about.familiar, bundle.channels)
        self._every = max(round(EVERY_S * about.rate_hz / bundle.grid.stride), 1)
        self._emit = emit

    def look(self, due: DueWindow, name: str, session: Session) -> None:
        """Look at a window of a stream's session, and decide at which to look next."""
        if session.outlook is None:  # many sessions may begin at once, and should not be looked at together
            session.outlook = Outlook(set(), {})
            session.look_at = due.window + zlib.crc32(name.encode()) % self._every
            if session.look_at > due.window:
                return
        session.look_at = due.window + self._every
        strange = {each.sensor: each for each in self._familiar.strange(due.rows)}
        told, others = session.outlook
        for sensor in strange.keys() | others.keys() | told:
            if (sensor in strange) == (sensor in told):
                others.pop(sensor, None)
                continue
            others[sensor] = others.get(sensor, 0) + 1
            if others[sensor] < IN_A_ROW:
                continue
            del others[sensor]
            told ^= {sensor}
            details = {"sensor": sensor, "unusual": sensor in strange}
            if sensor in strange:
                details["reason"] = in_words(strange[sensor])
            self._emit("unusual", name, session.number, details)


def in_words(strange: Strange) -> str:
    """Return what is strange of a sensor, and what the bundle was trained on."""
    what = {
        "size": "are {} long on average",
        "spread": "lie {} from their mean",
        "mean": "average {}",
    }[strange.what].format(f"{strange.value:.3g} {strange.unit}".rstrip())
    hint = "is it worn another way round?" if strange.what == "mean" else "are they in another unit?"
    return f"readings of {strange.channel} {what}, and {strange.least:.3g} to {strange.most:.3g} in training: {hint}"
