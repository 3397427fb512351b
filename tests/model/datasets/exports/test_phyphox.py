"""phyphox: however the user had it written, and whatever the experiment's clock did meanwhile."""

import json
from pathlib import Path

import numpy as np
import pytest

from kinestream.model.datasets import Source, open_source
from kinestream.model.datasets.drafts.first import write_first_draft
from kinestream.model.errors import SourceError
from tests.given.exports import moments, phyphox_events, phyphox_table, wave, written

CLOCK = 1_700_000_000.25
WRITTEN = [(",", "."), (";", "."), (";", ","), ("\t", "."), ("\t", ",")]
SECONDS = moments(50, 6, first_s=0.004)


def opened(path: Path) -> Source:
    out = path.parent / "mine.yaml"
    write_first_draft(path, out)
    return open_source(out)


@pytest.mark.parametrize(("separator", "decimal"), WRITTEN)
@pytest.mark.parametrize("name", ["export.zip", "export"], ids=["zip", "folder"])
def test_separators_and_decimals_of_any_kind_are_read(tmp_path: Path, separator: str, decimal: str, name: str) -> None:
    started = [("START", 0.0, CLOCK), ("PAUSE", 6.0, CLOCK + 6)]
    files = {
        "Accelerometer.csv": phyphox_table(SECONDS, wave(SECONDS), separator, decimal),
        "meta/time.csv": phyphox_events(started, separator, decimal),
        "meta/device.csv": '"property","value"\n"deviceModel","any"\n',
    }
    source = opened(written(tmp_path / name, files))
    recording = source.read(source.ids[0])
    assert [(channel.name, channel.unit) for channel in source.channels] == [
        (f"acceleration_{axis}", "m/s2") for axis in "xyz"
    ]
    assert abs(recording.timestamps[0] - 1_700_000_000_254_000_000) < 1000  # of seconds in double precision
    np.testing.assert_allclose(recording.samples, wave(SECONDS), atol=1e-5)
    assert (recording.labels == -1).all()


def test_a_pause_is_a_gap_of_the_time_that_passed(tmp_path: Path) -> None:
    events = [
        ("START", 0.0, CLOCK),
        ("PAUSE", 2.0, CLOCK + 2),
        ("START", 2.0, CLOCK + 12),
        ("PAUSE", 4.0, CLOCK + 14),
        ("START", 4.0, CLOCK + 15),
        ("PAUSE", 6.0, CLOCK + 17),
    ]
    files = {"Accelerometer.csv": phyphox_table(SECONDS, wave(SECONDS)), "meta/time.csv": phyphox_events(events)}
    source = opened(written(tmp_path / "export", files))
    (device,) = source.devices(source.ids[0])
    since = (device.times - round(CLOCK * 1e9)) / 1e9
    np.testing.assert_allclose(since, SECONDS + np.repeat([0, 10, 11], 100), atol=1e-6)
    samples = source.read(source.ids[0]).samples
    assert len(samples) == 850
    assert np.flatnonzero(np.isnan(samples[:, 0])).tolist() == [*range(100, 600), *range(700, 750)]


def test_without_its_clock_times_count_from_the_start(tmp_path: Path) -> None:
    source = opened(written(tmp_path / "export", {"Raw Data.csv": phyphox_table(SECONDS, wave(SECONDS))}))
    assert source.read(source.ids[0]).timestamps[0] == 4_000_000


def test_several_sensors_keep_their_rates(tmp_path: Path) -> None:
    slow = moments(20, 6)
    files = {
        "Accelerometer.csv": phyphox_table(SECONDS, wave(SECONDS)),
        "Gyroscope.csv": phyphox_table(slow, wave(slow)).replace("Acceleration", "Gyroscope").replace("m/s^2", "rad/s"),
    }
    source = opened(written(tmp_path / "export", files))
    assert [(each.name, each.rate_hz) for each in source.devices(source.ids[0])] == [
        ("accelerometer", 50),
        ("gyroscope", 20),
    ]
    assert source.channels[3].unit == "rad/s"


def test_what_comes_faster_than_people_move_is_averaged_down(tmp_path: Path) -> None:
    fast = moments(400, 4)
    rattling = wave(fast) + np.sin(2 * np.pi * 140 * fast)[:, None]
    source = opened(written(tmp_path / "export", {"Accelerometer.csv": phyphox_table(fast, rattling)}))
    assert source.rate_hz == 100
    samples = source.read(source.ids[0]).samples[5:-5]
    np.testing.assert_allclose(samples, wave(moments(100, 4))[5:-5], atol=0.15)


TABLE = phyphox_table(SECONDS, wave(SECONDS))


@pytest.mark.parametrize(
    ("table", "events", "said"),
    [
        (TABLE[:-30], None, "line 301 has 3 columns where 4 belong"),
        (TABLE, phyphox_events([("START", 0, CLOCK), ("START", 9, CLOCK + 1)]), "lies before what was recorded"),
        (TABLE, phyphox_events([("START", 0, CLOCK)]).replace("1700", "x"), "is not a time in s"),
        (TABLE, "one\n1\n", "its first column is not called 'event'"),
        (TABLE.splitlines()[0] + "\n", None, "no sensor in it has a reading"),
    ],
    ids=["cut", "too early", "no time", "no events", "no rows"],
)  # fmt: skip
def test_what_is_wrong_is_one_line(tmp_path: Path, table: str, events: str | None, said: str) -> None:
    files = {"Accelerometer.csv": table} | ({"meta/time.csv": events} if events else {})
    with pytest.raises(SourceError, match=said) as found:
        opened(written(tmp_path / "export", files))
    assert "\n" not in str(found.value)


def test_labels_may_lie_in_a_file_of_their_own(tmp_path: Path) -> None:
    started = phyphox_events([("START", 0.0, CLOCK)])
    for name in ("one", "two"):
        files = {"Accelerometer.csv": phyphox_table(SECONDS, wave(SECONDS)), "meta/time.csv": started}
        written(tmp_path / "data" / name, files)
    segments = "recording,start,end,label\none,0,2,walking\none,4,9,sitting\ntwo,1,2,sitting\n"
    written(tmp_path / "data", {"labels.csv": segments})
    axes = {f"acc_{axis}": {"column": f"Acceleration {axis} (m/s^2)", "unit": "m/s2"} for axis in "xyz"}
    export = {
        "format": "phyphox",
        "files": ["one", "two"],
        "person": {"name": "anna"},
        "rate_hz": 50,
        "sensors": {"Accelerometer": {"rate_hz": 50, "channels": axes}},
        "labels": {
            "classes": ["walking", "sitting"],
            "segments": {"files": "labels.csv", "recording": "recording", "unit": "s"},
        },
    }
    content = {"dataset": {"name": "mine", "source": "data", "export": export}}
    (tmp_path / "mine.yaml").write_text(json.dumps(content))
    source = open_source(tmp_path / "mine.yaml")
    assert source.ids == ("one", "two")
    np.testing.assert_array_equal(source.read("one").labels, np.repeat([0, -1, 1], 100))
    np.testing.assert_array_equal(source.read("two").labels, np.repeat([-1, 1, -1], [50, 50, 200]))
