"""Times as people write and files store them: local, in any layout, as durations, as times of day."""

import io
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
import scipy.io

from kinestream.model.datasets import Recording, open_source
from kinestream.model.errors import ConfigError, SourceError
from tests.given.tables import CLASSES, LABELS, ROWS, check, described, only, opened, signal

STEP = timedelta(milliseconds=20)
BERLIN = ZoneInfo("Europe/Berlin")
UTC = ZoneInfo("UTC")


def table(times: list[str]) -> str:
    x = np.resize(signal(), (len(times), 2))
    return "\n".join(["t;ax;ay;activity", *(f"{t};{a};{b};WALKING" for t, (a, b) in zip(times, x, strict=True))])


def read(folder: Path, times: list[str], **time: Any) -> Recording:
    said = {"column": "t", **({} if "format" in time else {"unit": "iso"}), **time}
    return only(folder, table(times), text={"separator": ";"}, time=said)


def refused(folder: Path, times: list[str], **time: Any) -> str:
    with pytest.raises(SourceError) as caught:
        read(folder, times, **time)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def walls(start: datetime, count: int, step: timedelta = timedelta(seconds=1)) -> list[datetime]:
    """Return what a clock on a wall in Berlin shows from a moment in UTC on."""
    return [(start.replace(tzinfo=UTC) + i * step).astimezone(BERLIN).replace(tzinfo=None) for i in range(count)]


# Zones ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "count"),
    [
        (datetime(2024, 7, 1, 10), 20),
        (datetime(2024, 10, 26, 23, 59, 50), 20),  # into the first of both hours
        (datetime(2024, 10, 27, 0, 59, 50), 20),  # from the first into the second
        (datetime(2024, 10, 27, 1, 59, 50), 20),  # out of the second
        (datetime(2024, 10, 26, 23, 50), 2 * 3600),  # through all of it
        (datetime(2024, 3, 31, 0, 59, 50), 20),  # when summer time begins
    ],
)
def test_local_times_are_read_through_the_end_of_summer_time(tmp_path: Path, start: datetime, count: int) -> None:
    times = [each.isoformat(" ") for each in walls(start, count)]
    recording = only(
        tmp_path,
        table(times),
        text={"separator": ";"},
        rate_hz=1,
        time={"column": "t", "unit": "iso", "zone": "Europe/Berlin"},
    )
    first = int(start.replace(tzinfo=UTC).timestamp()) * 1_000_000_000
    np.testing.assert_array_equal(recording.timestamps, first + np.arange(count) * 1_000_000_000)
    np.testing.assert_array_equal(recording.samples, np.resize(signal(), (count, 2)).astype(np.float32))


@pytest.mark.parametrize(
    ("times", "problem"),
    [
        (["02:10:00", "02:10:01"], "line 2, column 1 (t): '2024-10-27 02:10:00' comes twice in Europe/Berlin, when"),
        (["01:00:00", "02:10:00"], "line 3, column 1 (t): '2024-10-27 02:10:00' comes twice"),
        (["02:30:00", "02:10:00"], "line 2, column 1 (t): '2024-10-27 02:30:00' comes twice"),  # set back by 20 min
        (["02:59:59", "02:00:00", "02:59:59", "02:00:00"], "comes twice"),
        (["01:59:59", "02:00:00", "02:59:59", "03:00:00"], "line 3, column 1 (t): '2024-10-27 02:00:00' comes twice"),
    ],
)
def test_an_hour_that_comes_twice_is_refused_where_nothing_tells_which(
    tmp_path: Path, times: list[str], problem: str
) -> None:
    assert problem in refused(tmp_path, [f"2024-10-27 {each}" for each in times], zone="Europe/Berlin")


def test_a_time_that_never_was_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, ["2024-03-31 01:59:59", "2024-03-31 02:30:00"], zone="Europe/Berlin")
    assert "line 3, column 1 (t): '2024-03-31 02:30:00' there was no such time in Europe/Berlin" in message


def test_an_offset_that_is_written_goes_before_the_zone(tmp_path: Path) -> None:
    times = ["2024-07-01T12:00:00Z", "2024-07-01T12:00:00.02Z"]
    start = int(datetime(2024, 7, 1, 12, tzinfo=UTC).timestamp()) * 10**9
    assert read(tmp_path, times, zone="Europe/Berlin").timestamps[0] == start


