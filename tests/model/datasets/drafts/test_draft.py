"""A draft of a description, where its guesses hold, reads what was written; and it never does harm."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from kinestream.model.config.file import load_config
from kinestream.model.config.pattern import compiled
from kinestream.model.datasets import Recording, open_source
from kinestream.model.datasets.drafts.doubts import unsaid
from kinestream.model.datasets.drafts.names import guess_names
from kinestream.model.datasets.drafts.write import draft, write_draft
from kinestream.model.errors import SourceError
from kinestream.model.recordings.split import split_recordings
from tests.given.tables import write

RATE = 50
SECONDS = 4  # of each activity
ACTIVITIES = ("walking", "sitting", "lying")
LABELS = np.repeat(np.array(ACTIVITIES), SECONDS * RATE)
PEOPLE = ("s01", "s02", "s03", "s04", "s05")


def motion(seed: int) -> pl.DataFrame:
    """Return a recording as a data frame: times in ms that jitter, acceleration in m/s2 with gravity, rotation."""
    rng = np.random.default_rng(seed)
    rows = len(LABELS)
    acc = rng.normal(0, 0.5, (rows, 3)) + np.where(LABELS[:, None] == "lying", [0, 0, 9.81], [9.81, 0, 0])
    gyro = rng.normal(0, 1, (rows, 3))
    times = 1_700_000_000_000 + 20 * np.arange(rows) + rng.integers(-3, 4, rows)
    columns = {"timestamp": times}
    columns |= {f"acc_{axis}": acc[:, at].round(4) for at, axis in enumerate("xyz")}
    columns |= {f"gyro_{axis} (deg/s)": gyro[:, at].round(4) for at, axis in enumerate("xyz")}
    return pl.DataFrame({**columns, "activity": LABELS})


def csv(frame: pl.DataFrame, **options: object) -> str:
    return frame.write_csv(**options)


def parquet(frame: pl.DataFrame) -> bytes:
    content = io.BytesIO()
    frame.write_parquet(content)
    return content.getvalue()


def arrays(frame: pl.DataFrame) -> dict[str, np.ndarray]:
    imu = frame.select(frame.columns[1:7]).to_numpy()
    return {
        "t": frame["timestamp"].to_numpy() - 1_700_000_000_000,
        "acc": imu[:, :3],
        "gyro": imu[:, 3:],
        "label": LABELS,
    }


def npz(frame: pl.DataFrame) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays(frame))
    return content.getvalue()


def mat(frame: pl.DataFrame) -> bytes:
    content = io.BytesIO()
    codes = np.searchsorted(np.sort(ACTIVITIES), LABELS) + 1.0
    scipy.io.savemat(content, {"recording": {**arrays(frame), "label": codes[:, None]}})
    return content.getvalue()


def german(frame: pl.DataFrame) -> bytes:
    """Return what a German spreadsheet writes."""
    text = frame.with_columns(pl.col("timestamp") - 1_700_000_000_000).write_csv(separator=";", decimal_comma=True)
    return ("Gerät;Größe\n" + text).encode("latin-1")


def dated(frame: pl.DataFrame) -> str:
    when = pl.from_epoch("timestamp", time_unit="ms").dt.strftime("%Y-%m-%d %H:%M:%S%.3f")
    return frame.with_columns(when).write_csv()


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "a folder a person": lambda at: write(at, {
        f"{who}/run{run}.csv": csv(motion(10 * i + run)) for i, who in enumerate(PEOPLE) for run in (1, 2)
    }),
    "one file a person": lambda at: write(at, {f"{who}.csv": csv(motion(i)) for i, who in enumerate(PEOPLE)}),
    "people in the files' names, in a zip": lambda at: write(at.with_suffix(".zip"), {
        f"lab/subject_{i}_run_1.tsv": csv(motion(i), separator="\t") for i in range(1, 6)
    }),
    "comments, blanks and no header": lambda at: write(at, {
        f"{who}_a.txt": "# a logger's\n" + csv(motion(i), separator=" ", include_header=False)
        for i, who in enumerate(PEOPLE)
    }),
    "a German spreadsheet": lambda at: write(at, {f"{who}.csv": german(motion(i)) for i, who in enumerate(PEOPLE)}),
    "date-times": lambda at: write(at, {f"{who}.csv": dated(motion(i)) for i, who in enumerate(PEOPLE)}),
    "Parquet": lambda at: write(at, {f"{who}/1.parquet": parquet(motion(i)) for i, who in enumerate(PEOPLE)}),
    "NPZ": lambda at: write(at, {f"{who}.npz": npz(motion(i)) for i, who in enumerate(PEOPLE)}),
    "MAT with codes": lambda at: write(at, {f"{who}.mat": mat(motion(i)) for i, who in enumerate(PEOPLE)}),
    "all in one file": lambda at: write(at, {
        "all.csv": csv(pl.concat(
            motion(i).with_columns(pl.lit(who).alias("user"), pl.col("timestamp") + 10**6 * i)
            for i, who in enumerate(PEOPLE)
        ))
    }),
    "a folder an activity": lambda at: write(at, {
        f"{activity}/{who}.csv": csv(motion(i).filter(pl.col("activity") == activity).drop("activity"))
        for i, who in enumerate(PEOPLE) for activity in ACTIVITIES
    }),
    "segments beside": lambda at: write(at, {
        **{f"{who}.csv": csv(motion(i).drop("activity")) for i, who in enumerate(PEOPLE)},
        **{f"labels/{who}.csv": "start,end,label\n" + "".join(
            f"{n * 200},{n * 200 + 200},{activity}\n" for n, activity in enumerate(ACTIVITIES)
        ) for who in PEOPLE},
    }),
    "missing values, and a counter": lambda at: write(at, {
        f"{who}.csv": csv(motion(i).with_row_index("sample").with_columns(pl.col("acc_x").cast(pl.String))).replace(
            ",walking", ",walking"
        ).replace("\n7,", "\n7,", 1).replace(motion(i)["acc_x"].cast(pl.String)[9] + ",", "?,")
        for i, who in enumerate(PEOPLE)
    }),
}  # fmt: skip


@pytest.fixture(params=list(LAYOUTS))
def layout(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    return request.param, LAYOUTS[request.param](tmp_path / "data")


def test_a_draft_reads_what_was_written_and_is_a_configuration(layout: tuple[str, Path], tmp_path: Path) -> None:
    kind, folder = layout
    text, found = write_draft(folder, tmp_path / "mine.yaml")
    assert not unsaid(found), text
    config = load_config(tmp_path / "mine.yaml")
    recordings = list(open_source(tmp_path / "mine.yaml").recordings())
    assert len({recording.person for recording in recordings}) == 5, text
    assert recordings[0].rate_hz == RATE
    assert config.window.length == 2 * RATE
    names = {channel.name for channel in recordings[0].channels}
    assert len(names) == 6, text
    expected = {"c4"} if "no header" in kind else {"acc_z"}
    assert expected <= names
    counts = sum(np.bincount(recording.labels, minlength=3) for recording in recordings)
    assert len(recordings[0].classes) == 3
    np.testing.assert_allclose(counts, len(recordings) / len(counts) * len(recordings[0].samples), rtol=0.05)
    if "header" not in kind:
        assert all(channel.unit == "m/s2" for channel in recordings[0].channels if channel.name.startswith("acc"))
    split = split_recordings(recordings, config.split, seed=0)
    assert len({r.person for r in split.test}) == len({r.person for r in split.validation}) == 1
    check_samples(recordings)


def check_samples(recordings: list[Recording]) -> None:
    for recording in recordings:
        acc = recording.samples[:, :3]
        assert np.isnan(acc).mean() < 0.02
        assert 9 < np.nanmedian(np.linalg.norm(acc, axis=1)) < 11


def test_many_rows_of_a_class_are_counted_to_the_row(tmp_path: Path) -> None:
    labelled = pl.concat([motion(0).drop("timestamp")] * 20)
    write(tmp_path / "data", {f"s{i}.csv": csv(labelled) for i in range(3)})
    text, _ = write_draft(tmp_path / "data", tmp_path / "mine.yaml")
    amounts = [line.partition("#")[2].split()[0] for line in text.splitlines() if line.endswith(" rows")]
    assert sum(int(amount.replace(",", "")) for amount in amounts) == 60 * len(motion(0))
    assert any("," in amount for amount in amounts)


def test_what_the_files_do_not_tell_is_said(tmp_path: Path) -> None:
    write(tmp_path / "data", {f"s{i}.csv": csv(motion(i).drop("timestamp", "activity")) for i in range(3)})
    text, found = write_draft(tmp_path / "data", tmp_path / "mine.yaml")
    assert [each.partition(":")[0] for each in unsaid(found)] == ["dataset.tabular.rate_hz", "dataset.tabular.labels"]
    assert "not told by the files" in text
    load_config(tmp_path / "mine.yaml")  # a configuration all the same
    with pytest.raises(SourceError, match="no column WRITE_ME: there are acc_x"):
        next(open_source(tmp_path / "mine.yaml").recordings())


@pytest.mark.parametrize(("files", "test"), [(("s1/a", "s1/b", "s2/c"), 1), (("s1", "s2"), 2), (("s1",), 1)])
def test_with_few_people_recordings_or_their_ends_are_tested_on(
    tmp_path: Path, files: tuple[str, ...], test: int
) -> None:
    write(tmp_path / "data", {f"{name}.csv": csv(motion(i)) for i, name in enumerate(files)})
    write_draft(tmp_path / "data", tmp_path / "mine.yaml")
    split = load_config(tmp_path / "mine.yaml").split
    parts = split_recordings(list(open_source(tmp_path / "mine.yaml").recordings()), split, seed=0)
    assert len(parts.test) == len(parts.validation) == test
    assert len(parts.train) == (1 if len(files) == 3 else len(files))


def test_nobody_is_named(tmp_path: Path) -> None:
    frame = motion(0)
    files = {f"{name}/data.csv": csv(frame.filter(pl.col("activity") == name).drop("activity")) for name in ACTIVITIES}
    write(tmp_path / "data", files | {name.replace("/", "/old/"): content for name, content in files.items()})
    text, found = write_draft(tmp_path / "data", tmp_path / "mine.yaml")
    assert [each.partition(":")[0] for each in unsaid(found)] == ["dataset.tabular.person"], text
    assert {recording.person for recording in open_source(tmp_path / "mine.yaml").recordings()} == {"somebody"}


def test_of_two_sensors_files_one_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "data", {f"{s}_s{i}.csv": csv(motion(i)) for i in range(3) for s in ("gyro", "acc")})
    _, found = draft(tmp_path / "data")
    assert found.names.pattern == "acc_{person}.csv"
    assert list(found.others.values()) == [("gyro_s0.csv", "gyro_s1.csv", "gyro_s2.csv")]


def test_names_that_yaml_would_misread_come_back(tmp_path: Path) -> None:
    labels = np.resize(np.repeat(["no", "1e3", "a: b", "#x", "ü"], 20), len(LABELS))
    frame = motion(0).with_columns(pl.Series("activity", labels)).rename({"acc_x": "y"})
    write(tmp_path / "data", {f"{who}.csv": csv(frame) for who in ("yes", "007", "s: #")})
    write_draft(tmp_path / "data", tmp_path / "mine.yaml")
    source = open_source(tmp_path / "mine.yaml")
    assert set(source.classes) == set(labels)
    assert {recording.person for recording in source.recordings()} == {"yes", "007", "s: #"}
    load_config(tmp_path / "mine.yaml")


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    write(tmp_path / "data", {f"{who}.csv": csv(motion(1)) for who in PEOPLE})
    (tmp_path / "mine.yaml").write_text("precious")
    with pytest.raises(SourceError, match=r"mine\.yaml: is there already: name another, or say --overwrite"):
        write_draft(tmp_path / "data", tmp_path / "mine.yaml")
    assert (tmp_path / "mine.yaml").read_text() == "precious"
    write_draft(tmp_path / "data", tmp_path / "mine.yaml", overwrite=True)
    load_config(tmp_path / "mine.yaml")


@pytest.mark.parametrize("content", [{}, {"notes.txt": "nothing to see\nhere\n"}, {"a.csv": "name,city\nx,y\nz,w\n"}])
def test_a_folder_with_nothing_usable(tmp_path: Path, content: dict[str, str | bytes]) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(SourceError, match="holds no recordings: not one CSV, TSV, text, Parquet, NPZ or MAT file"):
        draft(write(tmp_path / "data", content))


@pytest.mark.parametrize(
    ("names", "known", "pattern"),
    [
        (["s01/a.csv", "s02/b.csv"], [], "{person}/{recording}.csv"),
        (["data/s01.csv", "data/s02.csv"], [], "data/{person}.csv"),
        (["anna.csv", "ben-2.csv"], [], "{person}.csv"),
        (["acc_exp01_user01.txt", "acc_exp02_user01.txt", "acc_exp03_user02.txt"], [], "acc_{recording}_{person}.txt"),
        (["subject_1_walk.csv", "subject_2_sit.csv", "subject_1_sit.csv"], [], "subject_{person}_{label}.csv"),
        (["subject_1_walk.csv", "subject_2_sit.csv"], ["label"], "subject_{person}_{recording}.csv"),
        (["train/1/a.csv", "test/2/b.csv"], ["label"], "{split}/{person}/{recording}.csv"),
        (["walk/s1.csv", "sit/s1.csv", "walk/s2.csv"], [], "{label}/{person}.csv"),
        (["x/s1/a.csv", "s2/b.csv"], ["label"], "**/{person}/{recording}.csv"),
        (["2024-05-01.csv", "2024-05-02.csv"], ["person"], "2024-05-{recording}.csv"),
        (["all.csv"], ["person"], "all.csv"),
        (["s1_a_b.csv", "s2_c.csv"], [], "{person}_{recording}.csv"),
        (["subject1_walk/S1.dat", "subject1_sit/S1.dat", "subject2_walk/S1.dat"], [], "{person}_{label}/S1.dat"),
        (["walk/old/1.csv", "sit/1.csv", "sit/2.csv"], ["person"], "{label}/**/{recording}.csv"),
        (["session1/a.csv", "session2/a.csv"], ["label"], "{recording}/a.csv"),
    ],
)
def test_parts_of_names(names: list[str], known: list[str], pattern: str) -> None:
    assert guess_names(names, known).pattern == pattern


@given(
    st.lists(st.text("ab1_-/. {}*s", min_size=1, max_size=12), min_size=1, max_size=6, unique=True),
    st.sets(st.sampled_from(["person", "recording", "label"])),
)
@settings(max_examples=200, deadline=None)
def test_a_guessed_pattern_matches_every_file(stems: list[str], known: set[str]) -> None:
    names = [f"{'/'.join(filter(None, stem.split('/'))) or 'x'}.csv" for stem in stems]
    pattern = compiled(guess_names(names, known).pattern)
    assert all(pattern.fullmatch(name) for name in names)
    assert not known & set(pattern.groupindex)


def test_the_command_prints_or_writes_and_says_what_is_open(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from kinestream.commands.main import root

    write(tmp_path / "data", {f"{who}.csv": csv(motion(1).drop("activity")) for who in PEOPLE})
    printed = CliRunner().invoke(root, ["datasets", "describe", str(tmp_path / "data")])
    assert printed.exit_code == 0, printed.output
    assert printed.stdout.startswith("# The first draft")
    assert "please check: dataset.tabular.labels" in printed.stderr
    out = tmp_path / "mine.yaml"
    told = CliRunner().invoke(root, ["datasets", "describe", str(tmp_path / "data"), "--out", str(out), "--json"])
    content = json.loads(told.stdout)
    assert content["path"] == str(out)
    assert content["yaml"] == out.read_text()
    assert len(content["to_check"]) == 1
