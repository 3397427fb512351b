"""Numbers come back as written, whatever the blanks; a malformed table is named by line and column."""

import contextlib

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinestream.model.datasets.text import read_csv, read_table
from kinestream.model.errors import SourceError

NUMBERS = st.one_of(st.floats(width=32, allow_infinity=False), st.integers(-9999, 9999).map(float))
FORMATS = ("{!r}", "{:.8e}", "{:+.9g}")


@given(data=st.data(), width=st.integers(1, 6), rows=st.integers(1, 6), form=st.sampled_from(FORMATS))
def test_any_blanks_give_the_same_numbers(data: st.DataObject, width: int, rows: int, form: str) -> None:
    table = data.draw(st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=rows, max_size=rows))
    blanks = st.sampled_from([" ", "  ", "   ", "\t"])
    lines = []
    for row in table:
        gaps = data.draw(st.lists(blanks, min_size=width + 1, max_size=width + 1))
        ends = data.draw(st.tuples(st.booleans(), st.booleans()))
        words = [form.format(value) for value in row]
        text = "".join(gap + word for gap, word in zip(gaps, words, strict=False))
        lines.append((text if ends[0] else text.lstrip()) + (gaps[-1] if ends[1] else ""))
    text = data.draw(st.sampled_from(["\n", "\r\n"])).join(lines) + data.draw(st.sampled_from(["", "\n", "\n\n"]))
    read = read_table(text.encode(), "f", dtype=np.float64).to_numpy()
    np.testing.assert_allclose(read, np.array(table), rtol=1e-8, atol=0)


def test_only_the_wanted_columns_and_some_exactly() -> None:
    frame = read_table(b"1 2 16777217 4\n5 6 16777219 8\n", "f", columns=[2, 0], exact=[2])
    assert frame.columns == ["0", "2"]
    assert frame["2"].to_list() == [16777217, 16777219]
    assert frame["0"].dtype == pl.Float32


def test_exponents_of_three_digits_and_missing_values() -> None:
    frame = read_table(b"  1.8085150e-004 -1.0e+002\n  NaN  2.5000000e+000\n", "f")
    np.testing.assert_allclose(frame.to_numpy(), [[1.808515e-4, -100], [np.nan, 2.5]], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"1 2 3\n4 x5 6\n", r"f: line 2, column 2: 'x5' is not a number"),
        (b"1 2 3\n4 5\n7 8 9\n", r"f: line 2 has 2 columns where 3 belong"),
        (b"1 2 3\n4 5 6 7\n", r"f: line 2 has 4 columns where 3 belong"),
        (b"1 2 3\n\n4 5 6\n", r"f: line 2 has 0 columns where 3 belong"),
        (b"1 2 3\n4 5 1.2.3\n", r"f: line 2, column 3: '1.2.3' is not a number"),
        (b"", r"f: holds no rows"),
        (b"\n \n", r"f: holds no rows"),
        (b"1 2 3\n4 5 \xff\n", r"f: line 2, column 3: .* is not a number"),
        (b"1,2,3\n", r"f: line 1 has 1 columns where 3 belong"),
    ],
)
def test_malformed_tables(text: bytes, problem: str) -> None:
    with pytest.raises(SourceError, match=problem) as error:
        read_table(text, "f", width=3)
    assert "\n" not in str(error.value)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    with contextlib.suppress(SourceError):  # anything else would be ours
        read_table(text, "f")


@pytest.mark.parametrize(("row", "columns"), [(b"7 8", 2), (b"7 8 9 10", 4), (b"7 8 9 1 2 3", 6), (b"", 0)])
def test_a_row_of_another_length_shows_whatever_columns_are_wanted(row: bytes, columns: int) -> None:
    with pytest.raises(SourceError, match=f"line 3 has {columns} columns where 3 belong"):
        read_table(b"1 2 3\n4 5 6\n" + row + b"\n1 2 3\n", "f", columns=[0], width=3)


TYPES = {"x": np.float64, "t": np.int64, "label": "U8"}


def test_csv_columns_are_found_by_name() -> None:
    columns = read_csv(b"label,extra,t,x\nA,1,1657544418323,0.5\n", "f", TYPES)
    assert [column.tolist() for column in columns.values()] == [[0.5], [1657544418323], ["A"]]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"x,t\n1,2\n", "line 1: no column label"),
        (b"x,t,label\n1,2,A\noops,2,A\n", r"line 3, column 1: 'oops' is not a number"),
        (b"x,t,label\n1,2,A\n,2,A\n", r"line 3, column 1: '' is not a number"),
        (b"x,t,label\n1,2,A\n1,2\n", r"line 3 has 2 columns where 3 belong"),
        (b"x,t,label\n", "holds no rows"),
        (b"", "line 1: no column x, t, label"),
    ],
)
def test_malformed_csv(text: bytes, problem: str) -> None:
    with pytest.raises(SourceError, match=problem):
        read_csv(text, "f", TYPES)