def test_segments_are_in_the_zone_and_layout_of_the_times(tmp_path: Path) -> None:
    times = [f"{each:%d.%m.%Y %H:%M:%S}" for each in walls(datetime(2024, 10, 27, 0, 59, 50), 20)]
    segments = "start,end,label\n27.10.2024 02:59:55,27.10.2024 02:00:05,SITTING\n27.10.2024 02:00:05,x,WALKING\n"
    said = {"files": "said.csv", "unit": "iso", "counted_from": "clock"}
    time = {"column": "t", "format": "%d.%m.%Y %H:%M:%S", "zone": "Europe/Berlin"}
    labels = {"classes": CLASSES, "segments": said}
    files: dict[str, str | bytes] = {"anna.csv": table(times), "said.csv": segments}
    source = opened(tmp_path, files, text={"separator": ";"}, rate_hz=1, time=time, labels=labels)
    with pytest.raises(SourceError, match=r"said\.csv: line 2, column 2 \(end\): .* comes twice"):
        source.read("anna")  # one row alone does not tell
    files["said.csv"] = "start,end,label\n2024-10-27T02:59:55+02:00,2024-10-27T02:00:05+01:00,SITTING\n"
    said["time_format"] = "%Y-%m-%dT%H:%M:%S%z"
    source = opened(tmp_path, files, text={"separator": ";"}, rate_hz=1, time=time, labels=labels)
    assert np.flatnonzero(source.read("anna").labels == 1).tolist() == list(range(5, 15))


# Layouts --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "start"),
    [
        ("%d/%m/%Y %H:%M:%S.%f", datetime(2024, 12, 11, 17, 41, 40)),
        ("%m/%d/%Y %H:%M:%S.%f", datetime(2024, 11, 12, 17, 41, 40)),
        ("%d.%m.%y, %H:%M:%S,%f", datetime(2024, 12, 11, 17, 41, 40)),
        ("%Y%m%d_%H%M%S.%f", datetime(2024, 12, 11, 17, 41, 40)),
        ("%d %b %Y %I:%M:%S.%f %p", datetime(2024, 12, 11, 17, 41, 40)),
        ("%Y-%j %H:%M:%S:%f", datetime(2024, 12, 11, 17, 41, 40)),
        ("%a %d %B %Y %H:%M:%S.%f%z", datetime(2024, 12, 11, 17, 41, 40)),
    ],
)
def test_date_times_in_any_layout(tmp_path: Path, layout: str, start: datetime) -> None:
    moments = [(start + i * STEP).replace(tzinfo=UTC) for i in range(ROWS)]
    recording = read(tmp_path, [each.strftime(layout) for each in moments], format=layout)
    np.testing.assert_array_equal(recording.samples, signal())
    assert recording.timestamps[0] == int(moments[0].timestamp()) * 10**9


def test_a_date_in_another_layout_is_told_of_the_key(tmp_path: Path) -> None:
    times = ["13/12/2024 17:41:40.000", "11/12/2024 17:41:40.020"]
    assert refused(tmp_path, times).endswith(
        "'13/12/2024 17:41:40.000' is not a time in iso: give its layout as dataset.tabular.time.format"
    )
    assert "line 2, column 1 (t): '13/12/2024 17:41:40.000' is not a time in the layout %m/%d/%Y" in refused(
        tmp_path, times, format="%m/%d/%Y %H:%M:%S.%f"
    )


def test_years_that_nanoseconds_do_not_reach_are_refused(tmp_path: Path) -> None:
    assert "is not a time in iso" in refused(tmp_path, ["9999-01-01 00:00:00"])
    assert "is not a time in the layout" in refused(tmp_path, ["1/1/9999 00:00:00"], format="%d/%m/%Y %H:%M:%S")


