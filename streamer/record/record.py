"""A recording as a job: until it is asked to end, or nothing can be written any further."""

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from kinestream.model.clock import monotonic_ns
from kinestream.streamer.record.recorder import Recorder
from kinestream.streamer.record.writer import RecordingWriter
from kinestream.streamer.transport.addresses import somebody_listens
from kinestream.streamer.wire import messages as wire

_LOOK_MS = 200
_SILENT_S = 3.0
"""Time without a message after which it is asked whether there is a streamer."""
_TOLD_EVERY_S = 10.0
"""How often is told what is missed."""


@dataclass(frozen=True)
class Limits:
    """When a file ends, and when it is on the disk.

    Parameters
    ----------
    most_bytes, most_s : int, float
        A file's.
    sync_s : float
        So much of what came before a power failure is lost, and no more.
    """

    most_bytes: int = 256 << 20
    most_s: float = 3600.0
    sync_s: float = 1.0


def record(
    folder: Path,
    *,
    labels: str = wire.LABELS,
    watch: str = wire.WATCH,
    streams: Sequence[str] | None = None,
    limits: Limits | None = None,
    seconds: float | None = None,
    say: Callable[[str], object] = lambda line: None,
    on_signals: bool = False,
    keys: str | Path | None = None,
    fleet: str | None = None,
) -> dict[str, Any]:
    """Write down what a streamer publishes until so many seconds have passed, or a signal says so.

    Parameters
    ----------
    folder : Path
        Where files are written; it is made.
    labels, watch : str
        Where the streamer publishes.
    streams : sequence of str, optional
        Only these; all by default.
    limits : Limits, optional
        When a file ends, and when it is on the disk.
    seconds : float, optional
        How long; without it, until it is asked to end.
    say : callable
        Called with a line where there is something to say.
    on_signals : bool
        Whether SIGTERM and SIGINT end it as they should.
    keys : str or Path, optional
        The file of your keys, where the streamer asks for them; that which `KINESTREAM_KEYS` names by default.
    fleet : str, optional
        Where a fleet's directory answers, in place of a streamer's addresses.

    Returns
    -------
    dict
        ``files``, ``bytes``, ``messages``, and the counts of `Recorder`.

    Raises
    ------
    EndpointError
        If an address cannot be used, or something else answers there.
    AccessError
        If the streamer does not accept the keys, or the lack of them.
    FileError
        If nothing can be written any further: what was written can be read.
    """
    limits = limits or Limits()
    stopping = _Stop(on_signals)
    writer = RecordingWriter(
        folder,
        most_bytes=limits.most_bytes,
        most_s=limits.most_s,
        sync_s=limits.sync_s,
        on_file=lambda path: say(f"{path}: finished"),
    )
    recorder = Recorder(writer, labels=labels, watch=watch, streams=streams, keys=keys, fleet=fleet)
    try:
        _run(recorder, stopping, fleet or labels, fleet is not None, seconds, say)
    finally:
        recorder.close()
    counts = {"missed": 0, "holes": 0, "malformed": 0} | recorder.counts
    return {"files": [str(path) for path in writer.files], "bytes": writer.size, "messages": writer.messages} | counts


def _run(
    recorder: Recorder,
    stopping: "_Stop",
    place: str,
    is_fleet: bool,
    seconds: float | None,
    say: Callable[[str], object],
) -> None:
    began = monotonic_ns()
    until = None if seconds is None else began + round(seconds * 1e9)
    told, asked = 0, False
    tell_at = began
    while not stopping.asked and (until is None or monotonic_ns() < until):
        recorder.take(_LOOK_MS)
        now = monotonic_ns()
        if not recorder.heard and not asked and now - began > _SILENT_S * 1e9:
            asked = True
            if not somebody_listens(place, timeout_s=0.5):
                say(_absence(place, is_fleet))
        missed = recorder.counts["missed"]
        if missed > told and now >= tell_at:
            say(f"missed {missed:,} messages with readings so far: this, or the disk, is too slow; holes tell which")
            told, tell_at = missed, now + round(_TOLD_EVERY_S * 1e9)
    recorder.finish()


def _absence(place: str, is_fleet: bool) -> str:
    if is_fleet:
        return f"no directory of a fleet answers at {place} yet: 'kinestream fleet up' starts one; this goes on waiting"
    return (
        f"nobody publishes at {place} yet: start a streamer with 'kinestream serve BUNDLE', or name its addresses with "
        "--labels and --watch, a fleet's with --fleet; this goes on waiting"
    )


class _Stop:
    """Whether it was asked to end."""

    def __init__(self, on_signals: bool) -> None:
        self.asked = False
        for name in ("SIGTERM", "SIGINT", "SIGHUP") if on_signals else ():
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # as nohup asks
                signal.signal(number, self._stop)

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self.asked = True
