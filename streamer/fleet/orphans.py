"""Ends streamers that nobody keeps any more: cut off, their keeper was started again on another machine."""

import time
from contextlib import suppress
from pathlib import Path

from kinestream.model.errors import KinestreamError
from kinestream.streamer.directory.registration import fleet_status
from kinestream.streamer.fleet.child import Child, children

EVERY_S = 20.0
_KNOWN_S = 30.0
"""A directory that has been there for less may not have heard of all."""


class Orphans:
    """Looks now and then which of a machine's streamers nobody tells the directory of.

    They are harmless, since whoever follows the directory heeds another, but take the machine's time.

    Parameters
    ----------
    folder : Path
        Where streamers of the fleet have their files on this machine.
    directory : str
        Where the directory answers.
    keys : str, optional
        What is shown there.
    """

    def __init__(self, folder: Path, directory: str, keys: str | None) -> None:
        self._folder, self._directory, self._keys = folder, directory, keys
        self._at = time.monotonic() + EVERY_S
        self._unkept: set[tuple[str, int]] = set()

    def look(self) -> None:
        """Where it is time, ask those to end that were not told of the last time either."""
        if time.monotonic() < self._at:
            return
        self._at = time.monotonic() + EVERY_S
        with suppress(KinestreamError):
            self._look()

    def _look(self) -> None:
        status = fleet_status(self._directory, timeout_s=1.0, keys=self._keys)
        if not status.ready or status.plan is None or status.uptime_s < _KNOWN_S:
            return
        kept = {(each.slot, each.instance) for each in status.streamers}
        served = {each.slot for each in status.streamers if each.state == "serving"}
        unkept = {}
        for child in children(self._folder):
            if not isinstance(child, Child):
                continue  # its keeper tells of it once it serves
            if (child.slot, child.instance) not in kept and (
                child.slot in served or child.slot not in status.plan.slots
            ):
                unkept[child.slot, child.instance] = child
        for known in self._unkept & unkept.keys():
            unkept[known].stop()
        self._unkept = set(unkept)
