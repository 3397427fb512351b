"""What a directory keeps in a file: the plan, and the highest epoch."""

import json
import logging
from pathlib import Path

from kinestream.model.errors import ConfigError, FileError
from kinestream.model.files import read_plain, write_whole
from kinestream.model.plaindata import parse_json
from kinestream.streamer.directory.messages import MAX_REQUEST
from kinestream.streamer.directory.table import Plan
from kinestream.streamer.wire.messages import MAX_INT, name_is_valid

_logger = logging.getLogger(__name__)


class Record:
    """The file.

    Parameters
    ----------
    folder : Path
        Where it is; made where needed.
    fleet : str
        Whose.

    Attributes
    ----------
    plan : Plan or None
        What was read or written last.
    """

    def __init__(self, folder: Path, fleet: str) -> None:
        self._path = folder / "directory.json"
        self._fleet = fleet
        self.plan: Plan | None = None

    def read(self) -> tuple[Plan | None, int]:
        """Return the plan and the highest epoch, None and 0 where there is no file.

        Raises
        ------
        ConfigError
            Where it is another fleet's, or no such file.
        FileError
            Where it cannot be read.
        """
        if not self._path.exists():
            return None, 0
        try:
            content = parse_json(read_plain(self._path, MAX_REQUEST))
            fleet, epoch, told = content["fleet"], content["epoch"], content["plan"]
            plan = None if told is None else _plan(told)
            is_whole = _is_number(epoch)
        except (ValueError, KeyError, TypeError):
            is_whole = False
        if not is_whole:
            raise ConfigError(str(self._path), ["it is damaged: delete it, and the plan is learnt from the streamers"])
        if fleet != self._fleet:
            raise ConfigError(str(self._path), [f"it is of another fleet, {fleet!r}: give another folder"])
        self.plan = plan
        return plan, epoch

    def write(self, plan: Plan | None, epoch: int) -> None:
        """Keep them; that a disk is full is logged, and the directory goes on."""
        told = None if plan is None else {**vars(plan), "slots": list(plan.slots), "draining": sorted(plan.draining)}
        content = {"fleet": self._fleet, "epoch": epoch, "plan": told}
        self.plan = plan
        try:
            write_whole(self._path, json.dumps(content).encode())
        except FileError as error:
            _logger.warning("the plan is not kept: %s", error)


def _plan(told: dict[str, object]) -> Plan:
    slots, draining, revision = told["slots"], told["draining"], told["revision"]
    if not (isinstance(slots, list) and isinstance(draining, list) and _is_number(revision)):
        raise ValueError("plan")
    if not all(isinstance(name, str) and name_is_valid(name) for name in (*slots, *draining)):
        raise ValueError("plan")
    return Plan(tuple(slots), frozenset(draining), int(str(revision)))


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < MAX_INT
