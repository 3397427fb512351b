"""What a replay did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kinestream.replay.play.handshake import Acceptance
from kinestream.replay.play.player import Speed
from kinestream.replay.play.take import Take
from kinestream.replay.score.scorer import STAGES, LiveScore
from kinestream.streamer.client import Event

Figures = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Played:
    """What a page shows of a scored replay besides its figures.

    Parameters
    ----------
    takes : sequence of Take
        What was played.
    chunk : int
        Samples in a message.
    accepted : mapping of str to Acceptance
        The streamer's answer for each stream.
    probabilities : mapping of bytes by (int, int)
        Of every class, float32, by take and window.
    events : sequence of Event
        What the streamer said besides its labels, in order.
    """

    takes: Sequence[Take]
    chunk: int
    accepted: Mapping[str, Acceptance]
    probabilities: Mapping[tuple[int, int], bytes]
    events: Sequence[Event]


@dataclass(frozen=True)
class ReplayReport:
    """What a replay did.

    Parameters
    ----------
    speed : float or "max"
        As asked for.
    streams : int
        Streams played at once.
    samples_sent : int
        Samples of all streams.
    seconds : float
        From the first message to the last.
    achieved_hz : float or None
        Samples sent per second, all streams together; None where there was but one instant.
    pacing_error_ms : ndarray of float64, shape (messages,)
        How much later than due each message left.
    interrupted : bool
        Whether Ctrl-C ended it.
    bundle : str
        What the streamer runs.
    vanished : str or None
        Where the streamer went away before all was done, how that showed; what came by then is reported.
    live : LiveScore or None
        What came back, where that was asked for.
    played : Played or None
        What a page shows besides, where that was asked for.
    """

    speed: Speed
    streams: int
    samples_sent: int
    seconds: float
    achieved_hz: float | None
    pacing_error_ms: Figures
    interrupted: bool
    bundle: str
    vanished: str | None
    live: LiveScore | None
    played: Played | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        content: dict[str, Any] = {
            "samples_sent": self.samples_sent,
            "achieved_hz": self.achieved_hz,
            "pacing_error_ms": percentiles(self.pacing_error_ms, (50, 99)),
            "speed": self.speed,
            "streams": self.streams,
            "seconds": self.seconds,
            "interrupted": self.interrupted,
            "bundle": self.bundle,
            "vanished": self.vanished,
        }
        return content if self.live is None else content | _live_dict(self.live)


def percentiles(figures: Figures, which: tuple[int, ...] = (50, 90, 99)) -> dict[str, float | None]:
    """Return percentiles and the greatest, rounded to a tenth of a microsecond; all None where there is no figure."""
    names = [*(f"p{percent}" for percent in which), "max"]
    if not len(figures):
        return dict.fromkeys(names)
    values = np.percentile(figures, [*which, 100])
    return {name: round(float(value), 4) for name, value in zip(names, values, strict=True)}


def _live_dict(live: LiveScore) -> dict[str, Any]:
    scores = live.scores.as_dict() if live.scores else dict.fromkeys(("accuracy", "f1_weighted", "f1_macro"))
    return {
        "labels_expected": live.expected,
        "labels_received": live.received,
        "labels_missing": live.missing,
        "labels_unexpected": live.unexpected,
        "labels_duplicate": live.duplicate,
        "windows_skipped": live.skipped,
        "latency_ms": percentiles(live.latency_ms),
        "stages_ms": {stage: percentiles(live.stages_ms[stage]) for stage in STAGES},
        "labels_filled": live.filled,
        "labels_untimed": live.untimed,
        **scores,
        "unscored": live.unscored,
        "by_stream": [vars(stream) for stream in live.streams],
    }
