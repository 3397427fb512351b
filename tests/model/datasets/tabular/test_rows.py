"""Names and columns say who, labels what, and times when, in every way that a description can say it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.given.tables import CLASSES, CODES, ROWS, csv, only, opened, signal

# People and recordings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "name", "person", "recording"),
    [
        ("{person}/{recording}.csv", "s01/run 1.csv", "s01", "s01_run_1"),
        ("{person}/{recording}.csv", "s01/s01_02.csv", "s01", "s01_02"),
        ("{person}/{recording}.csv", "s1/s12_02.csv", "s1", "s1_s12_02"),
        ("*/{person}_{recording}.csv", "x/anna_walk_1.csv", "anna", "anna_walk_1"),
        ("**/{person}/*.csv", "a/b/ben/left.csv", "ben", "a_b_ben_left"),
        ("{person}/{person}-?.csv", "s1/s1-7.csv", "s1", "s1_s1-7"),
        (["{person}.tsv", "old/{person}.csv"], "old/anna.csv", "anna", "old_anna"),
    ],
)
def test_names_of_files_say_who(tmp_path: Path, files: Any, name: str, person: str, recording: str) -> None:
    found = only(tmp_path, csv(), name, files=files)
    assert (found.person, found.id) == (person, recording)


def test_a_regular_expression_says_who(tmp_path: Path) -> None:
    regex = r"(?P<recording>exp\d+)_user(?P<person>\d+)"
    found = only(tmp_path, csv(), "raw/acc_exp03_user07.csv", files="raw/*.csv", regex=regex)
    assert (found.person, found.id) == ("07", "07_exp03")


def test_a_name_given_for_all(tmp_path: Path) -> None:
    source = opened(tmp_path, {"a.csv": csv(), "b.csv": csv()}, files="*.csv", person={"name": "anna"})
    assert [(recording.person, recording.id) for recording in source.recordings()] == [("anna", "a"), ("anna", "b")]


def test_the_published_split_may_be_a_part_of_the_name(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {f"{split}/{split}er.csv": csv() for split in ("train", "test", "more")}
    source = opened(tmp_path, files, files="{split}/{person}.csv")
    assert {recording.person: recording.split for recording in source.recordings()} == {
        "trainer": "train",
        "tester": "test",
        "moreer": None,
    }


def test_columns_divide_a_file(tmp_path: Path) -> None:
    """Rows of several people's recordings, mixed: each gets its own, in their order."""
    header, *rows = csv(rows=24).splitlines()
    who = ["7", "7", "8", "8"] * 6
    trial = ["a", "b", "a", "a"] * 6
    lines = [f"{row},{p},{t}" for row, p, t in zip(rows, who, trial, strict=True)]
    content = "\n".join([header + ",subject,trial", *lines])
    source = opened(tmp_path, {"all.csv": content}, files="all.csv", person="subject", recording={"column": "trial"})
    assert source.ids == ("7_a", "7_b", "8_a")
    for recording, at in zip(source.recordings(), ([0], [1], [2, 3]), strict=True):
        assert recording.person == recording.id[0]
        np.testing.assert_array_equal(recording.samples, signal(rows=24).reshape(6, 4, 2)[:, at].reshape(-1, 2))
    again = opened(tmp_path, {"all.csv": content}, files="*.csv", person="subject")
    assert again.ids == ("7_all", "8_all")


# Labels ---------------------------------------------------------------------------------------------------------------


def test_codes_other_spellings_ignored_ones_and_a_null_class(tmp_path: Path) -> None:
    content = "ax,ay,activity\n" + "".join(f"1,2,{code}\n" for code in (1, "walk", "WALKING", 0, 2, "", 9, "NA"))
    labels = {
        "column": "activity",
        "names": {1: "WALKING", "walk": "WALKING", 2: "null"},
        "ignore": [0, 9],
        "null_class": "null",
    }
    recording = only(tmp_path, content, labels=labels)
    assert recording.classes == ("WALKING", "null")
    assert recording.null_class == 1
    assert recording.labels.tolist() == [0, 0, 0, -1, 1, -1, -1, -1]


def test_a_label_for_the_whole_file_from_its_name(tmp_path: Path) -> None:
    source = opened(
        tmp_path,
        {"anna/walk_1.csv": csv(), "anna/SITTING_1.csv": csv()},
        files="{person}/{label}_{recording}.csv",
        labels={"names": {"walk": "WALKING"}, "classes": ["SITTING", "WALKING"]},
    )
    found = {recording.id: set(recording.labels.tolist()) for recording in source.recordings()}
    assert found == {"anna_SITTING_1": {0}, "anna_walk_1": {1}}


SEGMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "samples": ("start,end,label\n2,5,WALKING\n5,12,SITTING\n", {"unit": "samples"}),
    "from 1, end included": ("3 5 WALKING\n6 12 SITTING\n", {
        "unit": "samples", "first": 1, "end_included": True, "format": "text", "text": {"header": False},
        "start": 1, "end": 2, "label": 3,
    }),
    "seconds": ("label;from;to\nWALKING;0,04;0,1\nSITTING;0,1;99\n", {
        "unit": "s", "start": "from", "end": "to", "text": {"separator": ";", "decimal": ","},
    }),
    "ms, of several recordings": (
        "start,end,label,which\n0,999,SITTING,ben\n40,100,WALKING,anna.csv\n100,240,SITTING,anna\n",
        {"unit": "ms", "recording": {"column": "which"}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", SEGMENTS)
def test_labels_in_a_file_of_segments(tmp_path: Path, kind: str) -> None:
    content, said = SEGMENTS[kind]
    source = opened(
        tmp_path,
        {"anna.csv": csv(), "labels/all.csv": content},
        labels={"classes": CLASSES, "segments": {"files": "labels/*.csv", **said}},
    )
    assert source.read("anna").labels.tolist() == [-1, -1, 0, 0, 0] + [1] * 7


def test_a_file_of_segments_for_each_recording(tmp_path: Path) -> None:
    rows = {("anna", "a"): (0, 6), ("anna", "b"): (6, 12), ("ben", "a"): (3, 9)}
    files: dict[str, str | bytes] = {f"{p}/{r}.csv": csv() for p, r in rows}
    files |= {f"said/{r}-{p}.tsv": f"start\tend\tlabel\n{at}\t{to}\tSITTING\n" for (p, r), (at, to) in rows.items()}
    source = opened(
        tmp_path,
        files,
        files="{person}/{recording}.csv",
        labels={"classes": CLASSES, "segments": {"files": "said/{recording}-{person}.tsv", "unit": "samples"}},
    )
    for recording, (at, to) in zip(source.recordings(), rows.values(), strict=True):
        assert np.flatnonzero(recording.labels == 1).tolist() == list(range(at, to))


def test_segments_by_the_clock(tmp_path: Path) -> None:
    times = [f"2024-05-01 12:00:{at / 50:06.3f}" for at in range(ROWS)]
    header, *rows = csv().splitlines()
    content = "\n".join([header + ",t", *(f"{row},{at}" for row, at in zip(rows, times, strict=True))])
    segments = "start,end,label\n2024-05-01T12:00:00.04Z,2024-05-01T12:00:00.12Z,SITTING\n"
    source = opened(
        tmp_path,
        {"anna.csv": content, "said.csv": segments + "2020-01-01T00:00:00Z,2021-01-01T00:00:00Z,WALKING\n"},
        time={"column": "t", "unit": "iso"},
        labels={"classes": CLASSES, "segments": {"files": "said.csv", "unit": "iso", "counted_from": "clock"}},
    )
    assert np.flatnonzero(source.read("anna").labels == 1).tolist() == [2, 3, 4, 5]


# Times ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "written"),
    [
        ("s", lambda at: f"{1_700_000_000 + at / 50:.2f}"),
        ("s", lambda at: f"{at / 50:.2f}"),
        ("ms", lambda at: f"{1_700_000_000_000 + 20 * at}"),
        ("us", lambda at: f"{20_000 * at}.0"),
        ("ns", lambda at: f"{1_700_000_000_000_000_000 + 20_000_000 * at}"),
        ("iso", lambda at: f"2023-11-14T22:13:20.{20 * at:03}Z"),
        ("iso", lambda at: f"2023-11-14 23:13:20,{20 * at:03}+01:00"),
        ("iso", lambda at: "2023-11-14T22:13:20" + (f".{20 * at:03}" if at else "")),
    ],
)
def test_times_in_any_unit(tmp_path: Path, unit: str, written: Any) -> None:
    header, *rows = csv().replace(",", ";").splitlines()
    recording = only(
        tmp_path,
        "\n".join([header + ";t", *(f"{row};{written(at)}" for at, row in enumerate(rows))]),
        text={"separator": ";"},
        time={"column": "t", "unit": unit},
    )
    start = 1_700_000_000_000_000_000 if written(0)[:2] in ("17", "20") else 0
    np.testing.assert_allclose(recording.timestamps - start, np.arange(ROWS) * 20_000_000, atol=300)
    np.testing.assert_allclose(recording.samples, signal(), atol=0.01)
    np.testing.assert_array_equal(recording.labels, CODES)


def irregular(drop: slice, silent: slice) -> str:
    """Return a straight line sampled at 100 Hz, out of order, with rows and readings missing."""
    at = np.delete(np.arange(200), drop)
    lines = [f"{i / 100},{'' if i in range(200)[silent] else 3 * i},{-i},{CLASSES[int(i >= 100)]}" for i in at]
    return "\n".join(["t,ax,ay,activity", *lines[50:], *lines[:50]])


def test_rows_are_put_on_the_grid_and_gaps_stay_gaps(tmp_path: Path) -> None:
    content = irregular(slice(20, 60), slice(100, 103))
    recording = only(tmp_path, content, time={"column": "t", "unit": "s"})
    at = np.arange(100) * 2
    assert len(recording.samples) == 100
    gap = (at > 19) & (at < 60)
    assert np.isnan(recording.samples[gap]).all()
    np.testing.assert_allclose(recording.samples[~gap], np.column_stack([3 * at, -at])[~gap], atol=1e-3)  # bridges 100
    np.testing.assert_array_equal(recording.labels, (at >= 100).astype(int))
    bridged = only(tmp_path, content, time={"column": "t", "unit": "s", "longest_gap_s": 0.5})
    np.testing.assert_allclose(bridged.samples, np.column_stack([3 * at, -at]), atol=1e-3)
    strict = only(tmp_path, content, time={"column": "t", "unit": "s", "longest_gap_s": 0.015})
    assert np.isnan(strict.samples[50:52, 0]).all()  # one channel alone
    assert np.isfinite(strict.samples[50:52, 1]).all()


def test_sensors_that_write_rows_in_turn_are_joined(tmp_path: Path) -> None:
    lines = [f"{i / 100},{3 * i if i % 2 else ''},{'' if i % 2 else -i},SITTING" for i in range(200)]
    recording = only(tmp_path, "\n".join(["t,ax,ay,activity", *lines]), rate_hz=25, time={"column": "t", "unit": "s"})
    at = np.arange(50) * 4
    np.testing.assert_allclose(recording.samples[1:], np.column_stack([3 * at, -at])[1:], atol=1e-3)
