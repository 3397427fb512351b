"""A description that is likely to be wrong is told, with the figures that make it unlikely; a right one is not."""

from pathlib import Path

import pytest

from kinestream.model.datasets import open_source
from kinestream.model.datasets.describe import describe
from tests.given.tables import described, write

SCALES = {"s": 1, "ms": 1000, "us": 1_000_000, "ns": 1_000_000_000}


def warnings(folder: Path, *, written: str, unit: str, rate_hz: float = 50, rows: int = 1000) -> list[str]:
    """Return what is said of recordings at 50 Hz whose times are written in one unit and described as another."""
    moments = (
        f"{at * 0.02 * SCALES[written]:.6g}" if written == "s" else at * SCALES[written] // 50 for at in range(rows)
    )
    lines = [f"{moment},{at % 7},{at % 5},{('WALKING', 'SITTING')[at // 100 % 2]}" for at, moment in enumerate(moments)]
    write(folder / "data", {"anna.csv": "\n".join(["time,ax,ay,activity", *lines])})
    time = {"column": "time", "unit": unit}
    return describe(open_source(described(folder, time=time, rate_hz=rate_hz)))["warnings"]


@pytest.mark.parametrize("unit", SCALES)
def test_the_right_unit_of_times_is_no_matter(tmp_path, unit):
    assert warnings(tmp_path, written=unit, unit=unit) == []


@pytest.mark.parametrize(("written", "unit"), [("ms", "us"), ("us", "ns")])
def test_times_that_pass_too_fast_for_the_rate_are_told_with_both_figures(tmp_path, written, unit):
    (said,) = warnings(tmp_path, written=written, unit=unit)
    assert "50,000 rows come in a second, but rate_hz is 50" in said
    assert "dataset.tabular.time.unit" in said


def test_microseconds_described_as_milliseconds_with_the_rate_that_they_give_are_told(tmp_path):
    (said,) = warnings(tmp_path, written="us", unit="ms", rate_hz=0.05)
    assert "rate_hz is 0.05, by which the recordings last 20000 s" in said
    assert "dataset.tabular.time.unit" in said


def test_times_that_pass_too_slowly_are_told_with_both_figures(tmp_path):
    (said,) = warnings(tmp_path, written="ms", unit="ms", rate_hz=2000)
    assert "50 rows come in a second, but rate_hz is 2000" in said
    assert "long pauses" in said


def test_a_unit_that_is_not_known_is_told_once(tmp_path):
    write(tmp_path / "data", {"anna.csv": "ax,ay,activity\n1,2,WALKING\n3,4,SITTING\n"})
    channels = {"ax": {"unit": "furlong"}, "ay": {"unit": "furlong"}}
    (said,) = describe(open_source(described(tmp_path, channels=channels)))["warnings"]
    assert said.startswith("ax: the unit 'furlong' is not known")
    channels = {"ax": {"unit": "m/s²"}, "ay": {"unit": ""}}
    assert describe(open_source(described(tmp_path, channels=channels)))["warnings"] == []
