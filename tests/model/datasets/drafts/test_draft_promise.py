"""What the files do not tell is said and marked in a draft, and what is drafted can be read back."""

import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from kinestream.model.config.file import load_config
from kinestream.model.config.training import TrainConfig
from kinestream.model.datasets import Recording, open_source
from kinestream.model.datasets.drafts.doubts import unsaid
from kinestream.model.datasets.drafts.write import draft, write_draft
from kinestream.model.errors import SourceError
from tests.given.tables import write

ROWS = 160
LABELS = np.repeat(["walking", "sitting"], ROWS // 2)
PEOPLE = ("s01", "s02", "s03")


def table(seed: int = 0, *, times: object = None, header: str = "t_ms,ax,ay,az,activity", label: bool = True) -> str:
    """Return a recording at 50 Hz as CSV."""
    values = np.random.default_rng(seed).normal(0, 1, (ROWS, 3)).round(3).tolist()
    stamps = np.arange(ROWS) * 20 if times is None else np.asarray(times)
    lines = [header if label else header.rpartition(",")[0]]
    for stamp, row, said in zip(stamps.tolist(), values, LABELS, strict=True):
        lines.append(",".join(map(str, [stamp, *row, *([said] if label else [])])))
    return "\n".join(lines) + "\n"


def drafted(at: Path, files: dict[str, str | bytes]) -> tuple[str, list[str], TrainConfig, list[Recording]]:
    """Draft, and read the draft back as its user would: the text, what is said, the configuration, the recordings."""
    write(at / "data", files)
    text, found = write_draft(at / "data", at / "mine.yaml")
    config = load_config(at / "mine.yaml")
    for each in unsaid(found):
        assert f"# please check: {each}" in text
    recordings = list(open_source(at / "mine.yaml").recordings()) if found.labels else []
    return text, unsaid(found), config, recordings


def keys(said: list[str]) -> list[str]:
    return [each.partition(":")[0].removeprefix("dataset.tabular.") for each in said]


def no_person_on_both_sides(config: TrainConfig, recordings: list[Recording]) -> bool:
    held = {*config.split.test, *config.split.validation}  # type: ignore[misc]
    people = {each.person for each in recordings if each.person in held or each.id in held}
    return not any(each.person in people and not {each.person, each.id} & held for each in recordings)


# Who, and what was done -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deep", ["a{a:02}/p{p}/s{s:02}.txt", "p{p}/a{a:02}/s{s:02}.txt", "act{a}/person_{p}/s{s}.txt"])
def test_a_folder_that_is_called_a_person_wins_and_nothing_is_told_apart_wrongly(tmp_path: Path, deep: str) -> None:
    values = np.random.default_rng(0).normal(0, 1, (3, 25, 3)).round(3).tolist()
    rows = ["\n".join(",".join(map(str, row)) for row in each) for each in values]
    files = {deep.format(a=a, p=p, s=s): rows[s - 1] + "\n" for a in (1, 2) for p in (1, 2, 3) for s in (1, 2, 3)}
    _, said, config, recordings = drafted(tmp_path, files)
    assert len({each.person for each in recordings}) == 3
    assert len({each.id for each in recordings}) == len(recordings) == 18
    assert keys(said) == ["files", "rate_hz"]  # that a01 is what was done is a guess
    assert {each.person[-1] for each in recordings} == {"1", "2", "3"}
    assert len(recordings[0].classes) == 2
    assert no_person_on_both_sides(config, recordings)


def test_a_number_that_comes_again_is_taken_for_the_person_and_it_is_said(tmp_path: Path) -> None:
    files = {f"{w}_{p:02}_{k:02}.csv": table(p) for w in ("rec", "walk") for p in (1, 2, 3, 4) for k in (0, 1)}
    _, said, config, recordings = drafted(tmp_path, files)
    assert {each.person for each in recordings} == {"01", "02", "03", "04"}
    assert len({each.id for each in recordings}) == 16
    assert keys(said) == ["files"]
    assert "01, 02, 03, ... are people" in said[0]
    assert no_person_on_both_sides(config, recordings)


@pytest.mark.parametrize(
    "names", [["rec_01_00", "walk_01_00"], ["rec_1", "rec_2", "rec_3"], ["2024-05-01", "2024-05-02"]]
)
def test_where_nothing_tells_people_apart_all_is_one_persons_and_it_is_said(tmp_path: Path, names: list[str]) -> None:
    _, said, _, recordings = drafted(tmp_path, {f"{name}.csv": table(i) for i, name in enumerate(names)})
    assert {each.person for each in recordings} == {"somebody"}
    assert len({each.id for each in recordings}) == len(names)
    assert keys(said) == ["person"]


def test_that_every_file_is_anothers_is_said(tmp_path: Path) -> None:
    _, said, _, recordings = drafted(tmp_path, {f"{name}.csv": table() for name in ("anna", "ben", "carl")})
    assert [each.person for each in recordings] == ["anna", "ben", "carl"]
    assert keys(said) == ["files"]
    assert said[0].endswith("anna, ben, carl are people; every file counts as another person's")


@pytest.mark.parametrize("pattern", ["{p}/{w}.csv", "{w}/{p}.csv", "{p}_{w}.csv", "{w}-{p}.csv"])
@pytest.mark.parametrize("words", [("walk", "sit"), ("WALKING", "lying down"), ("climbing", "rope")])
def test_activities_are_known_from_people(tmp_path: Path, pattern: str, words: tuple[str, ...]) -> None:
    files = {pattern.format(p=p, w=w): table(label=False) for p in ("anna", "ben", "carl") for w in words}
    _, said, _, recordings = drafted(tmp_path, files)
    assert {each.person for each in recordings} == {"anna", "ben", "carl"}
    assert set(recordings[0].classes) == set(words)
    assert keys(said) == ["files"]


def test_that_people_are_too_few_to_test_on_strangers_is_said(tmp_path: Path) -> None:
    _, said, _, recordings = drafted(tmp_path, {f"s{p}/{k}.csv": table(k) for p in (1, 2) for k in (1, 2)})
    assert {each.person for each in recordings} == {"s1", "s2"}
    assert said == ["split: s1 and s2 are too few to test on strangers: parts of them are held out"]


def test_one_activity_only_is_said(tmp_path: Path) -> None:
    write(tmp_path / "data", {f"{p}/walk.csv": table(label=False) for p in ("anna", "ben")})
    text, found = draft(tmp_path / "data")
    assert found.names.pattern == "{person}/{label}.csv"
    assert keys(unsaid(found)) == ["files", "labels", "split"]
    assert "classes: [walk, WRITE_ME]" in text


def test_words_that_nobody_knows_are_guessed_and_said(tmp_path: Path) -> None:
    files = {f"{p}/{w}.csv": table(label=False) for p in ("anna", "ben", "carl") for w in ("foo", "bar")}
    _, said, _, recordings = drafted(tmp_path, files)
    assert {each.person for each in recordings} == {"anna", "ben", "carl"}
    assert keys(said) == ["files", "files"]


# Files that are damaged or of another kind ----------------------------------------------------------------------------


def parquet() -> bytes:
    content = io.BytesIO()
    pl.DataFrame({"t": [1, 2, 3], "x": [1.0, 2.0, 3.0]}).write_parquet(content)
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("s01.csv", table()[:-12], "s01.csv: line 161 has 4 columns where 5 belong"),
        ("a/s01.tsv", table().replace(",", "\t") + "3980\t0.1", "a/s01.tsv: line 162 has 2 columns where 5 belong"),
        ("s01.csv", (table() * 9)[:-30], "s01.csv: line 1449 has 1 columns where 5 belong"),
        ("s01.parquet", parquet()[:-9], "s01.parquet: not a whole Parquet file"),
    ],
)
def test_a_damaged_file_is_told_as_the_reader_tells_it(
    tmp_path: Path, name: str, content: str | bytes, told: str
) -> None:
    with pytest.raises(SourceError) as caught:
        draft(write(tmp_path / "data", {name: content}))
    assert str(caught.value).startswith(f"{tmp_path / 'data'}: holds no recordings that can be read: {told}")
    assert str(caught.value).endswith(": mend it, or take it away")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (table()[:-12], "line 161 has 4 columns"),
        (table().replace("\n100,", "\nlunch,"), "'lunch' is not a time in ms"),
        ("", "empty or no table"),
    ],
)
def test_damaged_files_beside_whole_ones_are_left_out_and_told(tmp_path: Path, content: str, told: str) -> None:
    files: dict[str, str | bytes] = {f"s{i:02}.csv": table(i) for i in range(1, 12)}
    _, said, _, recordings = drafted(tmp_path, files | {"s02.csv": content})
    assert [each.person for each in recordings] == [f"s{i:02}" for i in range(1, 12) if i != 2]
    assert [each.startswith("left out: s02.csv: ") and told in each for each in said] == [True]


