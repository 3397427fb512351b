"""Holds live labels against the truth of their windows, and takes their latency apart."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kinestream.model.clock import STEP_NS
from kinestream.model.counted import counted
from kinestream.model.scores.metrics import Scores, score
from kinestream.model.windows.labelled import NOT_SCORED
from kinestream.replay.play.handshake import Acceptance
from kinestream.replay.play.playback import Playback
from kinestream.replay.score.arrivals import Column, Skipped
from kinestream.replay.score.expected import ExpectedWindows, expected_windows

Integers = npt.NDArray[np.int64]
Milliseconds = npt.NDArray[np.float64]

STAGES = ("send", "transport", "ready", "infer", "publish", "deliver")
"""Parts of a latency: from when the window's last sample was due to leave until it left, until the streamer had it,
until its batch was ready, until its class was known, until the label left, until it was in the subscriber's hands."""


@dataclass(frozen=True)
class StreamScore:
    """What came back of one stream; as in `LiveScore`, `accuracy` None where nothing could be scored."""

    stream: str
    expected: int
    received: int
    missing: int
    accuracy: float | None


@dataclass(frozen=True)
class TakeLabels:
    """The labels that came of one take.

    Parameters
    ----------
    take : int
        Its index.
    expected : ExpectedWindows
        What should have come.
    windows, labels, truth : ndarray of int64, shape (W,)
        Which windows were named, ascending, what they were named, and what they are.
    """

    take: int
    expected: ExpectedWindows
    windows: Integers
    labels: Integers
    truth: Integers


@dataclass(frozen=True)
class LiveScore:
    """What came back of a replay.

    Parameters
    ----------
    expected : int
        Windows that lie wholly in what was sent and miss few enough samples for a label.
    received : int
        Of those, how many got their label.
    missing : int
        Those that got none, for whatever reason.
    unexpected, duplicate : int
        Labels of windows that are none of the expected, and labels of windows that had one already.
    skipped : dict of str to int
        Windows the streamer said it skipped, by reason.
    scores : Scores or None
        Of the labels whose windows have a true class among the bundle's; None where none has.
    unscored : str or None
        Why there are no scores.
    latency_ms : ndarray of float64, shape (received - filled,)
        From when a window's last sample should have left to its label in the subscriber's hands, by the monotonic
        clock.
    stages_ms : dict of str to ndarray of float64, shape (received - filled,) for ``send``, else less `untimed`, too
        The same by `STAGES`, which add up to it. All but ``send`` need the streamer's clock.
    untimed : int
        Labels that are left out of those stages: a wall clock stepped while they were on their way, or the streamer's
        is another than ours.
    streams : tuple of StreamScore
        By stream, in order.
    takes : tuple of TakeLabels
        The labels themselves.
    filled : int
        Of those received, labels that were missed at first and asked for, which is no latency of the streamer.
    """

    expected: int
    received: int
    missing: int
    unexpected: int
    duplicate: int
    skipped: dict[str, int]
    scores: Scores | None
    unscored: str | None
    latency_ms: Milliseconds
    stages_ms: dict[str, Milliseconds]
    untimed: int
    streams: tuple[StreamScore, ...]
    takes: tuple[TakeLabels, ...] = ()
    filled: int = 0


@dataclass(frozen=True)
class _TakeScore:
    stream: str
    labels: TakeLabels
    expected: int
    missing: int
    unexpected: int
    duplicate: int
    labelled: int  # of those that came
    moments: Integers  # (labels that came by themselves, 7): due, sent, then the label's own times


def judge(
    playback: Playback,
    accepted: Mapping[str, Acceptance],
    labels: Integers,
    skipped: Iterable[Skipped],
    strangers: int = 0,
    steps: Sequence[int] = (),
) -> LiveScore:
    """Match every label to its window.

    Parameters
    ----------
    playback : Playback
        What was sent.
    accepted : mapping of str to Acceptance
        The streamer's answer for each stream.
    labels : ndarray of int64, shape (labels, len(Column))
        As `Arrivals.labels`.
    skipped : iterable of Skipped
        As `Arrivals.skipped`.
    strangers : int
        Labels that belong to no take.
    steps : sequence of int
        When the wall clock of this machine was seen to have stepped, monotonic ns.
    """
    labels = labels[np.argsort(labels[:, Column.TAKE], kind="stable")]
    edges = np.searchsorted(labels[:, Column.TAKE], np.arange(len(playback.takes) + 1))
    windows_of: dict[int, ExpectedWindows] = {}  # by id of the part, which the loops of a recording share
    takes = []
    for index, take in enumerate(playback.takes):
        acceptance = accepted[take.stream]
        windows = windows_of.get(id(take.recording)) or expected_windows(take, playback.chunk, acceptance)
        windows_of[id(take.recording)] = windows
        came = labels[edges[index] : edges[index + 1]]
        takes.append(_judge_take(playback, index, windows, len(acceptance.classes), came))
    reasons: Counter[str] = Counter()
    for entry in skipped:
        reasons[entry.reason] += entry.last - entry.first + 1
    return _sum(takes, next(iter(accepted.values())), dict(reasons), strangers, steps)


