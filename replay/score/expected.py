"""Which windows a streamer should make of a take, what they are in truth, and which message completes each."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kinestream.model.recordings.laid import laid
from kinestream.model.recordings.recording import UNLABELLED, Recording
from kinestream.model.recordings.resample import resampling
from kinestream.model.recordings.samplegrid import SampleGrid, exact_rate
from kinestream.model.windows.frozen import NEVER, FrozenRule
from kinestream.model.windows.grid import continuous_starts
from kinestream.model.windows.labelled import crosses_seam, full_windows, truth_of
from kinestream.replay.play.delivery import Delivery
from kinestream.replay.play.handshake import Acceptance
from kinestream.replay.play.take import Take

Integers = npt.NDArray[np.int64]


class ExpectedWindows(NamedTuple):
    """The windows of a take.

    Attributes
    ----------
    completed_by : ndarray of int64, shape (W,)
        Which of the take's messages brings the last reading that each needs.
    full : ndarray of bool, shape (W,)
        Whether enough of its samples are there for a label.
    truth : ndarray of int64, shape (W,)
        True class, or `NOT_SCORED`.
    labelled : ndarray of bool, shape (W,)
        Whether its last sample has a class at all, be it one that the bundle does not know.
    recording, starts : Recording, ndarray of int64, shape (W,)
        What they are cut of, on the grid, and the first sample of each.
    """

    completed_by: Integers
    full: npt.NDArray[np.bool_]
    truth: Integers
    labelled: npt.NDArray[np.bool_]
    recording: Recording
    starts: Integers


def expected_windows(take: Take, chunk: int, acceptance: Acceptance) -> ExpectedWindows:
    """Return the windows that a streamer should make of a take that is sent whole, in messages of `chunk` samples."""
    if take.delivery is None:
        starts = continuous_starts(take.recording, acceptance.grid)
        return _expected(take.recording, starts, (starts + acceptance.grid.length - 1) // chunk, acceptance)
    recording = laid(take.recording, take.delivery.devices, acceptance.rate_hz, acceptance.grid.stride)
    starts = continuous_starts(recording, acceptance.grid)
    windows = _expected(recording, starts, _completed_by(take.delivery, recording, starts, acceptance), acceptance)
    cut = (starts >= recording.begins) & ~crosses_seam(recording, starts, acceptance.grid.length)
    return windows._replace(full=windows.full & cut)


def _expected(
    recording: Recording, starts: Integers, completed_by: Integers, acceptance: Acceptance
) -> ExpectedWindows:
    grid, repeats = acceptance.grid, acceptance.repeats
    columns = None if acceptance.columns is None else np.array(acceptance.columns, dtype=np.intp)
    rule = NEVER
    if recording.devices and repeats is not None:
        names = [channel.name for channel in recording.channels]
        columns = np.array([names.index(name) for name in repeats if name in names], dtype=np.intp)
        rule = FrozenRule(tuple(longest for name, longest in repeats.items() if name in names), blank=True)
    full = np.zeros(len(starts), np.bool_)
    for some in full_windows(recording, columns, starts, grid, rule):
        full[some.which] = True
    return ExpectedWindows(
        completed_by=completed_by,
        full=full,
        truth=truth_of(recording, acceptance.classes, starts, grid.length),
        labelled=recording.labels[starts + grid.length - 1] != UNLABELLED,
        recording=recording,
        starts=starts,
    )


def _completed_by(delivery: Delivery, recording: Recording, starts: Integers, acceptance: Acceptance) -> Integers:
    """Return the message with which every device has sent, without a hole, what a window needs of it.

    Of a device that sends nothing so late, and of one whose message is lost, the last it sends before: the streamer
    then waits, and that is latency.
    """
    needed = recording.timestamps[starts + acceptance.grid.length - 1]
    grid = SampleGrid(int(recording.timestamps[0]), exact_rate(acceptance.rate_hz))
    completed = np.zeros(len(starts), dtype=np.int64)
    for number, device in enumerate(delivery.devices):
        place: dict[int, int] = {}  # of the first message that holds them, by the readings it ends with
        for index, message in enumerate(delivery.messages):
            if message.device == number:
                place.setdefault(message.end, index)
        ends = np.array(sorted(place))
        so_far = np.maximum.accumulate([place[end] for end in ends.tolist()])
        until = device.times[ends - 1]
        after = needed + resampling(device.rate_hz, grid).half_width
        completed = np.maximum(completed, so_far[np.minimum(np.searchsorted(until, after), len(ends) - 1)])
    return completed