def test_files_of_another_kind_that_are_called_alike_are_left_out(tmp_path: Path) -> None:
    files = {f"{who}.csv": table() for who in PEOPLE}
    _, said, _, recordings = drafted(tmp_path, {**files, "people.csv": "name,age\ns01,31\ns02,28\ns03,44\n"})
    assert [each.person for each in recordings] == list(PEOPLE)
    why = "other columns than the recordings' or another layout; its columns are name, age"
    assert said == [f"left out: people.csv: {why}"]


def test_columns_that_do_not_tell_recordings_apart_leave_it_to_the_files(tmp_path: Path) -> None:
    def content(trial: int) -> str:
        head, *rows = table(trial).splitlines()
        halves = [f"{row},{who},{trial}" for who, half in (("x", rows[:80]), ("y", rows[80:])) for row in half]
        return "\n".join([f"{head},user,trial", *halves]) + "\n"

    files = {"one.csv": content(1), "two.csv": content(1), "users.csv": "user,age\nx,1\ny,2\nz,3\n"}
    _, _, _, recordings = drafted(tmp_path, files)
    assert [each.person for each in recordings] == ["x", "y", "x", "y"]
    assert len({each.id for each in recordings}) == 4


def test_files_whose_recordings_would_be_called_alike_are_named(tmp_path: Path) -> None:
    write(tmp_path / "data", {"s1/a b.csv": table(), "s1/a_b.csv": table()})
    with pytest.raises(
        SourceError, match=r"a b\.csv and s1/a_b\.csv both hold a recording s1_a_b: rename one of them$"
    ):
        draft(tmp_path / "data")


