"""Whatever is wrong with a description or with the files ends in one line that says where, and what would be right."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kinestream.model.config.column import TextSection
from kinestream.model.config.file import load_config
from kinestream.model.datasets import open_source
from kinestream.model.datasets.tabular.delimited import read_delimited
from kinestream.model.datasets.verify import verify
from kinestream.model.errors import ConfigError, SourceError
from tests.given.tables import CLASSES, csv, described, description, opened


def said(folder: Path, content: str | bytes | None, name: str = "anna.csv", /, **tabular: Any) -> str:
    """Return what is said when a recording is read."""
    with pytest.raises(SourceError) as caught:
        list(opened(folder, {name: content} if content is not None else {}, **tabular).recordings())
    message = str(caught.value)
    assert "\n" not in message
    return message


def problems(folder: Path, **tabular: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        open_source(described(folder, **tabular))
    assert "\n" not in str(caught.value)
    return caught.value.problems


# Descriptions ---------------------------------------------------------------------------------------------------------

WRONG = {
    "name": "hapt",
    "source": 3,
    "tabular": {
        "files": "{persn}.csv",
        "text": {"separator": ";;", "decimal": "'", "skiprows": 1},
        "rate_hz": 0,
        "time": {"column": 0, "unit": "min"},
        "channels": {"ax": {"factr": 2, "column": True}, "ay": {"unit": 3}},
        "labels": {"column": "activity", "classes": ["a", "a", "b"], "null_class": "c", "names": {"1": 4}},
    },
}
SAID = (
    "dataset.source: Input should be a valid string, not 3",
    "dataset.tabular.files: {persn}.csv names 'persn': the parts are person, recording, label, split",
    'dataset.tabular.text.separator: should be one character, as in ";"',
    "dataset.tabular.text.decimal: ",
    "dataset.tabular.text.skiprows: unknown key (did you mean dataset.tabular.text.skip_rows?)",
    "dataset.tabular.rate_hz: Input should be greater than 0, not 0",
    "dataset.tabular.time.column: should be a column's name, or its position counted from 1, not 0",
    "dataset.tabular.time.unit: Input should be 's', 'ms', 'us', 'ns' or 'iso', not 'min'",
    "dataset.tabular.channels.ax.factr: unknown key (did you mean dataset.tabular.channels.*.factor?)",
    "dataset.tabular.channels.ax.column: should be a column's name",
    "dataset.tabular.channels.ay.unit: Input should be a valid string, not 3",
    "dataset.tabular.labels.names: Input should be a valid string, not 4",
    "dataset.tabular.labels.classes: a given twice",
    "dataset.tabular.labels.null_class: c is none of a, b",
    "dataset.name: 'hapt' cannot be the name of your own recordings",
)


def test_every_error_is_told_at_once_to_train_and_to_info_alike(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    whole = {
        "dataset": WRONG,
        "window": {"length": 10, "stride": 5},
        "split": {"test": [], "validation": 1},
        "train": {"epochs": 1},
    }
    path.write_text(yaml.safe_dump(whole))
    for read in (lambda: load_config(path), lambda: open_source(path)):
        with pytest.raises(ConfigError) as caught:
            read()
        found = caught.value.problems
        for each in SAID[:-3]:
            assert any(problem.startswith(each) for problem in found), (each, found)


@pytest.mark.parametrize(
    ("tabular", "problem"),
    [
        ({"files": "*.csv"}, "person: nothing says who: put {person} into files"),
        ({"person": "subject"}, "person: also named in files"),
        ({"files": "*.csv", "person": {}}, "person.name: give either a column or a name"),
        ({"files": "{person}_{recording}.csv", "recording": "trial"}, "recording: also named in files"),
        ({"files": "{person}.bin"}, "format: {person}.bin does not tell: give one of csv, tsv, text"),
        ({"files": []}, "files: should be a pattern"),
        ({"regex": "(?P<person>"}, "regex: should be a regular expression"),
        ({"regex": "(?P<who>.*)"}, "regex: (?P<who>.*) names 'who'"),
        ({"text": {"encoding": "utf-9"}}, "text.encoding: should be an encoding"),
        ({"text": {"separator": ",", "decimal": ","}}, "text.separator: ',' also stands in numbers"),
        ({"missing": [None]}, "missing: should be a list of texts; put yes, no, on, off and null in quotes"),
        ({"channels": {}}, "channels: "),
        ({"channels": {"x": {"variable": "imu", "column": "ax"}}}, "channels.x.column: 'ax' in the array imu"),
        ({"time": {"unit": "s"}}, "time.column: missing"),
        ({"labels": {"classes": CLASSES}}, "labels: nothing says what was done: give one of {label} in files"),
        ({"labels": {"column": "activity"}}, "labels.classes: name at least two classes here, or in names"),
        ({"labels": {"column": 3, "classes": CLASSES, "names": {"0": "X"}}}, "labels.names: X not in classes"),
        ({"labels": {"column": 3, "classes": CLASSES, "ignore": CLASSES[:1]}}, "labels.ignore: WALKING also a class"),
        ({"labels": {"column": 3, "classes": [*CLASSES, *CLASSES]}}, "labels.classes: SITTING, WALKING given twice"),
        ({"labels": {"column": 3, "classes": CLASSES, "null_class": "X"}}, "labels.null_class: X is none of WALKING"),
        ({"files": "{person}_{label}.csv"}, "labels: given by {label} in files and labels.column"),
    ],
)
def test_each_contradiction_is_told_by_key(tmp_path: Path, tabular: dict[str, Any], problem: str) -> None:
    (found,) = problems(tmp_path, **tabular)
    assert found.startswith(f"dataset.tabular.{problem}")


@pytest.mark.parametrize(
    ("segments", "problem"),
    [
        ({"unit": "samples", "counted_from": "clock"}, "labels.segments.counted_from: samples are counted"),
        ({"unit": "iso"}, "labels.segments.counted_from: date-times are counted from the clock"),
        ({"unit": "s", "counted_from": "clock"}, "time: missing: labels.segments are counted from its clock"),
        ({"unit": "s", "files": "x.bin"}, "labels.segments.format: x.bin does not tell"),
        ({}, "labels.segments.unit: missing"),
    ],
)
def test_segments_that_contradict_themselves(tmp_path: Path, segments: dict[str, Any], problem: str) -> None:
    (found,) = problems(tmp_path, labels={"classes": CLASSES, "segments": {"files": "said.csv", **segments}})
    assert found.startswith(f"dataset.tabular.{problem}")


@pytest.mark.parametrize("name", ["sp_sw_har", "a/b", "", "-x"])
def test_the_name_is_ones_own_and_fit_for_a_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps({"dataset": {**description(), "name": name}}))
    with pytest.raises(ConfigError, match=r"dataset\.name: .* cannot be the name of your own recordings"):
        open_source(path)


def test_a_yaml_file_that_describes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("train: {epochs: 3}\n")
    with pytest.raises(ConfigError, match="dataset: missing"):
        open_source(path)
    path.write_text("a: [")
    with pytest.raises(ConfigError, match=r"not YAML: line 1, column 5: expected [^\n]* while parsing a flow node$"):
        open_source(path)
    with pytest.raises(SourceError, match="no such file"):
        open_source(tmp_path / "none.yaml")


def test_there_is_one_task_and_nothing_to_verify(tmp_path: Path) -> None:
    source = opened(tmp_path, {"anna.csv": csv()})
    with pytest.raises(SourceError, match="nothing was published to compare with"):
        verify(source)
    with pytest.raises(SourceError, match="mine has no task 'x'; it has activities"):
        open_source(tmp_path / "mine.yaml", task="x")
    with pytest.raises(SourceError, match="no recording 'ann'; did you mean anna"):
        source.read("ann")


# Files ----------------------------------------------------------------------------------------------------------------


def test_no_file_is_found(tmp_path: Path) -> None:
    assert said(tmp_path, csv(), "deep/anna.csv").endswith(
        "data: holds no file like {person}.csv (there are deep/anna.csv): set dataset.tabular.files"
    )


def test_two_recordings_that_would_be_one(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"a/x-1\.csv and b/x-1\.csv both hold a recording x_1"):
        opened(tmp_path, {"a/x-1.csv": csv(), "b/x-1.csv": csv()}, files="*/{person}-{recording}.csv")


def test_a_name_that_the_regular_expression_does_not_match(tmp_path: Path) -> None:
    assert "ben.csv: dataset.tabular.regex does not match it" in said(
        tmp_path, csv(), "ben.csv", files="*.csv", regex="(?P<person>anna)"
    )


@pytest.mark.parametrize(
    ("content", "text", "problem"),
    [
        ("ax,ay,activity\n1,2,WALKING\n1,x5,SITTING\n", {}, "line 3, column 2 (ay): 'x5' is not a number"),
        ("ax,ay,activity\n1,2,WALKING\n1,2\n", {}, "line 3 has 2 columns where 3 belong"),
        ("ax,ay,activity\n1,2,WALKING,4\n1,2\n", {}, "line 2 has 4 columns where 3 belong"),
        ("x\n#\nax,ay,activity\n\n1,2,WALKING\n#\n1,2,RUN\n", {"skip_rows": 1, "comment": "#"}, "line 7, column 3 "),
        ('ax,ay,activity\n1,2,"WALK,ING"\n', {}, "line 2, column 3 (activity): 'WALK,ING' is not one of the classes"),
        ("ax,ay,activity\n1,2,RUNNING\n", {}, "'RUNNING' is not one of the classes WALKING, SITTING: add it to names"),
        ("ax,ay,activity\n", {}, "holds no rows"),
        ("", {}, "no column ax, ay, activity: there are "),
        ("ax;ay;activity\n1;2;3\n", {}, "no column ax, ay, activity: there are ax;ay;activity"),
        ("ax,az,activity\n1,2,WALKING\n", {}, "no column ay: there are ax, az, activity"),
        ("1,2,WALKING\n", {"header": False}, "no column ax, ay, activity: there are 3, without names: give positions"),
        ("ax,ay,activity\n1,2,\xe9\n".encode("latin-1"), {}, "byte 20 is not utf-8: give text.encoding"),
    ],
)
def test_text_that_does_not_parse(tmp_path: Path, content: str | bytes, text: dict[str, Any], problem: str) -> None:
    message = said(tmp_path, content, text=text)
    assert message.startswith("anna.csv: ")
    assert problem in message


def test_blanks_are_counted_as_the_format_does(tmp_path: Path) -> None:
    content = "ax ay   activity\n \t\n1\t2 WALKING\n\n 1 oops SITTING\n"
    assert said(tmp_path, content, "anna.txt", files="{person}.txt") == (
        "anna.txt: line 5, column 2 (ay): 'oops' is not a number"
    )


@pytest.mark.parametrize(
    ("unit", "value", "problem"),
    [
        ("ms", "", "line 3, column 4 (t): no time"),
        ("ms", "12:30", "line 3, column 4 (t): '12:30' is not a time in ms"),
        ("ms", "1e30", "'1e30' is not a time in ms"),
        ("iso", "12:30", "'12:30' is not a time in iso"),
        (
            "ms",
            "90000000",
            "of 2 rows span 90000 s, at 50 Hz 4,500,001 samples: check dataset.tabular.time.unit",
        ),
    ],
)
def test_times_that_cannot_be(tmp_path: Path, unit: str, value: str, problem: str) -> None:
    first = "2024-05-01T12:00:00" if unit == "iso" else "0"
    content = f"ax,ay,activity,t\n1,2,WALKING,{first}\n1,2,WALKING,{value}\n"
    assert problem in said(tmp_path, content, time={"column": "t", "unit": unit})


def test_a_row_without_a_person(tmp_path: Path) -> None:
    content = "ax,ay,activity,who\n1,2,WALKING,anna\n1,2,WALKING,\n"
    assert "all.csv: line 3, column 4 (who): no person" in said(
        tmp_path, content, "all.csv", files="all.csv", person="who"
    )


@pytest.mark.parametrize(
    ("segments", "problem"),
    [
        ("start,end,label\n0,5,WALKING\n8,99,SITTING\n", "said.csv: line 3, column 2 (end): anna.csv has only 12 rows"),
        (
            "start,end,label\n50,60,WALKING\n",
            "line 2, column 1 (start): does not lie in anna.csv: check unit and first",
        ),
        ("start,end,label\n5,3,WALKING\n", "line 2, column 1 (start): does not lie in anna.csv"),
        ("start,end,label\n0,5,RUN\n", "line 2, column 3 (label): 'RUN' is not one of the classes"),
        ("start,end,label\n0,,WALKING\n", "line 2, column 2 (end): no number of a row"),
        ("from,to,label\n0,5,WALKING\n", "said.csv: no column start, end: there are from, to, label"),
        (None, "anna.csv: no file of segments like said.csv for recording a"),
    ],
)
def test_segments_that_do_not_fit(tmp_path: Path, segments: str | None, problem: str) -> None:
    files: dict[str, str | bytes] = {"anna.csv": csv(), **({} if segments is None else {"said.csv": segments})}
    labels = {"classes": CLASSES, "segments": {"files": "said.csv", "unit": "samples"}}
    with pytest.raises(SourceError) as caught:
        list(opened(tmp_path, files, files="anna.csv", person={"name": "anna"}, labels=labels).recordings())
    assert problem in str(caught.value)


def test_arrays_that_are_not_there(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.savez(content, imu=np.zeros((4, 2)), activity=np.array(["WALKING"] * 3))
    imu = {name: {"variable": "imu", "column": at} for at, name in enumerate(("ax", "ay"), start=1)}
    for channels, problem in (
        ({"ax": "acc"}, "anna.npz: no array acc: there are imu, activity"),
        ({"ax": "imu"}, "imu is an array of 4x2: give 'variable' and the 'column' in it"),
        ({"ax": {"variable": "imu", "column": 3}}, "imu is an array of 4x2: no column 3; give a smaller one"),
        (imu, "its arrays differ in length: imu has 4, imu has 4, activity has 3"),
    ):
        assert problem in said(tmp_path, content.getvalue(), "anna.npz", files="{person}.npz", channels=channels)
    assert "not arrays such as imu: leave out 'variable'" in said(tmp_path, csv(), channels=imu)


def test_a_mat_file_of_version_7_3(tmp_path: Path) -> None:
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    content = header.ljust(512, b"\x00") + b"\x89HDF\r\n\x1a\n" + bytes(100)
    assert said(tmp_path, content, "anna.mat", files="{person}.mat") == (
        "anna.mat: a MATLAB file of version 7.3: save it in MATLAB with save(..., '-v7')"
    )


@pytest.mark.parametrize("ending", ["parquet", "npz", "mat"])
def test_a_file_that_is_none_or_half(tmp_path: Path, ending: str) -> None:
    whole = io.BytesIO()
    scipy.io.savemat(whole, {"ax": np.zeros(100), "ay": np.zeros(100), "activity": np.zeros(100)})
    contents = [b"no such thing", b"", *([whole.getvalue()[:700]] if ending == "mat" else [])]
    for content in contents:
        message = said(tmp_path, content, f"anna.{ending}", files=f"{{person}}.{ending}")
        assert message.startswith(f"anna.{ending}: not a whole ")


def test_an_array_of_pickles_is_not_loaded(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.savez(content, ax=np.array([{}], dtype=object))
    assert "Object arrays cannot be loaded" in said(tmp_path, content.getvalue(), "anna.npz", files="{person}.npz")


@given(st.binary(max_size=60), st.sampled_from([None, "#"]), st.booleans(), st.integers(0, 2), st.booleans())
def test_any_bytes_are_read_or_refused(data: bytes, comment: str | None, header: bool, skip: int, blanks: bool) -> None:
    text = TextSection(comment=comment, header=header, skip_rows=skip)
    with contextlib.suppress(SourceError):  # anything else would be ours
        rows = read_delimited(data, "f", text, " " if blanks else ",", blanks=blanks)
        columns = rows.columns(range(rows.width))
        assert len({len(column) for column in columns}) <= 1
        rows.line_of(len(columns[0]) - 1)
