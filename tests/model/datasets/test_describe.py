"""What is said of a source adds up, and every difference from the published counts is named."""

import io
import json
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from kinestream.model.datasets import open_source
from kinestream.model.datasets.describe import describe, listing
from kinestream.model.datasets.verify import Check, differences, verify
from kinestream.replay.demo import RECORDINGS
from kinestream.screens.datasets import description_table, print_listing, verification_table
from tests.given.published import write_opportunity, write_uci_har


def shown(renderable: object) -> str:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(renderable)
    return console.export_text()


def test_description_adds_up(tmp_path: Path) -> None:
    source = open_source(write_opportunity(tmp_path / "o.zip"))
    description = json.loads(json.dumps(describe(source)))
    assert description["people"] == ["S1", "S2", "S3", "S4"]
    assert description["splits"] == {"train": 14, "test": 4}
    assert description["recordings"] == 24
    assert description["seconds"] == pytest.approx(24 * 120 / 30)
    classes = description["classes"]
    assert len(classes) == 18
    assert sum(each["seconds"] for each in classes) + description["unlabelled_seconds"] == pytest.approx(96)
    assert all(each["seconds"] > 0 for each in classes)
    assert len(description["channels"]) == 113
    mean = sum(each["missing_share"] for each in description["channels"]) / 113
    assert description["missing_share"] == pytest.approx(mean)
    assert 0 < mean < 0.1
    assert description["null_class"] == "Null"
    assert description["warnings"] == []
    text = shown(description_table(description))
    assert "InertialMeasurementUnit R-SHOE Compass" in text
    assert "Toggle Switch" in text


def test_listing_names_every_dataset() -> None:
    found = json.loads(json.dumps(listing()))
    console = Console(width=200, file=io.StringIO(), record=True)
    print_listing(found, console)
    text = console.export_text()
    for each in found:
        assert each["name"] in text
        assert each["licence"]


def test_differences_are_named(tmp_path: Path) -> None:
    checks = verify(open_source(write_opportunity(tmp_path / "o.zip", runs=["S1-ADL1", "S2-ADL4"])))
    lines = differences(checks)
    assert "people: published 4, found 2" in lines
    assert "recordings: published 24, found 2" in lines
    assert "train rows: published 557963, found 120" in lines
    assert "windows of the joined test runs: published 9894, found 9" in lines
    assert not any(line.startswith("classes that occur") for line in lines)
    assert all("\n" not in line for line in lines)
    text = shown(verification_table(checks))
    assert text.count("differs") == len(lines)


def test_uci_har_differences(tmp_path: Path) -> None:
    lines = differences(verify(open_source(write_uci_har(tmp_path / "u.zip"))))
    assert lines == [
        "people: published 30, found 5",
        "train windows: published 7352, found 18",
        "test windows: published 2947, found 12",
    ]


def test_people_with_as_many_executions_as_published_share_a_line(tmp_path: Path) -> None:
    """The shipped excerpt leaves executions out; a table of its own counts says otherwise for one person alone."""
    source = open_source(RECORDINGS)
    counts = Counter(recording.person for recording in source.recordings())
    with zipfile.ZipFile(RECORDINGS) as packed:
        packed.extractall(tmp_path)
    missing, *_ = counts
    rows = "".join(f"{person},{count + (person == missing)}\n" for person, count in counts.items())
    (tmp_path / "sp-sw-har-dataset" / "DATA" / "subjects_info.csv").write_text(f"subject_id,executions\n{rows}")
    checks = verify(open_source(tmp_path))
    assert [str(check) for check in checks if "subjects_info.csv" in check.what] == [
        f"executions of {missing} as in subjects_info.csv: published {counts[missing] + 1}, found {counts[missing]}",
        f"executions of {len(counts) - 1} of {len(counts)} people as in subjects_info.csv: same",
    ]


def test_lists_are_shortened_to_where_they_differ() -> None:
    names = [f"class{i}" for i in range(12)]
    text = shown(verification_table([Check("names", names, list(names)), Check("names", names, [*names[:5], "other"])]))
    same, differs = text.splitlines()[1:]
    assert same.count("12: class0 class1 class2 ...") == 2
    assert "12: ... class5 class6 class7 ..." in differs
    assert "6: ... other" in differs
    assert "[" not in text


def test_a_changed_hapt_is_found_out(real_data: Path, tmp_path: Path) -> None:
    """One segment longer by a window, one file gone: both named."""
    source = open_source(real_data / "HAPT Data Set.zip")
    for name in source.reader.files.names:
        if "exp61" not in name:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(source.reader.files.read(name))
    labels = tmp_path / "RawData" / "labels.txt"
    labels.write_text(labels.read_text().replace("1 1 5 250 1232", "1 1 5 186 1232"))
    lines = differences(verify(open_source(tmp_path)))
    assert "recordings: published 61, found 60" in lines
    assert any(line.startswith("recordings labelled in RawData/labels.txt") and "exp61" in line for line in lines)
    assert any("as in Train/y_train.txt: published same" in line for line in lines)
