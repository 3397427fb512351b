"""Labels are matched to their windows, every one is counted once, and a latency is the sum of its stages."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from kinestream.model.windows.grid import WindowGrid
from kinestream.replay.play.handshake import Acceptance
from kinestream.replay.play.playback import Playback
from kinestream.replay.play.take import takes_of
from kinestream.replay.report import ReplayReport, percentiles
from kinestream.replay.score.arrivals import Column, Skipped
from kinestream.replay.score.scorer import STAGES, judge
from kinestream.screens.scores import print_replay
from tests.given.replayed import made_up, silenced

GRID = WindowGrid(length=8, stride=4, max_missing=0.25)
CLASSES = ("class0", "class1", "class2", "class3")
ACCEPTED = Acceptance("m-1", GRID, 50.0, CLASSES, None, columns=None, subscribers=1)
MS = 1_000_000


def played(samples: int, chunk: int, sent: int | None = None) -> Playback:
    """Return the playback of one recording, two loops, each message due every 20 ms and sent 1 ms late."""
    takes = takes_of([silenced(made_up("a", samples), 40, 48)], first_session=1, loop=2)
    playback = Playback(takes, chunk)
    for index in range(len(takes)):
        for first in range(0, samples if sent is None else sent, chunk):
            playback.add(index, first * 20 * MS, first * 20 * MS + MS)
    return playback


def label(take: int, window: int, class_index: int = 0, chunk: int = 1) -> list[int]:
    """Return what is kept of a label that took 1, 2, 3, 4 and 5 ms for its stages from when it was sent."""
    last = 4 * window + 7
    sent = last // chunk * chunk * 20 * MS + MS
    return [take, window, class_index, 0, *(sent + ms * MS for ms in (1, 3, 6, 10, 15))]


def rows(labels: list[list[int]]) -> np.ndarray:
    return np.array(labels, dtype=np.int64).reshape(-1, len(Column))


# Windows of 100 samples: 24; those at 36, 40 and 44 miss too much, so 21 are full.
FULL = [window for window in range(24) if window not in (9, 10, 11)]


@given(
    fates=st.lists(st.sampled_from([0, 1, 2]), min_size=42, max_size=42),
    foreign=st.lists(st.sampled_from([9, 10, 11, 24, 1000, -1]), max_size=5),
    strangers=st.integers(0, 3),
)
def test_every_label_is_received_duplicate_or_unexpected_and_every_window_received_or_missing(
    fates, foreign, strangers
):
    windows = [(take, window) for take in (0, 1) for window in FULL]
    labels = [label(*window) for window, times in zip(windows, fates, strict=True) for _ in range(times)]
    labels += [label(0, window) for window in foreign]
    live = judge(played(100, 1), {"a": ACCEPTED}, rows(labels), [], strangers)
    assert live.expected == 42
    assert live.received == sum(times > 0 for times in fates)
    assert live.missing == live.expected - live.received
    assert live.duplicate == sum(times > 1 for times in fates)
    assert live.unexpected == len(foreign) + strangers
    assert live.received + live.duplicate + live.unexpected == len(labels) + strangers


@pytest.mark.parametrize("chunk", [1, 3, 50])
def test_latency_counts_from_when_the_last_sample_was_due(chunk):
    live = judge(played(100, chunk), {"a": ACCEPTED}, rows([label(0, 5, chunk=chunk), label(1, 6, chunk=chunk)]), [])
    np.testing.assert_allclose(live.latency_ms, 16.0)
    stages = {stage: figures.tolist() for stage, figures in live.stages_ms.items()}
    assert stages == dict(zip(STAGES, ([1.0] * 2, [1.0] * 2, [2.0] * 2, [3.0] * 2, [4.0] * 2, [5.0] * 2), strict=True))


def test_only_windows_that_were_sent_whole_are_expected():
    live = judge(played(100, 1, sent=30), {"a": ACCEPTED}, rows([]), [])
    assert live.expected == live.missing == 2 * 6


def test_a_window_that_was_sent_in_full_and_skipped_is_missing_whatever_the_reason():
    skipped = [Skipped(0, 2, 3, "missing"), Skipped(1, 4, 6, "overload")]
    live = judge(played(100, 1), {"a": ACCEPTED}, rows([]), skipped)
    assert live.expected == 42
    assert live.missing == 42
    assert live.skipped == {"missing": 2, "overload": 3}


def test_labels_are_scored_against_the_last_sample_of_their_window():
    recording = silenced(made_up("a", 100), 40, 48)
    truth = [int(recording.labels[4 * window + 7]) for window in FULL]
    labels = [label(take, window, max(known, 0)) for take in (0, 1) for window, known in zip(FULL, truth, strict=True)]
    live = judge(played(100, 1), {"a": ACCEPTED}, rows(labels), [])
    assert live.scores is not None
    assert live.scores.windows == 2 * sum(known >= 0 for known in truth)
    assert live.scores.averages.accuracy == 1.0
    assert [stream.accuracy for stream in live.streams] == [1.0]


@given(figures=st.lists(st.floats(0, 1e6), max_size=50))
def test_percentiles_are_in_order(figures):
    values = list(percentiles(np.array(figures)).values())
    if figures:
        assert values == sorted(values)
        assert values[-1] == round(max(figures), 4)
    else:
        assert values == [None] * 4


@pytest.mark.parametrize("speed", [1.0, "max"])
def test_the_report_for_people_names_what_is_missing_and_when_latency_means_nothing(speed):
    playback = played(100, 1)
    live = judge(playback, {"a": ACCEPTED}, rows([label(0, 0), label(0, 1)]), [Skipped(0, 9, 11, "missing")])
    report = ReplayReport(
        speed=speed,
        streams=1,
        samples_sent=playback.samples_sent,
        seconds=playback.seconds,
        achieved_hz=playback.achieved_hz,
        pacing_error_ms=playback.pacing_error_ms,
        interrupted=False,
        bundle="m-1",
        vanished=None,
        live=live,
    )
    console = Console(file=io.StringIO(), width=120)
    print_replay(report, console)
    text = console.file.getvalue()
    assert "2 of 42 labels came from m-1, 40 missing, 3 windows skipped (missing)" in text
    assert ("no latency of a live stream" in text) == (speed == "max")
    assert "deliver" in text
