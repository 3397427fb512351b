"""One stream as a page shows it: signal, labels, truth and events of the stretch of time that it looks at."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kinestream.streamer.dashboard.asking import BadAsking, name, whole
from kinestream.streamer.dashboard.board import Board
from kinestream.streamer.dashboard.past import Span
from kinestream.streamer.dashboard.row import Row
from kinestream.streamer.dashboard.signal import DeviceSignal, decimated
from kinestream.streamer.dashboard.strip import SECOND
from kinestream.streamer.wire.messages import MAX_TEXT

SHOWN_CHANNELS = 12
"""Of all devices, where the page does not say which it wants to see."""
_MOST_CHANNELS = 64
_SPAN_MS = (1_000, 1_800_000)
_POINTS = (50, 4000)
_MS = 1_000_000

Signals = dict[str, DeviceSignal]
"""What is known of a stream's signal, by device."""
_Channels = dict[str, tuple[str, ...]]


class Glance(NamedTuple):
    """What a page wants to see of a stream.

    Attributes
    ----------
    stream : str
        Which.
    span_ms : int
        How long a stretch of time.
    until_ms : int
        When it ends, Unix ms on the wearer's clock; 0 for now, and on with it.
    points : int
        How many points a line may have.
    channels : dict of tuple of str by str, or None
        Which, by device; without it, the first ones.
    """

    stream: str
    span_ms: int = 30_000
    until_ms: int = 0
    points: int = 1200
    channels: _Channels | None = None

    @classmethod
    def read(cls, content: dict[str, Any]) -> "Glance":
        """Read what a page asks for.

        Raises
        ------
        BadAsking
            If it makes no sense.
        """
        span, points = whole(content, "span_ms", _SPAN_MS[1]), whole(content, "points", _POINTS[1])
        return cls(
            name(content, "stream"),
            max(span, _SPAN_MS[0]),
            whole(content, "until_ms", 1 << 52),
            max(points, _POINTS[0]),
            _channels(content.get("channels")),
        )

    @property
    def width(self) -> int:
        """The stretch of time, in ns, of which two points are shown."""
        return max(2 * self.span_ms * _MS // self.points, 1)


class Closeup:
    """What one page shows of a stream, and what it has been told.

    Parameters
    ----------
    glance : Glance
        What it wants to see.
    """

    every_ns = SECOND // 10

    def __init__(self, glance: Glance) -> None:
        self.glance = glance
        self._row: Row | None = None
        self._is_new = True
        self._labels = self._marks = self._annotations = 0
        self._sent: dict[str, int] = {}  # until when each device's signal was told

    def ask(self, glance: Glance) -> None:
        """Look at something else."""
        self.glance, self._is_new = glance, True

    def message(self, board: Board, signals: Signals, now: int) -> dict[str, Any] | None:
        """Return what is to be shown: all of it if it was asked for anew, else what has come since."""
        glance, row = self.glance, board.rows.get(self.glance.stream)
        if row is None:
            self._is_new, self._row = True, None
            return {"t": "stream", "stream": glance.stream, "unknown": True}
        if row is not self._row:  # forgotten meanwhile, and back
            self._row, self._is_new = row, True
        is_new, self._is_new = self._is_new, False
        if not is_new and glance.until_ms:
            return {"t": "stream", "stream": row.stream, "seen": board.look(row, now)}
        edge = max([row.moment, *(each.end for each in signals.values())])
        end = glance.until_ms * _MS if glance.until_ms else edge + 1
        begin = end - glance.span_ms * _MS
        return {
            "t": "stream",
            "stream": row.stream,
            "seen": board.look(row, now),
            "anew": is_new,
            "edge": edge / _MS,
            "begins": None if row.past.begins is None else row.past.begins / _MS,
            "stride_ms": 1000 * row.stride_s,
            "probs": _percents_now(row),
            "rates": {device: list(rates) for device, rates in row.rates.items()},
            "labels": self._new_labels(row, begin, end, is_new),
            "marks": self._new_marks(row, is_new),
            "annotations": self._new_annotations(board, row, is_new),
            "activities": self._activities(row, begin, is_new),
            "signals": self._signals(signals, begin, end, is_new),
        }

    def _new_labels(self, row: Row, begin: int, end: int, is_new: bool) -> list[list[Any]]:
        before, self._labels = self._labels, row.past.added
        if is_new:  # a page draws a little more than it shows
            span = row.past.between(begin - 2 * SECOND, end + 2 * SECOND)
        else:
            span = row.past.newest(self._labels - before)
        return [
            [at / _MS, number, probs]
            for at, number, probs in zip(span.at.tolist(), span.number.tolist(), _percents(span), strict=True)
        ]

    def _new_marks(self, row: Row, is_new: bool) -> list[list[Any]]:
        marks, before, self._marks = list(row.past.marks), self._marks, row.past.marked
        fresh = marks if is_new else marks[len(marks) - min(self._marks - before, len(marks)) :]
        return [[mark.at / _MS, mark.kind, mark.text] for mark in fresh]

    def _activities(self, row: Row, begin: int, is_new: bool) -> list[list[Any]]:
        """Return the activities of the time that is shown: the newest goes on, so the last few are told again."""
        known = (
            [each for each in row.past.activities if each.end >= begin] if is_new else list(row.past.activities)[-3:]
        )
        return [[each.begin / _MS, each.end / _MS, each.number] for each in known]

    def _new_annotations(self, board: Board, row: Row, is_new: bool) -> list[list[Any]]:
        known, before, self._annotations = list(row.past.annotations), self._annotations, row.past.annotated
        fresh = known if is_new else known[len(known) - min(self._annotations - before, len(known)) :]
        return [[each.begin / _MS, each.end / _MS, board.classes.number(each.activity)] for each in fresh]

    def _signals(self, signals: Signals, begin: int, end: int, is_new: bool) -> dict[str, Any]:
        width = self.glance.width
        told = {}
        if is_new:
            self._sent = {}
        chosen = _chosen(signals, self.glance.channels)
        for device, signal in signals.items():
            since = self._sent.get(device)
            until = min(end, signal.end // width * width)  # what is not complete yet would have to be told twice
            columns = chosen.get(device, [])
            about = {"all": [list(each) for each in signal.channels], "shown": columns} if since is None else {}
            first = max(begin, begin if since is None else since)
            if until <= first and since is not None:
                continue
            self._sent[device] = max(until, first)
            times, x = decimated(*signal.between(first, max(until, first)), width)
            told[device] = {**about, "t": (times / _MS).tolist(), "y": _columns(x[:, columns])}
        return told


def _channels(value: object) -> _Channels | None:
    if value is None:
        return None
    if type(value) is not dict or len(value) > 64:
        raise BadAsking("channels")
    for device, names in value.items():
        if type(names) is not list or len(names) > _MOST_CHANNELS or len(device) > MAX_TEXT:
            raise BadAsking("channels")
        if not all(type(each) is str and len(each) <= MAX_TEXT for each in names):
            raise BadAsking("channels")
    return {device: tuple(names) for device, names in value.items()}


def _chosen(signals: Signals, wanted: _Channels | None) -> dict[str, list[int]]:
    """Return which columns of each device are shown."""
    if wanted is not None:
        return {
            device: [at for at, (called, _) in enumerate(signal.channels) if called in wanted.get(device, ())]
            for device, signal in signals.items()
        }
    each = max(SHOWN_CHANNELS // max(len(signals), 1), 1)
    return {device: list(range(min(each, len(signal.channels)))) for device, signal in signals.items()}


def _columns(x: npt.NDArray[np.float32]) -> list[list[float | None]]:
    """Return each channel's values to five digits; what is missing is nothing."""
    found: list[list[float | None]] = []
    for column in x.T.astype(float):
        found.append([float(f"{value:.5g}") if value == value and abs(value) < 1e30 else None for value in column])
    return found


def _percents(span: Span) -> list[list[int]]:
    percents: list[list[int]] = np.rint(100 * span.probs).astype(int).tolist()
    return percents


def _percents_now(row: Row) -> list[int]:
    """Return the newest label's, which are not the coarser ones of the past: one of them stands beside its activity."""
    label = row.tally.label
    return [] if label is None else [round(100 * p) for p in label.probabilities.tolist()]