@pytest.mark.parametrize(
    ("time", "problem"),
    [
        ({"format": "dd/mm/yyyy"}, "format: should be a layout, as in '%d/%m/%Y %H:%M:%S.%f'"),
        ({"format": "%d/%m/%Y %Q"}, "format: knows no %Q"),
        ({"format": "%d/%m/%Y %H:%"}, "format: knows no %"),
        ({"format": "%d/%m/%Y"}, "format: names no hour"),
        ({"format": "%d/%m/%Y %I:%M"}, "format: does not tell morning from afternoon"),
        ({"format": "%d/%m %H:%M"}, "format: names only a part of the date (month, day)"),
        ({"format": "%d/%m/%Y %H:%M:%S%f"}, "format: has %f elsewhere"),
        ({"format": "%d/%m/%Y %H:%M", "unit": "ms"}, "format: is of date-times, but unit is ms"),
        ({"format": "%H:%M:%S", "zone": "Europe/Berlin"}, "zone: has no meaning for %H:%M:%S"),
        ({"unit": "s", "zone": "Europe/Berlin"}, "zone: is of date-times, but unit is s"),
        (
            {"unit": "iso", "zone": "Europe/Berln"},
            "zone: should be a time zone, as in Europe/Berlin, not 'Europe/Berln'",
        ),
        ({"unit": "iso", "zone": 1}, "zone: should be a time zone"),
        ({}, "unit: missing"),
    ],
)
def test_what_contradicts_itself_is_told_by_key(tmp_path: Path, time: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_source(described(tmp_path, time={"column": "t", **time}))
    found = caught.value.problems[0]
    assert found.startswith(f"dataset.tabular.time.{problem}")


# Times of day ---------------------------------------------------------------------------------------------------------


def test_times_of_day_go_on_after_midnight(tmp_path: Path) -> None:
    moments = [datetime(2024, 5, 1, 23, 59, 59, 900_000) + i * STEP for i in range(ROWS)]
    recording = read(tmp_path, [f"{each:%H:%M:%S.%f}" for each in moments], format="%H:%M:%S.%f")
    np.testing.assert_array_equal(recording.samples, signal())


# Types of their own ---------------------------------------------------------------------------------------------------


def parquet(folder: Path, **columns: Any) -> Recording:
    x = signal()
    content = io.BytesIO()
    pl.DataFrame({"ax": x[:, 0], "ay": x[:, 1], "activity": LABELS} | columns).write_parquet(content)
    time = {"column": "when", "unit": "s"} if "when" in columns else None
    return only(folder, content.getvalue(), "anna.parquet", files="{person}.parquet", time=time)


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_parquet_columns_of_durations(tmp_path: Path, unit: Any) -> None:
    check(parquet(tmp_path, when=pl.Series(np.arange(ROWS) * 20).cast(pl.Duration("ms")).cast(pl.Duration(unit))))


def test_parquet_columns_of_times_of_day(tmp_path: Path) -> None:
    start = datetime(2024, 5, 1, 23, 59, 59, 900_000)
    recording = parquet(tmp_path, when=[(start + i * STEP).time() for i in range(ROWS)])
    np.testing.assert_array_equal(recording.samples, signal())
    assert (np.diff(recording.timestamps) == 20_000_000).all()


def test_parquet_columns_of_date_times_with_a_zone_and_of_decimals(tmp_path: Path) -> None:
    start = datetime(2024, 5, 1, 12, tzinfo=BERLIN)
    zoned = parquet(tmp_path, when=pl.Series([start + i * STEP for i in range(ROWS)]))
    assert zoned.timestamps[0] == int(start.timestamp()) * 10**9
    numbers = pl.Series([f"{i * 0.02:.2f}" for i in range(ROWS)]).cast(pl.Decimal(10, 2))
    check(parquet(tmp_path, when=numbers))


def test_categories_of_numbers_are_what_they_say(tmp_path: Path) -> None:
    x = signal()
    check(parquet(tmp_path, ax=pl.Series([f"{each}" for each in x[:, 0]]).cast(pl.Categorical)))


@pytest.mark.parametrize(
    ("column", "values", "problem"),
    [
        ("ax", [timedelta(0)] * ROWS, "row 1, column ax: 'datetime.timedelta(0)'"),
        ("ax", [[1.0, 2.0]] * ROWS, "row 1, column ax: holds values of type List(Float64): neither numbers nor text"),
        ("ay", [{"g": 1}] * ROWS, "row 1, column ay: holds values of type Struct({'g': Int64})"),
        ("when", [b"1"] * ROWS, "row 1, column when: holds values of type Binary"),
        ("when", [timedelta(0), None, *[timedelta(1)] * (ROWS - 2)], "row 2, column when: no time"),
        ("when", [datetime(9999, 1, 1)] * ROWS, "is not a time in s"),
        ("when", [datetime(2024, 1, 1).date()] * ROWS, "row 2, column when: the same time in 12 rows"),
    ],
)
def test_parquet_columns_of_other_types_are_refused(
    tmp_path: Path, column: str, values: list[Any], problem: str
) -> None:
    with pytest.raises(SourceError) as caught:
        parquet(tmp_path, **{column: values})
    assert str(caught.value).startswith("anna.parquet: ")
    assert problem.replace("'datetime.timedelta(0)'", "'0:00:00' is not a number, but a duration") in str(caught.value)


@pytest.mark.parametrize("dtype", ["timedelta64[ms]", "timedelta64[us]", "datetime64[ms]", "datetime64[ns]"])
def test_npz_arrays_of_times(tmp_path: Path, dtype: str) -> None:
    content = io.BytesIO()
    when = (np.arange(ROWS) * 20).astype(dtype[:-4] + "[ms]").astype(dtype)
    np.savez(content, ax=signal()[:, 0], ay=signal()[:, 1], activity=LABELS, when=when)
    check(only(tmp_path, content.getvalue(), "anna.npz", files="{person}.npz", time={"column": "when", "unit": "iso"}))


def test_npz_arrays_of_whole_seconds(tmp_path: Path) -> None:
    for start, problem in (("2024-01-01", None), ("9999-01-01", "when: 9999-01-01T00:00:00 is too far away")):
        content = io.BytesIO()
        when = np.datetime64(start, "s") + np.arange(ROWS)
        np.savez(content, ax=signal()[:, 0], ay=signal()[:, 1], activity=LABELS, when=when)
        said = {"files": "{person}.npz", "rate_hz": 1, "time": {"column": "when", "unit": "iso"}}
        if problem is None:
            np.testing.assert_array_equal(only(tmp_path, content.getvalue(), "anna.npz", **said).samples, signal())
        else:
            with pytest.raises(SourceError, match=problem):
                only(tmp_path, content.getvalue(), "anna.npz", **said)


# One value for all rows -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "labels"),
    [
        ("SITTING", {"column": "activity", "classes": CLASSES}),
        (np.array(["SITTING"], dtype=object), {"column": "activity", "classes": CLASSES}),  # a cell
        (2.0, {"column": "activity", "names": {1: "WALKING", 2: "SITTING"}}),
    ],
)
def test_mat_says_a_label_once_for_all_rows(tmp_path: Path, label: Any, labels: dict[str, Any]) -> None:
    content = io.BytesIO()
    scipy.io.savemat(content, {"ax": signal()[:, 0], "ay": signal()[:, 1], "activity": label, "subject": "anna"})
    said = {"files": "*.mat", "person": "subject", "labels": labels}
    recording = only(tmp_path, content.getvalue(), "rec1.mat", **said)
    np.testing.assert_array_equal(recording.samples, signal())
    assert recording.labels.tolist() == [1] * ROWS
    assert recording.person == "anna"


def test_a_channel_of_one_value_is_none(tmp_path: Path) -> None:
    content = io.BytesIO()
    scipy.io.savemat(content, {"ax": 3.0, "ay": signal()[:, 1], "activity": "SITTING"})
    with pytest.raises(SourceError, match="its arrays differ in length: ax has 1, ay has 12"):
        only(tmp_path, content.getvalue(), "anna.mat", files="{person}.mat")


def test_npz_says_a_label_once_for_all_rows(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.savez(content, imu=signal(), activity=np.array("WALKING"))
    channels = {name: {"variable": "imu", "column": at} for at, name in enumerate(("ax", "ay"), start=1)}
    recording = only(tmp_path, content.getvalue(), "anna.npz", files="{person}.npz", channels=channels)
    assert recording.labels.tolist() == [0] * ROWS
