"""Every format and every layout that a description can say gives the recordings that were written."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from kinestream.model.config.training import KNOWN_DATASETS
from kinestream.model.datasets import dataset_infos, open_source
from kinestream.model.datasets.source import READERS
from kinestream.model.recordings.recording import UNLABELLED, Channel
from tests.given.tables import CLASSES, CODES, LABELS, ROWS, check, csv, described, only, opened, signal, write

BY_POSITION = {"ax": {"column": 1, "unit": "g"}, "ay": {"column": 2, "unit": "g"}}


# Formats --------------------------------------------------------------------------------------------------------------


def test_csv(tmp_path: Path) -> None:
    source = opened(tmp_path, {"anna.csv": csv(), "ben.csv": csv(1)})
    assert source.ids == ("anna", "ben")
    assert (source.info.name, source.rate_hz, source.task, source.info.people) == ("mine", 50, "activities", 2)
    anna, ben = source.recordings()
    check(anna)
    check(ben, seed=1)
    assert (anna.person, anna.dataset, anna.split, anna.null_class) == ("anna", "mine", None, None)


@pytest.mark.parametrize("blanks", ["\t", "  ", " \t "])
def test_tsv_and_blanks(tmp_path: Path, blanks: str) -> None:
    content = csv().replace(",", blanks)
    name = "anna.tsv" if blanks == "\t" else "anna.txt"
    check(only(tmp_path, content, name, files="{person}.tsv" if blanks == "\t" else "{person}.txt"))


def frame() -> pl.DataFrame:
    x = signal()
    return pl.DataFrame({"ax": x[:, 0].astype(np.float32), "ay": x[:, 1], "activity": LABELS})


def test_parquet(tmp_path: Path) -> None:
    content = io.BytesIO()
    frame().write_parquet(content)
    check(only(tmp_path, content.getvalue(), "anna.parquet", files="{person}.parquet"))


def test_parquet_with_types_of_its_own(tmp_path: Path) -> None:
    """Date-times, categories and missing values as a data frame stores them."""
    start = np.datetime64("2024-05-01T12:00:00", "ms")
    typed = frame().with_columns(
        pl.col("activity").cast(pl.Categorical),
        pl.Series("when", start + np.arange(ROWS) * 20),
        pl.Series("ax", [None, *signal()[1:, 0]], dtype=pl.Float64),
    )
    content = io.BytesIO()
    typed.write_parquet(content)
    recording = only(
        tmp_path, content.getvalue(), "anna.pq", files="{person}.pq", time={"column": "when", "unit": "iso"}
    )
    assert np.isnan(recording.samples[0, 0])
    np.testing.assert_array_equal(recording.samples[1:], signal()[1:])
    np.testing.assert_array_equal(recording.labels, CODES)
    assert recording.timestamps[0] == start.astype("datetime64[ns]").astype(np.int64)


def test_npz_with_columns_and_arrays_of_their_own(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.savez(content, imu=signal(), ay=signal()[:, 1], activity=LABELS)
    channels = {"ax": {"variable": "imu", "column": 1, "unit": "g"}, "ay": {"unit": "g"}}
    check(only(tmp_path, content.getvalue(), "anna.npz", files="{person}.npz", channels=channels))


def test_npz_with_a_channel_per_row(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.savez(content, imu=signal().T, y=CODES[None])
    channels = {name: {"variable": "imu", "column": at, "unit": "g"} for at, name in enumerate(("ax", "ay"), start=1)}
    labels = {"column": "y", "names": {0: "WALKING", 1: "SITTING"}}
    check(
        only(
            tmp_path,
            content.getvalue(),
            "anna.npz",
            files="{person}.npz",
            channels=channels,
            labels=labels,
            transposed=True,
        )
    )


def test_mat_with_structs_and_codes_that_are_floats(tmp_path: Path) -> None:
    content = io.BytesIO()
    scipy.io.savemat(content, {"data": {"imu": signal(), "code": (CODES + 1.0)[:, None]}, "subject": "anna"})
    channels = {
        name: {"variable": "data.imu", "column": at, "unit": "g"} for at, name in enumerate(("ax", "ay"), start=1)
    }
    labels = {"variable": "data.code", "names": {1: "WALKING", 2: "SITTING"}}
    check(only(tmp_path, content.getvalue(), "anna.mat", files="{person}.mat", channels=channels, labels=labels))


def test_mat_with_texts_of_different_length(tmp_path: Path) -> None:
    for texts in (LABELS, LABELS.astype(object)):
        content = io.BytesIO()
        scipy.io.savemat(content, {"ax": signal()[:, 0], "ay": signal()[:, 1], "activity": texts})
        check(only(tmp_path, content.getvalue(), "anna.mat", files="{person}.mat"))


def test_the_format_said_goes_before_the_files_name(tmp_path: Path) -> None:
    check(only(tmp_path, csv(), "anna.log", files="{person}.log", format="csv"))


def test_zip_and_folder_hold_the_same(tmp_path: Path) -> None:
    write(tmp_path / "data.zip", {"deep/er/anna.csv": csv()})
    config = described(tmp_path, files="**/{person}.csv")
    config.write_text(config.read_text().replace('"data"', '"data.zip"'))
    (recording,) = open_source(config).recordings()
    assert recording.id == "deep_er_anna"
    check(recording)


def test_paths_are_named_from_the_folder_of_the_yaml_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "there" / "data", {"anna.csv": csv()})
    described(tmp_path / "there")
    monkeypatch.chdir(tmp_path)
    check(next(open_source("there/mine.yaml").recordings()))
    text = Path("there/mine.yaml").read_text().replace('"source": "data",', "").replace('"{person}', '"data/{person}')
    Path("there/mine.yml").write_text(text)
    check(next(open_source("there/mine.yml").recordings()))  # without a source, the folder itself


# Text -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (csv().replace(",", ";"), {"separator": ";"}),
        (csv().replace(",", ";").replace(".", ","), {"separator": ";", "decimal": ","}),
        ("logger 3.1, 50 Hz\n\n" + csv(), {"skip_rows": 2}),
        ("# a,b\n" + csv().replace("\n", "\n# battery 80%\n", 3), {"comment": "#"}),
        (csv().replace("\n", "\r\n"), {}),
        (csv().replace("\n", "\n\n"), {}),
        ("\ufeff" + csv(), {}),
        (csv().removesuffix("\n"), {}),
        (csv().replace("ax,ay", ' ax , "ay"').replace("WALKING", ' "WALKING"').replace(' "', '"'), {}),
    ],
)
def test_text_is_laid_out_as_said(tmp_path: Path, content: str, text: dict[str, Any]) -> None:
    check(only(tmp_path, content, text=text))


def test_text_without_a_header(tmp_path: Path) -> None:
    content = csv().partition("\n")[2]
    labels = {"column": 3, "classes": CLASSES}
    check(only(tmp_path, content, text={"header": False}, channels=BY_POSITION, labels=labels))


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_text_in_another_encoding(tmp_path: Path, encoding: str) -> None:
    content = csv(header="ax (m/s²),ay,Tätigkeit").encode(encoding)
    channels = {"ax": {"column": "ax (m/s²)", "unit": "g"}, "ay": {"unit": "g"}}
    labels = {"column": "Tätigkeit", "classes": CLASSES}
    check(only(tmp_path, content, channels=channels, labels=labels, text={"encoding": encoding}))


def test_missing_values(tmp_path: Path) -> None:
    content = "ax,ay,activity\n1,,WALKING\nNaN,2,\n-999.0,?,SITTING\n4,-9990,none\n"
    recording = only(
        tmp_path, content, missing=["NaN", -999, "?"], labels={"column": 3, "classes": CLASSES, "ignore": ["none"]}
    )
    np.testing.assert_array_equal(recording.samples, [[1, np.nan], [np.nan, 2], [np.nan, np.nan], [4, -9990]])
    assert recording.labels.tolist() == [0, UNLABELLED, 1, UNLABELLED]


def test_channels_are_renamed_reordered_and_converted(tmp_path: Path) -> None:
    channels = {"y": "ay", "x": {"column": 1, "factor": 9.8, "offset": -1, "unit": "m/s2"}}
    recording = only(tmp_path, csv(), channels=channels)
    assert recording.channels == (Channel("y"), Channel("x", "m/s2"))
    x = signal()
    np.testing.assert_array_equal(recording.samples, np.column_stack([x[:, 1], 9.8 * x[:, 0] - 1]).astype(np.float32))


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_layout_of_text_gives_the_same(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    separator = data.draw(st.sampled_from([",", ";", "\t", "|", " "]))
    decimal = "." if separator == "," else data.draw(st.sampled_from([".", ","]))
    header, skipped = data.draw(st.booleans()), data.draw(st.integers(0, 3))
    comment = data.draw(st.sampled_from([None, "#", "//"]))
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    names, *rows = csv().splitlines()
    lines = [row.replace(".", decimal) if decimal == "." else row.replace(",", ";").replace(".", ",") for row in rows]
    lines = [line.replace(";" if decimal == "," else ",", separator) for line in lines]
    if header:
        lines.insert(0, names.replace(",", separator))
    for at in sorted(data.draw(st.sets(st.integers(0, len(lines)))), reverse=True):
        lines.insert(at, data.draw(st.sampled_from(["", "  ", *([f"{comment} 1{separator}2"] if comment else [])])))
    content = end.join([*(["what, ever;"] * skipped), *lines]) + data.draw(st.sampled_from(["", end, end + end]))
    text = {"separator": separator, "decimal": decimal, "header": header, "skip_rows": skipped, "comment": comment}
    labels = {"column": 3, "classes": CLASSES}
    folder = tmp_path_factory.mktemp("layout")
    check(only(folder, content, text=text, channels=BY_POSITION, labels=labels))


# The cache ------------------------------------------------------------------------------------------------------------


def test_a_description_that_says_otherwise_is_read_anew(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"anna.csv": csv()}
    check(opened(tmp_path, files).read("anna"))
    swapped = {"ax": {"column": "ay", "unit": "g"}, "ay": {"column": "ax", "unit": "g"}}
    np.testing.assert_array_equal(opened(tmp_path, files, channels=swapped).read("anna").samples, signal()[:, ::-1])
    segments = {"classes": CLASSES, "segments": {"files": "said.csv", "unit": "samples"}}
    for end in (3, 7):
        source = opened(tmp_path, files | {"said.csv": f"start,end,label\n0,{end},SITTING\n"}, labels=segments)
        assert (source.read("anna").labels == 1).sum() == end


def test_a_name_of_ones_own_is_no_readers() -> None:
    assert tuple(reader.info.name for reader in READERS) == KNOWN_DATASETS == tuple(i.name for i in dataset_infos())
