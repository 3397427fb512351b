"""What lies beside recordings in a draft: segments and their unit, files that are left out, clocks that start again."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.model.datasets.drafts.test_draft_promise import drafted, keys

PEOPLE = ("P01", "P02", "P03")


def rows(count: int, *, rate: float | None = 100, more: str = "", digits: int = 2, seed: int = 0) -> list[str]:
    """Return rows of time in s where there is a rate, and three channels, each followed by the same."""
    values = np.random.default_rng(seed).normal(0, 1, (count, 3)).round(3).tolist()
    times = [f"{n / rate:.{digits}f}," if rate else "" for n in range(count)]
    return [time + ",".join(map(str, each)) + more for time, each in zip(times, values, strict=True)]


def csv(header: str, *parts: list[str]) -> str:
    return "\n".join([header, *(row for part in parts for row in part)]) + "\n"


# Segments -------------------------------------------------------------------------------------------------------------


def segments(ends: str, marks: tuple[float, ...]) -> str:
    """Return 'walk', 'sit' and so on from each mark to the next, of every person."""
    told = [
        [f"{who},{a:g},{b:g},{'sit' if n % 2 else 'walk'}" for n, (a, b) in enumerate(pairwise(marks))]
        for who in PEOPLE
    ]
    return csv(f"subject,{ends},activity", *told)


def beside(table: str, *, rate: float | None = 100) -> dict[str, str | bytes]:
    """Return recordings of 30 s at 100 Hz and a table of their segments."""
    header = "time,ax,ay,az" if rate else "ax,ay,az"
    return {"labels.csv": table, **{f"{who}.csv": csv(header, rows(3000, rate=rate)) for who in PEOPLE}}


@pytest.mark.parametrize(
    ("ends", "scale", "unit"),
    [
        ("start_s,end_s", 1, "s"),
        ("start_ms,end_ms", 1000, "ms"),
        ("startSec,endSec", 1, "s"),
        ("start_sample,end_sample", 100, "samples"),
        ("start (us),end (us)", 1e6, "us"),
        ("start,end", 1, "s"),
        ("start,end", 1000, "ms"),
        ("start,end", 100, "samples"),
        ("start,end", 0.999, "s"),
    ],
)
def test_names_and_lengths_tell_what_segments_count(tmp_path: Path, ends: str, scale: float, unit: str) -> None:
    table = segments(ends, tuple(round(scale * mark, 3) for mark in (0, 10, 20, 30)))
    text, said, _, recordings = drafted(tmp_path, beside(table.replace("e+07", "0000000")))
    assert said == [], text
    assert f"unit: {unit}  # by" in text
    assert [(each.labels >= 0).mean() > 0.99 for each in recordings] == [True] * 3


@pytest.mark.parametrize(
    ("ends", "marks", "unit", "told"),
    [
        ("start,end", (0, 2, 4), "s", "neither their names nor the length"),
        ("start_ms,end_ms", (0, 10, 20, 30), "ms", "reach only 0.1% of a recording"),
        ("start_s,end_s", (0, 1000, 2000, 3000), "samples", "say s, which does not fit the length"),
        ("start_row,end_row", (0, 9.5, 29.5), "s", "say samples, which does not fit the length"),
    ],
)
def test_where_neither_tells_what_segments_count_it_is_said(
    tmp_path: Path, ends: str, marks: tuple[float, ...], unit: str, told: str
) -> None:
    _, said, config, _ = drafted(tmp_path, beside(segments(ends, marks)))
    assert keys(said) == ["labels.segments.unit"]
    assert told in said[0]
    assert config.dataset.tabular is not None
    assert config.dataset.tabular.labels.segments is not None
    assert config.dataset.tabular.labels.segments.unit == unit


@pytest.mark.parametrize(
    ("ends", "told"), [("start_s,end_s", ["rate_hz"]), ("start,end", ["rate_hz", "labels.segments.unit"])]
)
def test_without_times_segments_in_seconds_are_read_at_the_rate_they_give(
    tmp_path: Path, ends: str, told: list[str]
) -> None:
    _, said, _, recordings = drafted(tmp_path, beside(segments(ends, (0, 10, 20, 30)), rate=None))
    assert keys(said) == told
    assert recordings[0].rate_hz == 100
    assert (recordings[0].labels >= 0).all()


def test_segments_are_given_to_the_recordings_that_they_name(tmp_path: Path) -> None:
    table = csv("subject,start_s,end_s,activity", ["P01,0,30,walk", "P02,0,30,sit", "P02,5,9,walk"])
    _, said, _, recordings = drafted(tmp_path, beside(table))
    walking = recordings[0].classes.index("walk")
    assert [np.mean(each.labels == walking).round(2) for each in recordings] == [1.0, 0.13, 0.0]
    assert said == ["dataset.tabular.labels.segments.recording: subject names no segments of P03"]


def test_that_every_recording_is_given_all_segments_is_said(tmp_path: Path) -> None:
    table = csv("subject,start_s,end_s,activity", ["anna,0,30,walk", "ben,0,30,sit"])
    _, said, _, _ = drafted(tmp_path, beside(table))
    assert keys(said) == ["labels.segments.recording"]
    assert said[0].endswith("such as P01: each is given all segments")


# Clocks that start again ----------------------------------------------------------------------------------------------


def bouts(count: int, length: int, more: str, *, digits: int = 2) -> list[str]:
    half = length // 2
    each = [",walk"] * half + [",sit"] * (length - half)
    one = [row + what + more for row, what in zip(rows(length, rate=50, digits=digits), each, strict=True)]
    return one * count


@pytest.mark.parametrize("column", ["subject", "session", "participant_id"])
@pytest.mark.parametrize("digits", [2, 4])
def test_clocks_are_looked_at_for_each_division(tmp_path: Path, column: str, digits: int) -> None:
    parts = [bouts(1, 1500 - 100 * n, f",{who}", digits=digits) for n, who in enumerate(PEOPLE)]
    text, said, config, recordings = drafted(tmp_path, {"all.csv": csv(f"time,ax,ay,az,activity,{column}", *parts)})
    assert keys(said) == (["person"] if column == "session" else []), text
    assert config.dataset.tabular is not None
    assert config.dataset.tabular.time is not None
    assert [(each.rate_hz, len(each.samples)) for each in recordings] == [(50, 1500), (50, 1400), (50, 1300)]


@pytest.mark.parametrize("length", [1500, 300, 40])
@pytest.mark.parametrize("header", ["time,ax,ay,az,activity", "time,ax,ay,az,activity,subject"])
def test_a_clock_that_starts_again_where_nothing_divides_is_said(tmp_path: Path, length: int, header: str) -> None:
    divided = header.endswith("subject")
    files = {"all.csv": csv(header, *(bouts(4, length, f",{who}" if divided else "") for who in PEOPLE))}
    text, said, config, recordings = drafted(tmp_path, files)
    assert keys(said) == (["time"] if divided else ["person", "time"]), text
    assert f"time steps back {9 if divided else 11} times" in said[-1]
    assert config.dataset.tabular is not None
    assert (config.dataset.tabular.time, config.dataset.tabular.rate_hz) == (None, 50)
    assert sum(len(each.samples) for each in recordings) == 12 * length


def test_halves_in_another_order_are_no_new_start(tmp_path: Path) -> None:
    whole = bouts(1, 1500, "")
    files = {f"{who}.csv": csv("time,ax,ay,az,activity", whole[700:], whole[:700]) for who in ("s01", "s02", "s03")}
    _, said, config, _ = drafted(tmp_path, files)
    assert said == []
    assert config.dataset.tabular is not None
    assert config.dataset.tabular.time is not None


# Files that are left out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            {f"s{n}/gyr.csv": None for n in range(6)},
            "6 files, s0/gyr.csv, s1/gyr.csv, ..., s5/gyr.csv: another sensor's",
        ),
        ({f"s{n}/gyr.csv": "time,gx,gy\n0,1,2\n1,2,3\n" for n in range(2)}, "s0/gyr.csv, s1/gyr.csv: other columns"),
        ({"s0/empty.csv": ""}, "s0/empty.csv: empty or no table"),
        (
            {"s0/acc.tsv": csv("time,ax,ay,az,activity", bouts(1, 200, "")).replace(",", "\t")},
            "s0/acc.tsv: other columns",
        ),
        (
            {"s3/acc.csv": csv("time;ax;ay;az;activity", bouts(1, 90, "")).replace(",", ";")},
            "s3/acc.csv: other columns",
        ),
        ({"notes.pdf": "%PDF"}, "notes.pdf: no kind of file"),
    ],
)
def test_files_that_are_left_out_are_said(tmp_path: Path, more: dict[str, str | None], told: str) -> None:
    content = csv("time,ax,ay,az,activity", bouts(1, 300, ""))
    files: dict[str, str | bytes] = {f"s{n}/acc.csv": content for n in range(6)}
    files |= {name: content if each is None else each for name, each in more.items()}
    _, said, _, recordings = drafted(tmp_path, files)
    assert len(recordings) == (5 if "s3/acc.csv" in more else 6)
    assert [each for each in said if each.startswith(f"left out: {told}")] == [each for each in said if "left" in each]
    assert sum("left out" in each for each in said) == 1
