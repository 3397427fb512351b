"""Clocks that were set back, stood still or are too coarse are refused with their line; what is averaged is counted."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner

from kinestream.commands.main import root
from kinestream.model.datasets import Recording, open_source
from kinestream.model.datasets.describe import describe
from kinestream.model.errors import SourceError
from kinestream.model.recordings.recording import RowCounts
from kinestream.replay.demo import RECORDINGS
from tests.given.tables import only, opened

STRETCH = np.arange(1500) / 50  # 30 s
ANY_ORDER = {"column": "t", "unit": "s", "any_order": True}


def table(times: npt.ArrayLike, values: Sequence[float] | None = None) -> str:
    rows = [f"{at:.4f},{i if values is None else values[i]},{i % 7},WALKING" for i, at in enumerate(np.asarray(times))]
    return "\n".join(["t,ax,ay,activity", *rows])


def read(folder: Path, content: str, **tabular: Any) -> Recording:
    return only(folder, content, **{"time": {"column": "t", "unit": "s"}, **tabular})


def refused(folder: Path, content: str, **tabular: Any) -> str:
    with pytest.raises(SourceError) as caught:
        read(folder, content, **tabular)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("times", "line", "by"),
    [
        ([*STRETCH, *STRETCH], 1502, "29.98"),  # once the mean of both stretches
        ([*STRETCH, *(STRETCH + 0.01)], 1502, "29.97"),
        ([*STRETCH, *(STRETCH + 29.5)], 1502, "0.48"),
        ([*STRETCH[:700], *(STRETCH - 10)], 702, "23.98"),
        ([*(STRETCH + 3600), *STRETCH], 1502, "3629.98"),  # an hour, which leaves no row among others
        ([*STRETCH, *(STRETCH[:500] + 3600), *(STRETCH + 40)], 2002, "3569.98"),  # an hour ahead for a while
        ([*STRETCH, -3600, *(STRETCH + 30.02)], 1502, "3629.98"),  # one row alone
        ([*STRETCH[::-1], *STRETCH[::-1]], 1501, "29.98"),  # the newest row first
    ],
)
def test_a_clock_that_steps_back_is_refused_with_its_line(
    tmp_path: Path, times: list[float], line: int, by: str
) -> None:
    message = refused(tmp_path, table(times))
    assert message.startswith(f"anna.csv: line {line}, column 1 (t): the clock steps back by {by} s: divide the file")


def test_the_line_is_that_of_the_persons_rows_in_a_file_of_many(tmp_path: Path) -> None:
    rows = [f"{at},1,2,WALKING,{who}" for at in (*range(9), *range(9)) for who in ("anna", "ben")]
    rows = [row for row in rows if not row.endswith("ben")] + [row for row in rows[:18] if row.endswith("ben")]
    content = "\n".join(["t,ax,ay,activity,who", *rows])
    source = opened(tmp_path, {"all.csv": content}, files="all.csv", person="who", time={"column": "t", "unit": "s"})
    assert len(source.read("ben").samples) == 8 * 50 + 1
    with pytest.raises(SourceError, match=r"all\.csv: line 11, column 1 \(t\): the clock steps back by 8 s"):
        source.read("anna")


def test_local_times_that_step_back_are_told_of_the_zone(tmp_path: Path) -> None:
    rows = [f"2024-10-27 02:00:{at:06.3f},1,2,WALKING" for at in (*STRETCH, *STRETCH)]
    message = refused(tmp_path, "\n".join(["t,ax,ay,activity", *rows]), time={"column": "t", "unit": "iso"})
    assert "line 1502, column 1 (t): the clock steps back by 29.98 s" in message
    assert message.endswith("if these are local times, give dataset.tabular.time.zone")


JITTER = np.random.default_rng(0).uniform(-0.015, 0.015, 1500)
LATE = STRETCH.reshape(-1, 5)[[0, 1, 2, 4, 3, *range(5, 300)]].ravel()


@pytest.mark.parametrize(
    "times",
    [
        STRETCH[::-1],
        LATE,  # a packet of five
        STRETCH.reshape(-1, 2)[:, ::-1].ravel(),
        np.concatenate([STRETCH[700:], STRETCH[:700]]),
        np.concatenate([np.delete(STRETCH, range(10, 1400, 20)), STRETCH[10:1400:20]]),  # what was lost, at the end
    ],
)
def test_rows_that_merely_stand_in_another_order_are_sorted(tmp_path: Path, times: npt.NDArray[np.float64]) -> None:
    recording = read(tmp_path, table(times, (times * 50).tolist()))
    np.testing.assert_allclose(recording.samples[:, 0], np.arange(1500), atol=1e-3)
    assert recording.rows is not None
    late = (times < np.maximum.accumulate(times)).sum()
    assert recording.rows == RowCounts(read=1500, out_of_order=late)


def test_jitter_is_read_and_any_order_where_it_is_said(tmp_path: Path) -> None:
    assert len(read(tmp_path, table(STRETCH + JITTER)).samples) in range(1499, 1502)
    shuffled = np.random.default_rng(0).permutation(STRETCH)
    assert "the clock steps back" in refused(tmp_path, table(shuffled))
    recording = read(tmp_path, table(shuffled, (shuffled * 50).tolist()), time=ANY_ORDER)
    np.testing.assert_allclose(recording.samples[:, 0], np.arange(1500), atol=1e-3)


def test_sensors_one_below_the_other_are_no_clock_set_back(tmp_path: Path) -> None:
    rows = [f"{at},1,,WALKING" for at in STRETCH] + [f"{at},,2,WALKING" for at in STRETCH]
    recording = read(tmp_path, "\n".join(["t,ax,ay,activity", *rows]))
    np.testing.assert_array_equal(recording.samples, np.tile([1, 2], (1500, 1)))


@pytest.mark.parametrize("any_order", [False, True])
@pytest.mark.parametrize(
    ("times", "line"),
    [
        (np.floor(STRETCH), 3),
        (np.floor(STRETCH * 10) / 10, 3),
        (np.repeat(STRETCH[::10], 10), 3),  # packets that share a stamp
        (np.full(1500, 1.7e9), 3),  # as Excel shows 1.7E+09
        (np.float32(1.7e9 + STRETCH), 3),
        (np.concatenate([STRETCH[:700], np.full(300, STRETCH[700]), STRETCH[1000:]]), 703),  # a clock that stood still
        (np.repeat(STRETCH, 2), 3),  # two sensors, say
    ],
)
def test_times_that_do_not_tell_rows_apart_are_refused(
    tmp_path: Path, times: npt.NDArray[np.float64], line: int, any_order: bool
) -> None:
    message = refused(tmp_path, table(times), time=ANY_ORDER | {"any_order": any_order})
    assert message.startswith(f"anna.csv: line {line}, column 1 (t): the ")
    assert message.endswith("give finer times, or leave out dataset.tabular.time if rows are regular")


def test_a_sensor_that_lies_still_does_not_hide_a_coarse_clock(tmp_path: Path) -> None:
    rows = [f"{int(at)},1,2,WALKING" for at in STRETCH]
    assert "line 3, column 1 (t): the same time in 50 rows" in refused(tmp_path, "\n".join(["t,ax,ay,activity", *rows]))


def test_what_is_averaged_is_told_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """1,600 readings a second with times in ms: three in four share one, and the grid is coarser by far."""
    times = np.floor(np.arange(3200) / 1600 * 1000) / 1000
    rows = read(tmp_path, table(times)).rows
    assert rows is not None
    assert rows.shared_stamp > 1000
    (told,) = caplog.messages
    assert f"anna: {rows.shared_stamp} of 3200 rows carry the time of another, and the mean of such" in told


def test_copies_of_the_row_above_are_dropped_and_counted(tmp_path: Path) -> None:
    lines = table(STRETCH).splitlines()
    recording = read(tmp_path, "\n".join([lines[0], *(line for line in lines[1:] for _ in range(2))]))
    np.testing.assert_allclose(recording.samples[:, 0], np.arange(1500))
    assert recording.rows == RowCounts(read=3000, dropped=1500)


def test_info_tells_what_became_of_the_rows(tmp_path: Path) -> None:
    content = {
        "anna.csv": table([0, 0.02, 0.04, 0.04, 0.08, 0.06]),
        "ben.csv": table(STRETCH[:4]) + "\n0.06,3,3,WALKING",
    }
    source = opened(tmp_path, dict(content), time={"column": "t", "unit": "s"})
    wanted = {"read": 11, "out_of_order": 1, "shared_stamp": 2, "dropped": 1, "spread": 0}
    for _ in ("parsed", "from the cache"):
        assert describe(source)["rows"] == wanted
    said = CliRunner().invoke(root, ["datasets", "info", str(tmp_path / "mine.yaml")]).output
    assert "11: 1 out of order, 2 shared a time stamp (their mean was taken), 1 dropped" in " ".join(said.split())
    found = CliRunner().invoke(root, ["datasets", "info", str(tmp_path / "mine.yaml"), "--json"])
    assert json.loads(found.stdout)["rows"] == wanted


def test_info_tells_it_of_published_recordings_too() -> None:
    rows = describe(open_source(RECORDINGS))["rows"]
    assert rows["read"] > 20_000
    assert 0 < rows["shared_stamp"] < rows["read"] / 5
    assert 0 < rows["dropped"] < rows["read"] / 5