# Columns --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("unit", "length"), [("us", 1e-6), ("ms", 1e-3), ("ns", 1e-9)])
@pytest.mark.parametrize("name", ["timestamp_us", "time"])
def test_times_in_bursts_are_told_by_their_size_and_their_rate_by_all_of_them(
    tmp_path: Path, unit: str, length: float, name: str
) -> None:
    rows, per = np.arange(ROWS), 8
    begin, packet = round(1.7e9 / length), round(per * 0.02 / length)
    within = {"us": 10, "ms": 1, "ns": 10_000}[unit]
    times = begin + (rows // per) * packet + (rows % per) * within
    files = {f"{who}.csv": table(times=times, header=f"{name},ax,ay,az,activity") for who in PEOPLE}
    text, said, config, _ = drafted(tmp_path, files)
    assert config.dataset.tabular is not None
    assert config.dataset.tabular.time is not None
    assert (config.dataset.tabular.time.unit, config.dataset.tabular.rate_hz) == (unit, 50), text
    assert keys(said) == ["time"]
    assert "bursts of about 8" in said[0]


def test_times_that_packets_share_give_the_rate_of_the_rows(tmp_path: Path) -> None:
    times = 1_700_000_000_000 + (np.arange(ROWS) // 4) * 80
    _, said, config, _ = drafted(tmp_path, {f"{who}.csv": table(times=times) for who in PEOPLE})
    assert config.dataset.tabular is not None
    assert config.dataset.tabular.rate_hz == 50
    assert keys(said) == ["time"]


def with_column(name: str, values: object) -> str:
    lines = table().splitlines()
    return "\n".join([f"{lines[0]},{name}", *(f"{a},{b}" for a, b in zip(lines[1:], values, strict=True))]) + "\n"  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("code", (LABELS == "sitting").astype(int), "left out code: the same as the label in other words"),
        ("activity_id", np.arange(ROWS) // 20 % 4, ""),
        ("class", np.arange(ROWS) % 3, ""),
        ("height", np.full(ROWS, 171), "left out height: one value throughout each file"),
    ],
)
def test_what_says_the_answer_is_no_channel(tmp_path: Path, name: str, values: object, said: str) -> None:
    _, told, _, recordings = drafted(tmp_path, {f"{who}.csv": with_column(name, values) for who in PEOPLE})
    assert [channel.name for channel in recordings[0].channels] == ["ax", "ay", "az"]
    assert recordings[0].classes == ("sitting", "walking")
    assert told == ([f"dataset.tabular.channels: {said}"] if said else [])


def test_a_column_of_codes_that_change_often_is_the_label_and_no_channel(tmp_path: Path) -> None:
    lines = [f"{20 * n},{np.sin(n):.3f},{np.cos(n):.3f},{n // 4 % 3}" for n in range(ROWS)]
    content = "\n".join(["t_ms,ax,ay,label", *lines]) + "\n"
    _, _, _, recordings = drafted(tmp_path, {f"{who}.csv": content for who in PEOPLE})
    assert [channel.name for channel in recordings[0].channels] == ["ax", "ay"]
    assert len(recordings[0].classes) == 3


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("t_ms,acc,acc,acc,activity", ["acc", "acc_2", "acc_3"]),
        ("t_ms,acc,acc_2,acc,activity", ["acc", "acc_2", "acc_3"]),
        ("t_ms,x,,,activity", ["x", "c3", "c4"]),
        ("t_ms,acc (g),acc (m/s2),acc,activity", ["acc (g)", "acc (m/s2)", "acc"]),
    ],
)
def test_repeated_and_empty_names_are_told_apart(tmp_path: Path, header: str, names: list[str]) -> None:
    _, _, _, recordings = drafted(tmp_path, {f"{who}.csv": table(header=header) for who in PEOPLE})
    assert [channel.name for channel in recordings[0].channels] == names
    assert len(np.unique(recordings[0].samples[3])) == 3


