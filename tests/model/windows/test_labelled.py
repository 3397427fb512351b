import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kinestream.model.config.training import PreprocessSection
from kinestream.model.recordings.recording import UNLABELLED, Channel, Recording
from kinestream.model.windows.grid import WindowGrid
from kinestream.model.windows.labelled import NOT_SCORED, foreign_classes, truth_of, window_set, window_starts
from kinestream.model.windows.prepare import fill_gaps, preparation

NAMES = ("a", "b", "c")


def recording(samples, labels, window=None):
    return Recording(
        id="r",
        person="p",
        dataset="d",
        rate_hz=50.0,
        channels=(Channel("x"), Channel("y")),
        samples=samples.astype(np.float32),
        timestamps=np.arange(len(samples), dtype=np.int64) * 20_000_000,
        labels=np.array(labels, dtype=np.int16),
        classes=NAMES,
        window=window,
    )


@st.composite
def recordings(draw):
    length = draw(st.integers(1, 60))
    labels = draw(st.lists(st.integers(UNLABELLED, 2), min_size=length, max_size=length))
    samples = np.random.default_rng(length).normal(size=(length, 2))
    for at in draw(st.lists(st.integers(0, length - 1), max_size=length)):
        samples[at, draw(st.integers(0, 1))] = np.nan
    return recording(samples, labels)


@given(
    recording=recordings(),
    length=st.integers(1, 12),
    stride=st.integers(1, 12),
    max_missing=st.sampled_from([0.0, 0.25, 0.9]),
    how=st.sampled_from(["continuous", "segmented"]),
    classes=st.sampled_from([NAMES, ("c", "a"), ("b", "z")]),
    columns=st.sampled_from([None, np.array([1, 0]), np.array([1])]),
)
def test_every_window_is_kept_or_left_out_for_a_reason(recording, length, stride, max_missing, how, classes, columns):
    grid = WindowGrid(length, stride, max_missing)
    channels = 2 if columns is None else len(columns)
    means, factors = np.full(channels, 0.5, np.float32), np.full(channels, 3, np.float32)
    prepared = preparation(PreprocessSection(), ["x"] * channels, means, recording.rate_hz)
    found = window_set([recording], classes, columns, grid, how, prepared, channels)
    found.scale(means, factors)

    expected, truth, skipped, unlabelled = [], [], 0, 0
    for start in window_starts(recording, grid, how):
        raw = recording.samples[start : start + length]
        raw = raw if columns is None else raw[:, columns]
        label = recording.labels[start + length - 1]
        if label == UNLABELLED or NAMES[label] not in classes:
            unlabelled += 1
        elif np.isnan(raw).all(axis=1).mean() > max_missing:
            skipped += 1
        else:
            expected.append((fill_gaps(raw[None], means)[0] - means) * factors)
            truth.append(classes.index(NAMES[label]))
    assert (found.skipped, found.unlabelled) == (skipped, unlabelled)
    assert found.truth.tolist() == truth
    assert found.windows.dtype == np.float32
    np.testing.assert_array_equal(found.windows, np.reshape(expected, (-1, length, channels)).astype(np.float32))


def test_truth_is_the_class_of_the_last_sample_matched_by_name():
    made = recording(np.zeros((6, 2)), [0, 0, 1, 2, 2, UNLABELLED])
    starts = np.array([0, 1, 2, 3])
    truth = truth_of(made, ("c", "b"), starts, 3)
    assert truth.tolist() == [1, 0, 0, NOT_SCORED]
    assert truth_of(made, ("b", "a"), starts, 3).tolist() == [0, NOT_SCORED, NOT_SCORED, NOT_SCORED]
    assert foreign_classes(made, ("b", "a"), starts, 3) == {"c": 2}


def test_windows_as_published_stay_as_they_are_however_they_are_cut():
    made = recording(np.zeros((12, 2)), [0] * 4 + [0] * 4 + [1] * 4, window=4)
    for how in ("continuous", "segmented"):
        assert window_starts(made, WindowGrid(4, 2), how).tolist() == [0, 4, 8]
        assert len(window_starts(made, WindowGrid(3, 2), how)) == 0
