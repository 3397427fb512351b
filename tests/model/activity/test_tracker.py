"""Activities are a pure function of a run's labels; what has been told is never taken back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinestream.model.activity.decisions import UNCERTAIN
from kinestream.model.activity.tracker import ActivityTracker
from kinestream.model.config.activity import ActivitySection
from tests.model.activity.test_smoother import drawn, settings_of

STRIDE = 10


@st.composite
def rules(draw):
    least = tuple(draw(st.integers(1, 4)) for _ in range(3))
    return ActivitySection(
        lag=draw(st.integers(0, 4)),
        stay=draw(st.floats(0.4, 0.99)),
        sharpness=draw(st.floats(0.1, 1.0)),
        least=least,
        threshold=draw(st.sampled_from([0.0, 0.5, 0.8])),
        patience=draw(st.integers(max(least), 8)),
        longest_gap=draw(st.integers(0, 3)),
    )


@st.composite
def runs(draw):
    """Return windows that got a label, ascending, their moments and probabilities."""
    windows = np.cumsum(draw(st.lists(st.sampled_from([1, 1, 1, 1, 2, 3, 6]), min_size=1, max_size=40)))
    probabilities = drawn(draw(st.integers(0, 999)), len(windows), 3)
    return windows.tolist(), (windows * STRIDE).tolist(), probabilities


def told(settings, run, **options):
    return [change for changes in each_told(settings, run, **options) for change in changes]


def each_told(settings, run, skips=False, repeats=False):
    tracker = ActivityTracker(settings, STRIDE)
    found, before = [], None
    for window, at, probabilities in zip(*run, strict=True):
        changes = []
        for missing in range(before + 1, window) if skips and before is not None else ():
            changes += tracker.skip(missing)
        changes += tracker.add(window, at, probabilities)
        if repeats:
            changes += tracker.add(window, at, probabilities[::-1])
        before = window
        found.append(changes)
    return [*found, tracker.finish()]


@given(rules(), runs())
def test_what_was_told_of_some_windows_is_told_of_all(settings, run):
    whole = each_told(settings, run)
    for count in range(len(run[0])):
        part = each_told(settings, [each[:count] for each in run])
        assert part[:count] == whole[:count]


@given(rules(), runs())
def test_that_windows_are_skipped_is_told_by_the_next_label_as_well(settings, run):
    assert told(settings, run, skips=True) == told(settings, run)


@given(rules(), runs())
def test_repetitions_change_nothing(settings, run):
    assert told(settings, run, repeats=True) == told(settings, run)


@given(rules(), runs())
def test_activities_follow_one_another(settings, run):
    windows, moments, _ = run
    current = first = None
    ends, lasting = [moments[0] - STRIDE], []
    for change in told(settings, run):
        if change.state == "started":
            assert current is None
            assert change.begin >= ends[-1]
            current = change
            first = change.begin if first is None else first
        assert (change.which, change.begin) == (current.which, current.begin)
        assert change.end > change.begin
        assert 0 < change.p <= 1
        if change.state == "ended":
            lasting.append((change.end - change.begin) // STRIDE)
            ends.append(change.end)
            assert change.which == UNCERTAIN or lasting[-1] >= settings.least[change.which]
            current = None
    assert current is None
    assert ends[-1] <= moments[-1]
    if lasting and max(np.diff(windows), default=0) <= settings.longest_gap + 1:
        assert sum(lasting) * STRIDE == ends[-1] - first  # no hole between them


def steady(classes, p=0.9):
    """Return a run of windows whose classes are these; None: as probable as any other."""
    rows = np.full((len(classes), 3), 1 / 3)
    for row, which in zip(rows, classes, strict=True):
        if which is not None:
            row[:] = (1 - p) / 2
            row[which] = p
    count = np.arange(len(classes))
    return count.tolist(), (count * STRIDE).tolist(), rows


def spans(settings, classes):
    return [
        (c.which, c.begin // STRIDE, c.end // STRIDE) for c in told(settings, steady(classes)) if c.state == "ended"
    ]


PLAIN = {"lag": 0, "stay": 1 / 3, "sharpness": 1.0}
"""Rules by which nothing is smoothed."""


def test_what_is_too_short_belongs_to_the_activity_before():
    settings = settings_of(3, **PLAIN, **{"least": (1, 3, 2)})
    assert spans(settings, [0, 0, 1, 1, 0, 0, 2, 2, 0]) == [(0, -1, 5), (2, 5, 7), (0, 7, 8)]
    assert spans(settings, [0, 0, 1, 1, 1, 2]) == [(0, -1, 1), (1, 1, 5)]


def test_without_smoothing_or_lasting_there_is_an_activity_for_every_run_of_labels():
    assert spans(settings_of(3, **PLAIN), [0, 1, 1, 2, 0, 0]) == [(0, -1, 0), (1, 0, 2), (2, 2, 3), (0, 3, 5)]


def test_smoothing_takes_a_flicker_away():
    settings = settings_of(3, lag=2, stay=0.95, sharpness=0.7)
    assert spans(settings, [0, 0, 0, 1, 0, 0, 0, 2, 2, 2, 2]) == [(0, -1, 6), (2, 6, 10)]


def test_where_no_class_is_probable_all_is_uncertain_after_a_while():
    settings = settings_of(3, **PLAIN, threshold=0.5, patience=3)
    assert spans(settings, [0, 0, None, None, 0, None, None, None, None, 1]) == [
        (0, -1, 4),
        (UNCERTAIN, 4, 8),
        (1, 8, 9),
    ]
    assert spans(settings, [None, None, None, 2]) == [(UNCERTAIN, -1, 2), (2, 2, 3)]


def test_classes_that_alternate_are_uncertain():
    settings = settings_of(3, **PLAIN, least=(2, 2, 2), patience=3)
    assert spans(settings, [0, 0, 1, 2, 1, 2, 1, 2, 0, 0])[1] == (UNCERTAIN, 1, 7)


def test_an_activity_ends_with_its_last_label_where_too_many_are_missing():
    settings = settings_of(3, **PLAIN, longest_gap=2)
    tracker = ActivityTracker(settings, STRIDE)
    certain = np.array([1.0, 0.0, 0.0])
    assert [c.state for c in tracker.add(5, 50, certain)] == ["started"]
    assert tracker.skip(7) == []
    assert [(c.state, c.end) for c in tracker.skip(8)] == [("ended", 50)]
    assert tracker.current is None
    assert [(c.state, c.begin) for c in tracker.add(9, 90, certain)] == [("started", 80)]
    assert [(c.state, c.end) for c in tracker.add(12, 120, certain)][-1] == (
        "ongoing",
        120,
    )  # two are missing: it goes on


def test_a_gap_of_any_length_costs_nothing():
    tracker = ActivityTracker(settings_of(3), STRIDE)
    certain = np.array([1.0, 0.0, 0.0])
    tracker.add(0, 0, certain)
    tracker.add(2**61, 2**61, certain)
    assert [c.begin for c in tracker.finish() if c.state == "started"] == [2**61 - STRIDE]


def test_rules_that_contradict_themselves_are_refused():
    with pytest.raises(ValueError, match="4 is less than"):
        settings_of(2, least=(5, 1), patience=4)
    usual = ActivitySection.usual(6, 128, 64)
    assert (usual.longest_gap, len(usual.least)) == (2, 6)
