"""Consecutive files may be one recording; what cannot be read stops only those who ask for it; ids stay as written."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from kinestream.model.config.file import load_config
from kinestream.model.config.split import SplitSection
from kinestream.model.datasets import open_source
from kinestream.model.datasets.files import FolderTree
from kinestream.model.datasets.split import read_split
from kinestream.model.errors import ConfigError, SourceError
from kinestream.model.training.data import read_training_set
from kinestream.replay.run import chosen_recordings
from tests.given.tables import CLASSES, ROWS, csv, described, description, opened, signal, write

# Parts ----------------------------------------------------------------------------------------------------------------


def parts(count: int, seed: int = 0, *, timed: bool = False) -> list[str]:
    """Return `csv`'s rows twice over, divided into files that each have a header."""
    x = signal(seed, 2 * ROWS)
    rows = [f"{a},{b},{CLASSES[at // ROWS]},{at / 50}" for at, (a, b) in enumerate(x)]
    header = "ax,ay,activity" + (",t" if timed else "")
    rows = rows if timed else [row.rpartition(",")[0] for row in rows]
    return ["\n".join([header, *each]) for each in np.array_split(np.array(rows, dtype=object), count)]


@pytest.mark.parametrize(
    ("files", "names", "wanted"),
    [
        ("{person}_{part}.csv", [f"anna_{at}.csv" for at in range(1, 12)], "anna"),  # 2 before 10
        ("{person}/{recording}-{part}.csv", [f"anna/run-{at:03}.csv" for at in range(11)], "anna_run"),
        ("{person}/acc_{part}.csv", [f"anna/acc_{at}.csv" for at in "abcdefghijk"], "anna_acc"),
        ("{part}/{person}.csv", [f"{at}/anna.csv" for at in range(11)], "anna"),
    ],
)
@pytest.mark.parametrize("timed", [False, True])
def test_consecutive_files_are_one_recording(
    tmp_path: Path, files: str, names: list[str], wanted: str, timed: bool
) -> None:
    contents: dict[str, str | bytes] = dict(reversed(list(zip(names, parts(len(names), timed=timed), strict=True))))
    source = opened(tmp_path, contents, files=files, time={"column": "t", "unit": "s"} if timed else None)
    assert source.ids == (wanted,)
    (recording,) = source.recordings()
    assert recording.person == "anna"
    np.testing.assert_array_equal(recording.samples, signal(rows=2 * ROWS))
    np.testing.assert_array_equal(recording.labels, np.repeat([0, 1], ROWS))
    assert sorted(source.reader.files_of(wanted)) == sorted(names)


def test_parts_by_a_regular_expression_and_of_several_people(tmp_path: Path) -> None:
    contents: dict[str, str | bytes] = {}
    for seed, who in enumerate(("anna", "ben")):
        contents |= {f"log{at}_of_{who}.csv": content for at, content in enumerate(parts(3, seed))}
    source = opened(tmp_path, contents, files="*.csv", regex=r"log(?P<part>\d+)_of_(?P<person>\w+)\.")
    assert source.ids == ("log_of_anna", "log_of_ben")
    for seed, recording in enumerate(source.recordings()):
        np.testing.assert_array_equal(recording.samples, signal(seed, 2 * ROWS))


def test_people_in_columns_of_files_that_continue_each_other(tmp_path: Path) -> None:
    first, second = (content.splitlines() for content in parts(2))
    contents: dict[str, str | bytes] = {
        "log_1.csv": "\n".join([first[0] + ",who", *(f"{row},anna" for row in first[1:])]),
        "log_2.csv": "\n".join(
            [second[0] + ",who", *(f"{row},{'anna' if i < 6 else 'ben'}" for i, row in enumerate(second[1:]))]
        ),
    }
    source = opened(tmp_path, contents, files="log_{part}.csv", person="who")
    assert [len(recording.samples) for recording in source.recordings()] == [ROWS + 6, 6]


def test_segments_count_through_all_parts(tmp_path: Path) -> None:
    contents: dict[str, str | bytes] = {f"anna_{at}.csv": content for at, content in enumerate(parts(4))}
    contents["said.csv"] = "start,end,label\n4,20,SITTING\n"
    labels = {"classes": CLASSES, "segments": {"files": "said.csv", "unit": "samples"}}
    (recording,) = opened(tmp_path, contents, files="{person}_{part}.csv", labels=labels).recordings()
    assert np.flatnonzero(recording.labels == 1).tolist() == list(range(4, 20))


def test_what_is_wrong_in_a_part_is_told_of_its_file_and_line(tmp_path: Path) -> None:
    first, second = parts(2)
    broken = second.splitlines()
    broken[3] = "1,oops,SITTING"
    for contents, problem in (
        (
            {"anna_1.csv": first, "anna_2.csv": "\n".join(broken)},
            r"anna_2\.csv: line 4, column 2 \(ay\): 'oops' is not",
        ),
        ({"anna_1.csv": first, "anna_2.csv": csv(header="ax,az,activity")}, r"anna_2\.csv: no column ay"),
    ):
        with pytest.raises(SourceError, match=problem):
            list(opened(tmp_path, dict(contents), files="{person}_{part}.csv").recordings())


