"""How what was sent is kept until it is acknowledged: what a user says of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kinestream.model.errors import ConfigError

LEAST_BYTES = 1 << 20


@dataclass(frozen=True)
class Reliable:
    """How what was sent is kept until a streamer acknowledges it.

    Parameters
    ----------
    keep_bytes : int
        What may be kept, at least 1 MiB: of one stream of 24 channels at 50 Hz, 5 kB a second.
    when_full : {"wait", "drop"}
        Whether `send` waits until there is room, or the oldest messages are given up, which is logged and counted.
    close_s : float
        How long closing waits for what is not acknowledged yet. Messages are acknowledged some seconds after their
        labels were published (`kinestream serve --history`).
    spool : str or Path, optional
        Folder in which all that is kept stands, too, so that who is started again after a crash delivers what the one
        before had not: written to before a message is sent, and synced to the disk once a second. It takes up to twice
        `keep_bytes`, and 6 MB.
    """

    keep_bytes: int = 64 << 20
    when_full: Literal["wait", "drop"] = "wait"
    close_s: float = 30.0
    spool: str | Path | None = None

    def __post_init__(self) -> None:
        problems = []
        if not isinstance(self.keep_bytes, int) or self.keep_bytes < LEAST_BYTES:
            problems.append(f"keep_bytes: give at least {LEAST_BYTES}, not {self.keep_bytes!r}")
        if self.when_full not in ("wait", "drop"):
            problems.append(f"when_full: give 'wait' or 'drop', not {self.when_full!r}")
        if not isinstance(self.close_s, int | float) or not 0 <= self.close_s < float("inf"):
            problems.append(f"close_s: give seconds from 0, not {self.close_s!r}")
        if problems:
            raise ConfigError("reliable sending", problems)
