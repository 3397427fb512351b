"""Long tables give each sensor its channels; a column of labels is no channel; a name stands for one thing."""

import json
from pathlib import Path

import numpy as np
import pytest

from kinestream.model.config.file import load_config
from kinestream.model.errors import ConfigError, SourceError
from tests.given.tables import CLASSES, description, only, opened, write

ROWS = 40
LABELS = np.repeat(["sit", "walk"], ROWS // 2)
CHANNELS = {
    "acc_x": {"column": "x", "where": {"sensor": "acc"}},
    "gyro_x": {"column": "x", "where": {"sensor": "gyro"}},
    "gyro_y": {"column": "y", "where": {"sensor": "gyro"}},
}
TIME = {"column": "time", "unit": "ms"}
SAID = {"time": TIME, "labels": {"column": "activity", "classes": ["sit", "walk"]}}


def long(rows: int = ROWS, late_ms: int = 0) -> str:
    """Return a table in which acc holds 100 + n and 200 + n, gyro -n and -2 n."""
    lines = ["time,sensor,x,y,activity"]
    for n in range(rows):
        lines += [f"{20 * n},acc,{100 + n},{200 + n},{LABELS[n]}", f"{20 * n + late_ms},gyro,{-n},{-2 * n},{LABELS[n]}"]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("late_ms", [0, 3])
def test_the_sensors_of_a_long_table_are_told_apart_and_joined_by_their_times(tmp_path: Path, late_ms: int) -> None:
    recording = only(tmp_path, long(late_ms=late_ms), channels=CHANNELS, **SAID)
    n = np.arange(ROWS)
    expected = np.column_stack([100 + n, -n, -2 * n])
    if late_ms:  # a fraction of a step between two readings
        expected = np.column_stack([100 + n, -n + late_ms / 20, -2 * n + 2 * late_ms / 20])
    inner = slice(1, ROWS - 1)
    np.testing.assert_allclose(recording.samples[inner], expected[inner], rtol=1e-6)
    assert recording.labels[:ROWS].tolist() == [0] * (ROWS // 2) + [1] * (ROWS // 2)


def test_one_sensor_alone_needs_no_times_and_what_is_no_number_elsewhere_does_not_matter(tmp_path: Path) -> None:
    content = long().replace(",gyro,0,", ",gyro,closed,")
    channels = {"acc_x": CHANNELS["acc_x"], "acc_y": {"column": "y", "where": {"sensor": "acc"}}}
    recording = only(tmp_path, content, channels=channels, **{**SAID, "time": None})
    np.testing.assert_array_equal(recording.samples[:, 0], 100 + np.arange(ROWS))


def test_numbers_and_positions_tell_sensors_apart_too(tmp_path: Path) -> None:
    content = long().replace("acc", "1").replace("gyro", "2")
    channels = {"one": {"column": "x", "where": {"2": 1}}, "two": {"column": "x", "where": {"sensor": "2"}}}
    recording = only(tmp_path, content, channels=channels, **SAID)
    np.testing.assert_array_equal(recording.samples[:, 0] - 100, -recording.samples[:, 1])


def test_a_sensor_that_is_not_there_is_named(tmp_path: Path) -> None:
    channels = {**CHANNELS, "mag_x": {"column": "x", "where": {"sensor": "mag"}}}
    with pytest.raises(SourceError, match=r"^anna\.csv: no row where sensor is mag: there are acc, gyro$"):
        only(tmp_path, long(), channels=channels, **SAID)


@pytest.mark.parametrize(
    ("channels", "changed", "problem"),
    [
        (CHANNELS, {"time": None}, r"time: missing: channels of different rows \('where'\) are joined by their times"),
        ({"a": {"column": 1, "where": "acc"}}, {}, r"channels.a.where: .*should be columns and what they hold"),
        ({"activity": {}}, {}, "channels: activity is the column of labels: a model would read its own answer"),
        ({"x": {}, "code": {"column": "activity"}}, {}, "channels: code is the column of labels"),
    ],
)
def test_what_a_description_contradicts_is_told(
    tmp_path: Path, channels: dict[str, object], changed: dict[str, object], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        only(tmp_path, long(), channels=channels, **{**SAID, **changed})


def test_train_refuses_to_read_its_own_answer(tmp_path: Path) -> None:
    write(tmp_path / "data", {"anna.csv": "x,activity\n" + "1,1\n2,2\n" * 9})
    said = description(channels={"x": {}, "activity": {}}, labels={"column": "activity", "names": {"1": "a", "2": "b"}})
    config = tmp_path / "mine.yaml"
    rest = {"window": {"length": 8, "stride": 4}, "split": {"test_share": 0.2, "validation_share": 0.2}}
    config.write_text(json.dumps({"dataset": said, **rest, "train": {"epochs": 1}}))
    with pytest.raises(ConfigError, match=r"dataset\.tabular\.channels: activity is the column of labels"):
        load_config(config)


@pytest.mark.parametrize(("channel", "label"), [({"column": 2}, "activity"), ({"column": "activity"}, 2)])
def test_an_answer_that_is_counted_here_and_named_there_is_found_when_it_is_read(
    tmp_path: Path, channel: dict[str, object], label: str | int
) -> None:
    content = "x,activity\n" + "5,1\n6,2\n" * 9
    labels = {"column": label, "names": {"1": "a", "2": "b"}}
    with pytest.raises(SourceError, match=r"anna\.csv: the channel c is the column of labels"):
        only(tmp_path, content, channels={"x": {}, "c": channel}, labels=labels)


def test_a_column_whose_name_is_there_twice_is_asked_for_by_position(tmp_path: Path) -> None:
    content = "ax,ax,ay,activity\n" + f"1,2,3,{CLASSES[0]}\n" * 9
    with pytest.raises(SourceError, match=r"^anna\.csv: ax is the name of columns 1, 2: give the position of one$"):
        only(tmp_path, content)
    channels = {"ax": {"column": 2}, "ay": {}}
    assert only(tmp_path, content, channels=channels).samples[0].tolist() == [2, 3]


def test_recordings_that_are_counted_as_people_are_keep_the_person_in_their_ids(tmp_path: Path) -> None:
    content = "ax,ay,activity\n" + f"1,2,{CLASSES[0]}\n" * 4
    files = {f"{person}/{trial}.csv": content for person in "12" for trial in "123"}
    source = opened(tmp_path, files, files="{person}/{recording}.csv")
    assert source.ids == ("1_1", "1_2", "1_3", "2_1", "2_2", "2_3")
    columns = "ax,ay,activity,who,trial\n" + "".join(f"1,2,{CLASSES[0]},{p},{t}\n" for p in "12" for t in "12")
    (tmp_path / "columns").mkdir()
    source = opened(
        tmp_path / "columns", {"all.csv": columns}, files="all.csv", person={"column": "who"}, recording="trial"
    )
    assert source.ids == ("1_1", "1_2", "2_1", "2_2")