def _judge_take(
    playback: Playback,
    take: int,
    windows: ExpectedWindows,
    classes: int,
    labels: Integers,
) -> _TakeScore:
    sent = playback.times_of(take)
    awaited = windows.full & (windows.completed_by < len(sent))
    number, index = labels[:, Column.WINDOW], labels[:, Column.CLASS]
    known = (number >= 0) & (number < len(awaited)) & (index >= 0) & (index < classes)
    known[known] = awaited[number[known]]
    unique, first = np.unique(number[known], return_index=True)
    came = labels[known][first]
    times = sent[windows.completed_by[unique]]
    moments = np.hstack([times, came[:, Column.RECEIVED :]])
    return _TakeScore(
        stream=playback.takes[take].stream,
        expected=int(awaited.sum()),
        missing=int(awaited.sum()) - len(unique),
        unexpected=int((~known).sum()),
        duplicate=int(known.sum()) - len(unique),
        labels=TakeLabels(take, windows, unique, came[:, Column.CLASS], windows.truth[unique]),
        labelled=int(windows.labelled[unique].sum()),
        moments=moments[came[:, Column.FILLED] == 0],
    )


def _sum(
    takes: Sequence[_TakeScore], about: Acceptance, skipped: dict[str, int], strangers: int, steps: Sequence[int]
) -> LiveScore:
    truth = np.concatenate([take.labels.truth for take in takes])
    predicted = np.concatenate([take.labels.labels for take in takes])
    moments = np.concatenate([take.moments for take in takes])
    scored = truth != NOT_SCORED
    passed = np.diff(moments, axis=1)
    timed = _timed(moments, passed, steps)
    expected = sum(take.expected for take in takes)
    scores = score(truth[scored], predicted[scored], about.classes, about.null_class)
    by_stream: dict[str, list[_TakeScore]] = {}
    for take in takes:
        by_stream.setdefault(take.stream, []).append(take)
    return LiveScore(
        expected=expected,
        received=len(truth),
        missing=sum(take.missing for take in takes),
        unexpected=sum(take.unexpected for take in takes) + strangers,
        duplicate=sum(take.duplicate for take in takes),
        skipped=skipped,
        scores=scores,
        unscored=None if scores else _unscored(expected, len(truth), sum(take.labelled for take in takes), about),
        latency_ms=(moments[:, -1] - moments[:, 0]) / 1e6,
        stages_ms={stage: passed[timed if i else slice(None), i] / 1e6 for i, stage in enumerate(STAGES)},
        untimed=int((~timed).sum()),
        streams=tuple(_stream_score(stream, own) for stream, own in by_stream.items()),
        takes=tuple(take.labels for take in takes),
        filled=len(truth) - len(moments),
    )


def _timed(moments: Integers, passed: Integers, steps: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Tell of which labels the streamer's times can be compared with ours.

    A step of its own clock, or another clock, shows where time seems to run backwards.
    """
    noticed = np.array(sorted(steps), dtype=np.int64)
    sent, arrived = (np.searchsorted(noticed, moments[:, column], side="right") for column in (1, -1))
    timed: npt.NDArray[np.bool_] = np.logical_and(sent == arrived, np.all(passed >= -STEP_NS, axis=1))
    return timed


def _unscored(expected: int, received: int, labelled: int, about: Acceptance) -> str:
    """Say why nothing could be scored."""
    if not expected:
        return f"no window of {counted(about.grid.length, 'sample')} was sent whole"
    if not received:
        return "no label came back"
    if not labelled:
        return "no window that got a label has a true class in the recordings"
    return "no window has a class that the bundle knows"


def _stream_score(stream: str, takes: Sequence[_TakeScore]) -> StreamScore:
    truth = np.concatenate([take.labels.truth for take in takes])
    right = truth == np.concatenate([take.labels.labels for take in takes])
    scored = truth != NOT_SCORED
    return StreamScore(
        stream=stream,
        expected=sum(take.expected for take in takes),
        received=len(truth),
        missing=sum(take.missing for take in takes),
        accuracy=float(right[scored].mean()) if scored.any() else None,
    )