# Long tables ----------------------------------------------------------------------------------------------------------


def long(sensors: tuple[str, ...], columns: str, *, by_sensor: bool = False, timed: bool = True) -> str:
    """Return a table in which sensor k holds values around 10 k."""
    width = columns.count(",") + 1
    rng = np.random.default_rng(0)
    rows = [(n, sensor, ",".join(f"{10 * k + v:.3f}" for v in rng.uniform(-1, 1, width)))
            for n in range(ROWS) for k, sensor in enumerate(sensors)]  # fmt: skip
    rows = sorted(rows, key=lambda row: row[1]) if by_sensor else rows
    lines = [f"{'time,' if timed else ''}sensor,{columns},activity"]
    lines += [f"{f'{20 * n},' if timed else ''}{sensor},{values},{LABELS[n]}" for n, sensor, values in rows]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("by_sensor", [False, True])
@pytest.mark.parametrize(
    ("sensors", "columns", "names"),
    [
        (("acc", "gyro"), "x,y,z", ["acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z"]),
        (("acc_x", "acc_y", "mag_z", "gyro_x"), "value", ["acc_x", "acc_y", "mag_z", "gyro_x"]),
        (("1", "2"), "x,y", ["sensor_1_x", "sensor_1_y", "sensor_2_x", "sensor_2_y"]),
    ],
)
def test_the_sensors_of_a_long_table_are_not_mixed(
    tmp_path: Path, sensors: tuple[str, ...], columns: str, names: list[str], by_sensor: bool
) -> None:
    content = long(sensors, columns, by_sensor=by_sensor)
    text, said, _, recordings = drafted(tmp_path, {f"{who}.csv": content for who in PEOPLE})
    assert sorted(channel.name for channel in recordings[0].channels) == sorted(names), text
    assert recordings[0].rate_hz == 50
    assert recordings[0].samples.shape == (ROWS, len(names))
    each = {channel.name: recordings[0].samples[:, at].mean() for at, channel in enumerate(recordings[0].channels)}
    expected = {name: 10 * (at // (len(names) // len(sensors))) for at, name in enumerate(names)}
    assert each == pytest.approx(expected, abs=1)
    assert not said


def test_of_a_long_table_without_times_one_sensor_is_taken_and_it_is_said(tmp_path: Path) -> None:
    content = long(("acc", "gyro"), "x,y", timed=False)
    _, said, _, recordings = drafted(tmp_path, {f"{who}.csv": content for who in PEOPLE})
    assert [channel.name for channel in recordings[0].channels] == ["acc_x", "acc_y"]
    assert len(recordings[0].samples) == ROWS
    assert keys(said) == ["rate_hz", "channels"]


# What stands before a table -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "before",
    [
        "Logger 1.2\nSubject: 3\nStart: 2024-05-01, 12:00\nUnits: g, g, g\n\n",
        "Logger,v1.2,,,\nSubject,3,,,\nRate,50,Hz,,\n,,,,\n",
        "# made by a logger\nsep=,\n# more, of, it\n\n",
        "".join(f"Key {n};value, {n}\n" for n in range(40)),
    ],
)
def test_a_preamble_of_several_lines_is_left_out(tmp_path: Path, before: str) -> None:
    _, said, _, recordings = drafted(tmp_path, {f"{who}.csv": before + table() for who in PEOPLE})
    assert [channel.name for channel in recordings[0].channels] == ["ax", "ay", "az"]
    assert recordings[0].samples.shape == (ROWS, 3)
    assert not said


def test_a_row_of_units_is_read_as_units(tmp_path: Path) -> None:
    content = table().replace("activity\n", "activity\nms,g,g,m/(s^2),-\n", 1)
    _, said, _, recordings = drafted(tmp_path, {f"{who}.csv": content for who in PEOPLE})
    assert [(channel.name, channel.unit) for channel in recordings[0].channels] == [
        ("ax", "g"),
        ("ay", "g"),
        ("az", "m/s2"),
    ]
    assert recordings[0].samples.shape == (ROWS, 3)
    assert not said


def test_names_in_a_comment_are_names(tmp_path: Path) -> None:
    content = "# " + table().replace(",", " ")
    _, said, _, recordings = drafted(tmp_path, {f"{who}.txt": content for who in PEOPLE})
    assert [channel.name for channel in recordings[0].channels] == ["ax", "ay", "az"]
    assert not said


# One file, and names of drafts ----------------------------------------------------------------------------------------


def test_one_file_is_described_and_a_draft_of_any_name_is_a_configuration(tmp_path: Path) -> None:
    write(tmp_path / "my data", {"s01.csv": table(), "notes.csv": "a,b\nc,d\n"})
    _, found = write_draft(tmp_path / "my data" / "s01.csv", tmp_path / "what i did.yaml")
    assert found.shape.files == ("s01.csv",)
    assert load_config(tmp_path / "what i did.yaml").dataset.name
    (recording,) = open_source(tmp_path / "what i did.yaml").recordings()
    assert recording.samples.shape == (ROWS, 3)
    with pytest.raises(SourceError, match=r"notes\.txt: holds no recordings"):
        draft(write(tmp_path, {"notes.txt": "bought milk\n"}) / "notes.txt")
    with pytest.raises(SourceError, match=r"notes\.pdf: not one CSV, TSV, text, Parquet, NPZ or MAT file"):
        draft(write(tmp_path, {"notes.pdf": "%PDF"}) / "notes.pdf")
