"""Drawings from plain arrays: what they show, that they are the same each time, and that colours can be told apart."""

import math
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinestream.model.report.colours import CLASSES, NULL, SHADES, class_colours, ink_on
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
    svg = as_svg(draw_timeline(line, class_colours(4), row_s), "line", "alt")
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
    hexes = [shade.hex for shade in SHADES] + list(CLASSES)
    assert len(set(hexes)) == len(hexes)
    svg = as_svg(draw_confusion(np.eye(2, dtype=np.int64), ["a", "b"]), "confusion", "alt")
    assert svg.count("var(--right, #1f5fa8)") == 2


def test_the_null_class_is_grey_and_takes_no_colour_from_the_others():
    assert class_colours(4, null=1) == [CLASSES[0], NULL.hex, CLASSES[1], CLASSES[2]]
    assert class_colours(20)[18:] == list(CLASSES[:2])
    assert ink_on("#ffffff") == "#111111"
    assert ink_on("#000000") == "#ffffff"


# What the colour-blind see of linear RGB: Machado, Oliveira, Fernandes, IEEE TVCG 15(6), 2009, severity 1.
EYES = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def oklab(linear):
    """Return linear RGB as OKLab (Ottosson 2020), shape (N, 3)."""
    cones = linear @ np.transpose(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    return np.cbrt(cones) @ np.transpose(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )


@pytest.mark.parametrize("eye", EYES)
def test_colours_of_classes_can_be_told_apart_by_every_eye(eye):
    channels = np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in CLASSES])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    seen = oklab(np.clip(linear @ np.transpose(EYES[eye]), 0, 1))
    distances = np.linalg.norm(seen[:, None] - seen[None], axis=2) + np.eye(len(CLASSES))
    assert distances.min() > 0.049
    assert distances[:8, :8].min() > 0.1