def test_a_clock_that_begins_anew_in_each_part_is_refused_with_file_and_line(tmp_path: Path) -> None:
    first, _ = parts(2, timed=True)
    source = opened(
        tmp_path,
        {"anna_1.csv": first, "anna_2.csv": first},
        files="{person}_{part}.csv",
        time={"column": "t", "unit": "s"},
    )
    with pytest.raises(SourceError, match=r"anna_2\.csv: line 2, column 4 \(t\): the clock steps back by 0.22 s"):
        source.read("anna")


def test_a_part_that_is_missing_is_told_unless_times_show_the_gap(tmp_path: Path) -> None:
    contents: dict[str, str | bytes] = dict(
        zip((f"anna_{at}.csv" for at in range(1, 5)), parts(4, timed=True), strict=True)
    )
    del contents["anna_3.csv"]
    with pytest.raises(
        SourceError, match=r"anna_4\.csv: part 4 of recording anna does not follow part 2: add the part"
    ):
        opened(tmp_path, contents, files="{person}_{part}.csv")
    time = {"column": "t", "unit": "s"}
    (recording,) = opened(tmp_path, contents, files="{person}_{part}.csv", time=time).recordings()
    assert np.isnan(recording.samples).any()


def test_two_files_that_would_be_the_same_part(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"a/x-y_1\.csv and b/x-y_1\.csv both hold a recording x_y: tell"):
        opened(tmp_path, {"a/x-y_1.csv": csv(), "b/x-y_1.csv": csv()}, files="*/{person}-{recording}_{part}.csv")
    files = {"files": "x_{part}.csv", "unit": "samples"}
    with pytest.raises(
        ConfigError, match=r"labels\.segments\.files: names {part}, but a recording's parts have one start"
    ):
        open_source(described(tmp_path, labels={"classes": CLASSES, "segments": files}))


# What cannot be read --------------------------------------------------------------------------------------------------

BROKEN = "ax,ay,activity\n1,2,WALKING\n1,x,SITTING\n"


def trained(folder: Path, contents: dict[str, str | bytes], split: dict[str, Any], **tabular: Any) -> Any:
    write(folder / "data", contents)
    whole = {
        "dataset": description(**tabular),
        "window": {"length": 8, "stride": 2},
        "split": split,
        "train": {"epochs": 1},
    }
    (folder / "mine.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(whole))))
    return read_training_set(load_config(folder / "mine.yaml"))


PEOPLE: dict[str, str | bytes] = {
    f"{who}.csv": csv(at, rows=2 * ROWS) for at, who in enumerate(("anna", "ben", "cleo"))
}


def test_an_unreadable_recording_outside_the_split_stops_nothing(tmp_path: Path) -> None:
    contents = {**PEOPLE, "dan.csv": BROKEN}
    data = trained(tmp_path, contents, {"test": ["cleo"], "validation": ["ben"], "leave_out": ["dan"]})
    assert data.people() == {"train": ["anna"], "validation": ["ben"], "test": ["cleo"]}
    for split in ({"test": ["dan"], "validation": ["ben"]}, {"test": ["cleo"], "validation": ["ben"]}):
        with pytest.raises(SourceError, match=r"dan\.csv: line 3, column 2 \(ay\): 'x' is not a number"):
            trained(tmp_path, contents, split)


def test_a_published_split_and_shares_are_divided_as_before(tmp_path: Path) -> None:
    where = {"anna.csv": "train", "ben.csv": "train", "cleo.csv": "test"}
    contents = {f"{where[name]}/{name}": content for name, content in PEOPLE.items()} | {"more/dan.csv": BROKEN}
    data = trained(tmp_path, contents, {"test": "published", "validation": ["ben"]}, files="{split}/{person}.csv")
    assert data.people() == {"train": ["anna"], "validation": ["ben"], "test": ["cleo"]}
    section = SplitSection(leave_out=("dan",), test=(), test_share=0.5, validation=0)
    shared = read_split(open_source(tmp_path / "mine.yaml"), section, seed=0)
    assert [len(recording.samples) for recording in shared.test] == [ROWS] * 3
    with pytest.raises(ConfigError, match=r"split\.leave_out: no person or recording eve: there are"):
        trained(
            tmp_path,
            contents,
            {"test": ["anna"], "validation": ["ben"], "leave_out": ["eve"]},
            files="{split}/{person}.csv",
        )


def test_recordings_that_are_not_asked_for_need_not_be_readable(tmp_path: Path) -> None:
    source = opened(tmp_path, {**PEOPLE, "dan.csv": BROKEN})
    assert [each.id for each in source.recordings(["ben", "cleo"])] == ["ben", "cleo"]
    assert [each.person for each in source.outlines(people=["ben", "dan"])] == ["ben", "dan"]
    assert [each.id for each in chosen_recordings(source, None, ["cleo"], None)] == ["cleo"]
    with pytest.raises(SourceError, match="nobody called eve: there are anna, ben, cleo, dan"):
        list(chosen_recordings(source, None, ["eve"], None))
    with pytest.raises(SourceError, match=r"dan\.csv: line 3"):
        list(chosen_recordings(source, None, None, None))


def test_a_file_that_columns_divide_is_told_of_when_it_cannot_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = csv(rows=2 * ROWS).splitlines()
    said = "\n".join([rows[0] + ",trial", *(f"{row},{at // ROWS}" for at, row in enumerate(rows[1:]))])
    contents: dict[str, str | bytes] = {"anna.csv": said, "dan.csv": csv(), "ben.csv": said}
    source = opened(tmp_path, contents, recording="trial")
    told = "dan.csv: no column trial: there are ax, ay, activity"
    assert caplog.messages == [f"kinestream: {told}; what else there is can be read"]
    assert source.ids == ("anna_0", "anna_1", "ben_0", "ben_1", "dan")
    assert len(source.read("anna_1").samples) == ROWS
    with pytest.raises(SourceError, match=told):
        source.read("dan")
    split = {"test": ["ben"], "leave_out": ["dan"], "validation": 0}
    assert trained(tmp_path, contents, split, recording="trial").people()["train"] == ["anna"]
    with pytest.raises(SourceError, match=told):
        trained(tmp_path, contents, {"test": ["ben"], "validation": 0}, recording="trial")
    with pytest.raises(SourceError, match=told):
        opened(tmp_path / "alone", {"dan.csv": csv()}, recording="trial")


@contextmanager
def as_nobody() -> Iterator[None]:
    """Take root's privileges away, whom no permission stops."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return, from within the folder above it, a source one of whose folders nobody may look into."""
    write(tmp_path / "data", {"anna/1.csv": csv(), "ben/1.csv": csv()})
    described(tmp_path, files="{person}/{recording}.csv")
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)  # the folders above are root's own
    (tmp_path / "data" / "ben").chmod(0)
    yield Path("data")
    (tmp_path / "data" / "ben").chmod(0o755)


