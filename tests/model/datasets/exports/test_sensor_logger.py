"""Sensor Logger: sensors by name, each with its own times; what is wrong is one line."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from kinestream.commands.main import root
from kinestream.model.datasets import open_source
from kinestream.model.datasets.drafts.first import write_first_draft
from kinestream.model.errors import ConfigError, SourceError
from tests.given.exports import DAY, START_NS, activities, moments, sensor_logger, sensor_table, wave, written


def called(name: str, number: int) -> str:
    return f"{name}_{number}-{DAY}-0{number}"


def drafted(path: Path, out: Path) -> tuple[str, tuple[str, ...]]:
    draft = write_first_draft(path, out, overwrite=True)
    return draft.text, draft.to_check


def test_zips_of_several_activities_are_read_as_the_draft_has_them(tmp_path: Path) -> None:
    text, said = drafted(activities(tmp_path / "zips"), tmp_path / "mine.yaml")
    source = open_source(tmp_path / "mine.yaml")
    assert source.classes == ("Jumping", "Walking")
    assert source.ids == tuple(called(name, number) for name in ("Jumping", "Walking") for number in (1, 2, 3))
    assert [channel.name for channel in source.channels] == [
        f"{sensor}_{axis}" for sensor in ("accelerometer", "gyroscope") for axis in "xyz"
    ]
    assert [channel.unit for channel in source.channels] == ["m/s2"] * 3 + ["rad/s"] * 3
    recording = source.read(called("Walking", 2))
    assert recording.rate_hz == 50
    assert recording.timestamps[0] == START_NS
    assert (recording.labels == 1).all()
    # The accelerometer's readings lie on the grid; the gyroscope's begin 13 ms later, at another rate.
    seconds = (recording.timestamps - START_NS) / 1e9
    np.testing.assert_allclose(recording.samples[:, :3], wave(seconds), atol=0.3)
    assert np.isnan(recording.samples[0, 3:]).all()
    np.testing.assert_allclose(recording.samples[1:-2, 3:], wave(seconds)[1:-2], atol=0.02)
    # Recordings of every activity are held out, for they are one person's.
    assert f"test: [{called('Jumping', 3)}, {called('Walking', 3)}]" in text
    assert f"validation: [{called('Jumping', 2)}, {called('Walking', 2)}]" in text
    assert any("nothing says who wore the sensors" in each for each in said)


def test_each_sensor_is_a_device_with_its_own_times(tmp_path: Path) -> None:
    drafted(activities(tmp_path / "zips"), tmp_path / "mine.yaml")
    source = open_source(tmp_path / "mine.yaml")
    accelerometer, gyroscope = source.devices(called("Jumping", 1))
    assert [(each.name, each.rate_hz) for each in (accelerometer, gyroscope)] == [
        ("accelerometer", 50),
        ("gyroscope", 40),
    ]
    assert gyroscope.times[0] == START_NS + 13_000_000
    np.testing.assert_allclose(gyroscope.values, wave((gyroscope.times - START_NS) / 1e9, 5.0), atol=1e-5)
    assert accelerometer.values.shape == (200, 3)


@pytest.mark.parametrize("axes", ["xyz", "zyx", "yzx"])
def test_axes_are_told_by_name(tmp_path: Path, axes: str) -> None:
    seconds = moments(50, 2)
    sensor_logger(tmp_path / "walk.zip", {"Accelerometer": sensor_table(seconds, wave(seconds), axes)})
    drafted(tmp_path / "walk.zip", tmp_path / "mine.yaml")
    source = open_source(tmp_path / "mine.yaml")
    assert [channel.name for channel in source.channels] == ["accelerometer_x", "accelerometer_y", "accelerometer_z"]
    np.testing.assert_allclose(source.read(source.ids[0]).samples, wave(seconds), atol=1e-5)


@pytest.mark.parametrize(
    ("platform", "standardised", "gravity", "unit"),
    [("android", "false", 9.81, "m/s2"), ("ios", "false", 1.0, "g"), ("ios", "true", 9.81, "m/s2"), ("", "", 1.0, "g"),
     ("", "", 9.81, "m/s2"), ("", "", 4.0, "")],
)  # fmt: skip
def test_units_are_those_of_the_phone_or_what_gravity_comes_to(
    tmp_path: Path, platform: str, standardised: str, gravity: float, unit: str
) -> None:
    seconds = moments(50, 2)
    values = 0.01 * wave(seconds) + [0, 0, gravity]
    table = {"AccelerometerUncalibrated": sensor_table(seconds, values)}
    sensor_logger(tmp_path / "walk.zip", table, platform, standardised)
    _, said = drafted(tmp_path / "walk.zip", tmp_path / "mine.yaml")
    assert {channel.unit for channel in open_source(tmp_path / "mine.yaml").channels} == {unit}
    assert any("nothing says the units" in each for each in said) == (not unit)


def test_readings_that_share_a_stamp_are_spread_and_counted(tmp_path: Path) -> None:
    seconds = moments(50, 4)
    stamped = seconds[4::5].repeat(5)  # five at a time, with the time of the last
    sensor_logger(tmp_path / "walk.zip", {"Accelerometer": sensor_table(stamped, wave(seconds))})
    drafted(tmp_path / "walk.zip", tmp_path / "mine.yaml")
    source = open_source(tmp_path / "mine.yaml")
    (device,) = source.devices(source.ids[0])
    assert device.rate_hz == 50
    np.testing.assert_allclose((device.times - START_NS) / 1e9, seconds, atol=1e-6)
    rows = source.read(source.ids[0]).rows
    assert rows is not None
    assert (rows.read, rows.spread, rows.shared_stamp) == (200, 200, 0)


def test_notes_are_labels_where_names_say_none(tmp_path: Path) -> None:
    seconds = moments(50, 4)
    notes = "time,seconds_elapsed,millisecond_press_duration,text\n"
    notes += f"{START_NS + 2_000_000_000},2.0,80,sitting\n{START_NS + 1_000_000_000},1.0,80,walking\n"
    sensor_logger(tmp_path / "mine.zip", {"Gravity": sensor_table(seconds, wave(seconds))}, notes=notes)
    drafted(tmp_path / "mine.zip", tmp_path / "mine.yaml")
    source = open_source(tmp_path / "mine.yaml")
    assert source.classes == ("walking", "sitting")
    np.testing.assert_array_equal(source.read(source.ids[0]).labels, np.repeat([-1, 0, 1], [50, 50, 100]))


def test_recordings_of_other_sensors_are_left_out_and_told(tmp_path: Path) -> None:
    activities(tmp_path / "zips")
    seconds = moments(50, 2)
    sensor_logger(tmp_path / "zips" / "other.zip", {"Gravity": sensor_table(seconds, wave(seconds))})
    written(tmp_path / "zips" / "notes.zip", {"notes.md": "bought milk"})
    text, said = drafted(tmp_path / "zips", tmp_path / "mine.yaml")
    assert "left out: other.zip: other sensors, Gravity" in said
    assert "left out: notes.zip: no export of a known format" in said
    assert "other.zip" not in text.replace("please check: left out: other.zip", "")
    assert len(open_source(tmp_path / "mine.yaml").ids) == 6


def test_a_damaged_zip_among_others_is_left_out_and_told(tmp_path: Path) -> None:
    zips = activities(tmp_path / "zips")
    whole = zips / f"{called('Walking', 1)}.zip"
    whole.with_name(f"{called('Walking', 9)}.zip").write_bytes(whole.read_bytes()[:2000])
    _, said = drafted(zips, tmp_path / "mine.yaml")
    assert [each for each in said if called("Walking", 9) in each and "not a whole zip file" in each]
    assert len(open_source(tmp_path / "mine.yaml").ids) == 6


def test_info_looks_at_what_nothing_describes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = np.delete(moments(50, 6), np.s_[100:150])  # a second is missing
    sensor_logger(tmp_path / "walk.zip", {"Accelerometer": sensor_table(seconds, wave(seconds))})
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(root, ["datasets", "info", "walk.zip"])
    assert done.exit_code == 0, done.output
    assert "read as 'kinestream datasets describe' would draft it" in done.output
    assert "please check: dataset.export.person" in done.output
    shown = " ".join(done.stdout.split())
    assert "task activities people" in shown
    assert "recordings 1, 6.0 s rows 250: in order, none dropped" in shown
    (line,) = [line.split() for line in done.output.splitlines() if line.startswith("accelerometer  ")]
    assert line == ["accelerometer", "50", "50.00", "250", "1", "1.02", "s"]


def test_only_info_reads_what_nothing_describes(tmp_path: Path) -> None:
    seconds = moments(50, 2)
    path = sensor_logger(tmp_path / "walk.zip", {"Accelerometer": sensor_table(seconds, wave(seconds))})
    with pytest.raises(SourceError, match="draft a description with 'kinestream datasets describe"):
        open_source(path)


def table_of(text: str) -> dict[str, str]:
    return {"Accelerometer": text}


SECONDS = moments(50, 2)
WHOLE = sensor_table(SECONDS, wave(SECONDS))
LINES = WHOLE.splitlines()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n".join([*LINES[:50], LINES[50].rpartition(",")[0]]), "Accelerometer.csv: line 51 has 4 columns"),
        (WHOLE.replace(LINES[7], f"{START_NS},1,1,1,six"), "line 8, column 5 \\(x\\): 'six' is not a number"),
        ("\n".join([*LINES[:61], *LINES[11:]]), "line 62, column 1 \\(time\\): the clock steps back"),
        (LINES[0] + "\n", "no sensor in it has a reading"),
        ("time,seconds_elapsed\n1,2\n", "no sensor in it has a reading"),
    ],
    ids=["cut within a row", "a word", "set back", "no rows", "no columns"],
)  # fmt: skip
def test_what_is_wrong_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    sensor_logger(tmp_path / "walk.zip", table_of(text))
    with pytest.raises(SourceError, match=said) as found:
        write_first_draft(tmp_path / "walk.zip", tmp_path / "mine.yaml")
    assert "\n" not in str(found.value)
    done = CliRunner().invoke(root, ["datasets", "info", str(tmp_path / "walk.zip")], catch_exceptions=True)
    assert isinstance(done.exception, SourceError)


def test_a_recording_without_a_sensor_that_is_described_is_one_line(tmp_path: Path) -> None:
    activities(tmp_path / "zips")
    drafted(tmp_path / "zips", tmp_path / "mine.yaml")
    sensor_logger(tmp_path / "zips" / f"{called('Walking', 3)}.zip", table_of(WHOLE))
    with pytest.raises(SourceError, match=r"3-2025.*zip: its sensors are Accelerometer: nothing called Gyroscope"):
        open_source(tmp_path / "mine.yaml").read(called("Walking", 3))


def test_a_changed_zip_is_parsed_again(tmp_path: Path) -> None:
    activities(tmp_path / "zips")
    drafted(tmp_path / "zips", tmp_path / "mine.yaml")
    before = open_source(tmp_path / "mine.yaml").read(called("Walking", 1)).samples
    activities(tmp_path / "zips", seconds=3.0)
    assert len(open_source(tmp_path / "mine.yaml").read(called("Walking", 1)).samples) < len(before)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("person: {name: somebody}", "person: {column: who}"), "no column of people"),
        (("  person: {name: somebody}", "  #"), "nothing says who"),
        (("column: x", "column: x, where: {a: b}"), "'where' and 'variable' have no meaning"),
        (("gyroscope_x", "accelerometer_x"), "accelerometer_x in two sensors"),
        (("    labels:", "    labels:\n      markers: Annotation"), "given by {label} in files and labels.markers"),
        (("format: sensor_logger", "format: sensorlogger"), "format"),
        (("  export:", "  tabular: {}\n  export:"), "dataset"),
    ],
)
def test_what_contradicts_is_told_by_its_key(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    text, _ = drafted(activities(tmp_path / "zips"), tmp_path / "mine.yaml")
    assert change[0] in text
    (tmp_path / "mine.yaml").write_text(text.replace(*change))
    with pytest.raises(ConfigError) as found:
        open_source(tmp_path / "mine.yaml")
    assert said in str(found.value)
