"""Drawings from plain arrays: what they show, that they are the same each time, and that colours can be told apart."""

import math
from xml.etree import ElementTree

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kinestream.model.palette import CLASSES
from kinestream.model.report.colours import SHADES, class_variables, ink_on
from kinestream.model.report.drawing import as_svg, write_png
from kinestream.model.report.figures import (
    Curve,
    Panel,
    Reliability,
    draw_confusion,
    draw_curves,
    draw_division,
    draw_reliability,
)
from kinestream.model.report.strips import Strips, draw_timeline, row_seconds

SVG = "{http://www.w3.org/2000/svg}"


def words_in(svg):
    return [text.text for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@st.composite
def timelines(draw):
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    stride, windows = draw(st.integers(1, 20)), draw(st.integers(1, 60))
    kept = np.flatnonzero(rng.random(windows) < draw(st.floats(0.3, 1.0)))
    last = kept * stride + stride + draw(st.integers(-1, 30))
    return Strips(
        name="anna",
        rate_hz=draw(st.sampled_from([30.0, 50.0])),
        stride=stride,
        truth=rng.integers(-1, 4, size=int(windows * stride + stride + 31)),
        last=last,
        labels=rng.integers(0, 4, size=len(kept)),
        p=rng.random(len(kept)).astype(np.float32),
    )


@given(timelines())
def test_stretches_cover_every_window_once_and_nothing_that_was_skipped(line):
    for stretches, expected in (
        (line.label_stretches(), {int(last): int(label) for last, label in zip(line.last, line.labels, strict=True)}),
        (line.wrong_stretches(), dict.fromkeys(line.last[line.wrong].tolist(), 1)),
    ):
        covered = [(sample, which) for first, last, which in stretches for sample in range(first, last)]
        assert len(covered) == len(dict(covered)) == len(expected) * line.stride
        assert {sample: which for sample, which in covered if sample in set(line.last.tolist())} == expected
    truth = {sample: which for first, last, which in line.truth_stretches() for sample in range(first, last)}
    assert truth == {sample: int(which) for sample, which in enumerate(line.truth) if which >= 0}


@settings(max_examples=10, deadline=None)
@given(timelines(), st.floats(0.5, 40))
def test_a_time_line_of_any_shape_is_drawn_in_rows(line, row_s):
    svg = as_svg(draw_timeline(line, [colour.light for colour in CLASSES[:4]], row_s), "line", "alt")
    assert words_in(svg).count("truth") == max(math.ceil(line.seconds / row_s - 1e-9), 1)


def test_a_row_holds_a_short_recording_whole_and_of_a_long_one_what_can_still_be_seen():
    def lasting(seconds):
        samples = int(seconds * 50)
        last = np.arange(63, samples, 16)
        nothing = np.zeros(len(last), dtype=np.int64)
        return Strips("anna", 50.0, 16, np.zeros(samples, dtype=np.int64), last, nothing, nothing.astype(np.float32))

    assert row_seconds([lasting(13), lasting(9)]) == 13
    assert row_seconds([lasting(140), lasting(9)]) == 70  # two rows, of 219 strides each
    assert row_seconds([lasting(7200)]) == 600  # 12 rows, however fine


def test_a_confusion_is_drawn_with_its_counts_recall_and_precision():
    names = [f"class {i}" for i in range(18)]
    confusion = np.diag(np.arange(101, 119))
    confusion[3, 7] = 7777
    told = words_in(as_svg(draw_confusion(confusion, names), "confusion", "alt"))
    for i, name in enumerate(names):
        assert told.count(name) == 2
        assert str(confusion[i, i]) in told
    assert "7777" in told
    assert told.count("1 %") == 2  # 104 of 7881 in the row, 108 of 7885 in the column
    absent = np.array([[2, 0], [0, 0]])
    assert words_in(as_svg(draw_confusion(absent, ["a", "b"]), "confusion", "alt")).count("-") == 2


def test_calibration_before_and_after_are_both_told():
    edges = np.linspace(0, 1, 4)
    before = Reliability(
        "as trained", edges, np.array([np.nan, 0.5, 0.9]), np.array([np.nan, 0.4, 0.7]), np.array([0, 10, 30]), 0.175
    )
    after = Reliability("after temperature", edges, *[before.accuracy] * 2, before.counts, 0.0)
    told = words_in(as_svg(draw_reliability([before, after]), "reliability", "alt"))
    assert "ECE 0.175 as trained, ECE 0.000 after temperature" in told
    assert {"10", "30"} <= set(told)


def test_a_division_is_drawn_in_per_cent_even_where_there_is_nothing_to_divide():
    panel = Panel("time", (("right", "#1f5fa8", np.array([3.0, 0.0])), ("deleted", "#b5470f", np.array([1.0, 0.0]))))
    told = words_in(as_svg(draw_division(["a", "b"], [panel, panel]), "division", "alt"))
    assert told.count("75 %") == told.count("deleted") == 2


def test_a_drawing_is_the_same_each_time_and_its_names_are_its_own(tmp_path):
    def drawn(name):
        return as_svg(draw_curves([Curve("loss", np.geomspace(2, 0.1, 9))], 8, "loss"), name, 'so <b>"it"</b> runs')

    assert drawn("a") == drawn("a")
    names = [{e.get("id") for e in ElementTree.fromstring(drawn(name)).iter()} - {None} for name in "ab"]
    assert names[0]
    assert not names[0] & names[1]
    assert ElementTree.fromstring(drawn("a")).get("aria-label") == 'so <b>"it"</b> runs'
    figure = draw_curves([Curve("loss", np.ones(1))], 1, "loss")
    write_png(figure, tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_shades_are_found_again_by_their_colour():
    hexes = [shade.hex for shade in SHADES]
    assert len(set(hexes)) == len(hexes)
    svg = as_svg(draw_confusion(np.eye(2, dtype=np.int64), ["a", "b"]), "confusion", "alt")
    assert svg.count("var(--right, #1f5fa8)") == 2


def test_classes_are_drawn_in_variables_of_which_a_page_has_a_light_and_a_dark():
    line = Strips("anna", 50.0, 10, np.zeros(100, np.int64), np.arange(19, 100, 10), np.ones(9, np.int64), np.ones(9))
    svg = as_svg(draw_timeline(line, [colour.light for colour in CLASSES[:2]], 2.0), "line", "alt")
    assert f"var(--class-0, {CLASSES[0].light})" in svg
    assert f"var(--class-1, {CLASSES[1].light})" in svg
    light, dark = class_variables().split("@media")
    for i, colour in enumerate(CLASSES):
        assert f"--class-{i}: {colour.light};" in light
        assert f"--class-{i}: {colour.dark};" in dark


def test_ink_reads_on_paper_and_on_a_dark_screen():
    assert ink_on("#ffffff") == "#111111"
    assert ink_on("#000000") == "#ffffff"
