"""Drawings of milliseconds, whatever was measured."""

import numpy as np
import pytest

from kinestream.model.report.drawing import as_svg
from kinestream.model.report.latency import draw_pacing, draw_stages, milliseconds
from kinestream.model.report.strips import Signal, Strips, draw_timeline, thinned
from tests.model.report.test_drawings import words_in


def test_stages_are_drawn_that_were_measured():
    figure = draw_stages(
        {"total": np.array([1.0, 2.0]), "send": np.array([0.0, -1e-4]), "infer": np.empty(0)}, total="total"
    )
    told = words_in(as_svg(figure, "stages", "alt"))
    assert "total" in told
    assert "send" in told
    assert "infer" not in told


@pytest.mark.parametrize("errors", [[0.0], [0.05, 0.1, 3000.0], np.geomspace(0.01, 10, 5000)])
def test_pacing_is_drawn_with_its_percentiles(errors):
    told = words_in(as_svg(draw_pacing(np.asarray(errors, dtype=np.float64)), "pacing", "alt"))
    assert any(word.startswith("p50 ") for word in told)
    assert any(word.startswith("p99 ") for word in told)


def test_durations_have_a_unit_of_their_size():
    assert [milliseconds(value) for value in (0.02, 1.5, 2000.0)] == ["20 µs", "1.5 ms", "2 s"]


def test_of_many_readings_the_least_and_the_most_are_drawn():
    rng = np.random.default_rng(0)
    readings = rng.normal(size=10_001).astype(np.float32)
    readings[100:200] = np.nan
    at, values = thinned(readings, 50)
    assert len(at) == len(values) == 100
    assert (np.diff(at) > 0).all()
    assert np.nanmin(values) == np.nanmin(readings)
    assert np.nanmax(values) == np.nanmax(readings)
    short = thinned(readings[:60], 50)
    np.testing.assert_array_equal(short[1], readings[:60])


def test_a_signal_is_drawn_above_each_row_and_its_bounds_are_told():
    last = np.arange(63, 500, 16)
    nothing = np.zeros(len(last), dtype=np.int64)
    samples = np.stack([np.linspace(-4, 4, 500), np.full(500, np.nan)], axis=1).astype(np.float32)
    line = Strips(
        "anna",
        50.0,
        16,
        np.zeros(500, np.int64),
        last,
        nothing,
        nothing.astype(np.float32),
        Signal(("a", "b"), "g", samples),
    )
    told = words_in(as_svg(draw_timeline(line, ["#3b78b8"], 5.0), "line", "alt"))
    assert told.count("truth") == 2
    assert told.count("4") >= 2
    assert Signal(("a",), "", np.full((3, 1), np.nan, np.float32)).bounds == (0.0, 1.0)
    assert Signal(("a",), "", np.zeros((3, 1), np.float32)).bounds == (-0.5, 0.5)
