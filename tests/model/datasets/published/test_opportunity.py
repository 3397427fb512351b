"""Opportunity in its published layout: the right 113 columns by name, labels, times, split and joined windows."""

import re
from pathlib import Path

import numpy as np
import pytest

from kinestream.model.datasets import open_source
from kinestream.model.datasets.published.opportunity import joined_labels, published_split
from kinestream.model.datasets.published.opportunity_columns import find_columns
from kinestream.model.errors import SourceError
from tests.given.published import (
    GESTURE_CODES,
    LOCOMOTION_CODES,
    OPPORTUNITY_RUNS,
    column_names_text,
    opportunity_rows,
    write_opportunity,
)

CHALLENGE = [
    *range(2, 47),
    *range(51, 60),
    *range(64, 73),
    *range(77, 86),
    *range(90, 99),
    *range(103, 135),
]
"""The columns the challenge uses, counted from 1 (Chavarriaga et al., 2013)."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_opportunity(tmp_path_factory.mktemp("opportunity") / "o.zip")


@pytest.mark.parametrize(
    ("task", "column", "codes"), [("gestures", 249, GESTURE_CODES), ("locomotion", 243, LOCOMOTION_CODES)]
)
def test_every_run_is_read_as_written(archive: Path, task: str, column: int, codes: tuple[int, ...]) -> None:
    source = open_source(archive, task=task)
    assert source.ids == OPPORTUNITY_RUNS
    assert len(source.channels) == 113
    assert len(source.classes) == len(codes)
    assert (source.null_class, source.rate_hz) == (0, 30.0)
    for recording in source.recordings():
        rows = opportunity_rows(recording.id, 120)
        np.testing.assert_array_equal(recording.samples, rows[:, np.array(CHALLENGE) - 1].astype(np.float32))
        np.testing.assert_array_equal(np.array(codes)[recording.labels], rows[:, column])
        np.testing.assert_array_equal(recording.timestamps, rows[:, 0] * 1_000_000)
        assert set(recording.labels) == set(range(len(codes)))
        assert np.isnan(recording.samples).any()
        assert recording.person == recording.id[:2]


@pytest.mark.parametrize("given", [None, "text"])
def test_the_113_columns(given: str | None) -> None:
    columns = find_columns("gestures", given and column_names_text())
    assert [position + 1 for position in columns.positions] == CHALLENGE
    assert (columns.milliseconds, columns.label) == (0, 249)
    assert len({channel.name for channel in columns.channels}) == 113


def test_the_published_description_names_the_same_columns_and_units(real_data: Path) -> None:
    text = (real_data / "opportunity" / "column_names.txt").read_text()
    for task in ("gestures", "locomotion"):
        assert find_columns(task, text) == find_columns(task, None)


def test_classes_are_named_as_in_the_published_legend(real_data: Path, archive: Path) -> None:
    legend = (real_data / "opportunity" / "label_legend.txt").read_text()
    names = dict(re.findall(r"^(\d+)\s+-\s+\w+\s+-\s+(.+?)\s*$", legend, re.MULTILINE))
    for task, codes in (("gestures", GESTURE_CODES), ("locomotion", LOCOMOTION_CODES)):
        assert open_source(archive, task=task).classes[1:] == tuple(names[str(code)] for code in codes[1:])


def test_columns_are_found_by_name_not_by_place(tmp_path: Path) -> None:
    swapped = column_names_text()
    swapped = swapped.replace("Column: 2 Accelerometer RKN^ accX", "Column: 2 Accelerometer HIP accY")
    swapped = swapped.replace("Column: 6 Accelerometer HIP accY", "Column: 6 Accelerometer RKN^ accX")
    folder = write_opportunity(tmp_path / "folder", runs=["S1-ADL1"], top="")
    (folder / "column_names.txt").write_text(swapped)
    recording = open_source(folder).read("S1-ADL1")
    place = [channel.name for channel in recording.channels].index("Accelerometer RKN^ accX")
    np.testing.assert_array_equal(
        recording.samples[:, place], opportunity_rows("S1-ADL1", 120)[:, 5].astype(np.float32)
    )


def test_a_description_without_a_needed_column(tmp_path: Path) -> None:
    folder = write_opportunity(tmp_path / "folder", runs=["S1-ADL1"], top="")
    (folder / "column_names.txt").write_text(column_names_text().replace("RWR accY", "RWR accQ"))
    with pytest.raises(SourceError, match=r"no column 'Accelerometer RWR accY' \(1 are missing\)"):
        open_source(folder)


def test_split() -> None:
    train = [run for run in OPPORTUNITY_RUNS if published_split(run) == "train"]
    test = [run for run in OPPORTUNITY_RUNS if published_split(run) == "test"]
    assert len(train) == 6 + 4 + 4
    assert test == ["S2-ADL4", "S2-ADL5", "S3-ADL4", "S3-ADL5"]
    assert all(published_split(run) is None for run in OPPORTUNITY_RUNS if run.startswith("S4"))


def test_joined_windows_span_runs(archive: Path) -> None:
    source = open_source(archive)
    runs = [source.read(run) for run in ("S2-ADL4", "S2-ADL5")]
    joined = np.concatenate([run.labels for run in runs])
    expected = [joined[start + 23] for start in range(0, len(joined) - 23, 12)]
    assert joined_labels(runs).tolist() == expected


@pytest.mark.parametrize(
    ("column", "text", "problem"),
    [
        (249, b"999", r"S1-ADL1\.dat: line 3, column 250: 999 is no label of gestures"),
        (0, b"NaN", r"line 3: the time in milliseconds is missing"),
        (40, b"1e", r"line 3, column 41: '1e' is not a number"),
    ],
)
def test_malformed_run(tmp_path: Path, column: int, text: bytes, problem: str) -> None:
    folder = write_opportunity(tmp_path / "folder", runs=["S1-ADL1"], top="")
    run = folder / "S1-ADL1.dat"
    lines = [line.split(b" ") for line in run.read_bytes().splitlines()]
    lines[2][column] = text
    run.write_bytes(b"\n".join(b" ".join(line) for line in lines))
    with pytest.raises(SourceError, match=problem):
        open_source(folder).read("S1-ADL1")