def test_a_folder_that_may_not_be_looked_into_is_refused(closed: Path) -> None:
    with as_nobody(), pytest.raises(SourceError) as caught:
        FolderTree(closed)
    assert str(caught.value) == (
        "data/ben: cannot be looked into (Permission denied): allow it, or move the folder out of the source"
    )


def test_a_source_in_such_a_folder_is_refused_in_one_line(closed: Path) -> None:
    for path in ("data/ben/1.csv", "data/ben/mine.yaml", "data/ben/deeper"):
        with as_nobody(), pytest.raises(SourceError, match=rf"{path}: cannot be opened \(Permission denied\)$"):
            open_source(path)
    with pytest.raises(SourceError, match=r"cannot be opened \(File name too long\)$"):
        open_source("x" * 300)


def test_folders_are_found_behind_links_which_may_lead_round_in_a_circle(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", {"1.csv": csv()})
    write(tmp_path / "data", {"anna/1.csv": csv()})
    (tmp_path / "data" / "ben").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "anna" / "up").symlink_to(tmp_path / "data")
    assert FolderTree(tmp_path / "data").names == ("anna/1.csv", "ben/1.csv")


# Ids as they are written ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["07", "007", "010", "0x1F", "1_2", "12:30", "00", "0b1", "+07"])
def test_ids_that_older_yaml_takes_for_numbers_stay_as_written(tmp_path: Path, said: str) -> None:
    """07 was 7, 010 was 8, 12:30 was 750."""
    name = said.replace(":", "-") if ":" in said else said
    content = "ax,ay,activity\n" + "".join(f"1,2,{code}\n" for code in (said, "1", "x"))
    write(tmp_path / "data", {f"{name}.csv": content, "b.csv": content})
    text = (
        "dataset:\n  name: mine\n  source: data\n  tabular:\n    files: '*.csv'\n"
        f"    person: {{name: {said}}}\n    rate_hz: 50\n    channels: {{ax: , ay: }}\n"
        f"    labels: {{column: activity, names: {{{said}: WALKING, 1: SITTING}}, ignore: [x]}}\n"
        f"window: {{length: 8, stride: 1}}\nsplit: {{test: [{said}], validation: 0}}\ntrain: {{epochs: 1}}\n"
    )
    (tmp_path / "mine.yaml").write_text(text)
    recording = next(iter(open_source(tmp_path / "mine.yaml").recordings()))
    assert recording.person == said
    assert recording.labels.tolist() == [0, 1, -1]
    assert load_config(tmp_path / "mine.yaml").split.test == (said,)
    assert load_config(tmp_path / "mine.yaml", ["split.test=[x]", f"split.leave_out=[{said}]"]).split.leave_out == (
        said,
    )


def test_numbers_with_leading_zeros_are_none_for_yaml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"window\.length: Input should be a valid integer, not '0100'"):
        load_config("hapt", ["window.length=0100"])
    assert load_config("hapt", ["window.length=100"]).window.length == 100
