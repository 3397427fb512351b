"""Spellings of a unit are one unit, and another quantity is never converted."""

import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinestream.model.errors import ChannelMismatch
from kinestream.model.recordings.units import are_same, canonical, convertible, factor

SPELLINGS = {
    "m/s2": [
        "m/s2",
        "m/s^2",
        "m/s²",
        "m s^-2",
        "m s⁻²",
        "ms-2",
        "m·s⁻²",
        "m/s**2",
        "m/s/s",
        "M/S2",
        " m/s2 ",
        "m*s^-2",
    ],
    "g": ["g", "g0"],
    "mg": ["mg"],
    "rad/s": ["rad/s", "rad s-1", "rad·s⁻¹", "Rad/s", "rad/sec", "radians/s"],
    "deg/s": ["deg/s", "dps", "°/s", "DPS", "degrees/s", "deg s^-1", "° s⁻¹", "º/s"],
    "mdeg/s": ["mdps"],
    "uT": ["uT", "µT", "μT"],
    "mT": ["mT"],
    "T": ["T", "tesla"],
    "G": ["G", "gauss", "Gauss"],
    "mG": ["mG"],
}
KNOWN = [text for texts in SPELLINGS.values() for text in texts]


@pytest.mark.parametrize(("unit", "text"), [(unit, text) for unit, texts in SPELLINGS.items() for text in texts])
def test_spellings_are_one_unit(unit, text):
    assert canonical(text) == unit
    assert factor(text, unit) == factor(unit, text) == 1.0


@pytest.mark.parametrize("text", ["", "s", "ms", "MT", "Mg", "GS", "MG", "furlong"])
def test_what_is_none_of_them_is_not_known(text):
    assert canonical(text) is None


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        ("g", "m/s2", 9.80665),
        ("mg", "m/s^2", 0.00980665),
        ("m/s²", "g", 1 / 9.80665),
        ("mg", "g", 0.001),
        ("deg/s", "rad/s", math.pi / 180),
        ("rad/s", "dps", 180 / math.pi),
        ("G", "uT", 100),
        ("mG", "µT", 0.1),
        ("T", "uT", 1e6),
        ("mT", "G", 10),
    ],
)
def test_factors(here, there, expected):
    assert factor(here, there) == pytest.approx(expected, rel=1e-15)


@given(st.sampled_from(KNOWN), st.sampled_from(KNOWN), st.sampled_from(KNOWN))
def test_factors_agree_with_each_other(a, b, c):
    if convertible(a, b) and convertible(b, c):
        assert factor(a, b) * factor(b, c) == pytest.approx(factor(a, c), rel=1e-12)
        assert factor(a, b) * factor(b, a) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("capitals", [("g", "G"), ("mg", "mG"), ("m/s2", "rad/s"), ("g", "uT")])
def test_another_quantity_is_refused_by_name(capitals):
    with pytest.raises(ChannelMismatch, match=r"^'\S+' is a unit of .+, '\S+' one of [^\n]+$"):
        factor(*capitals)


def test_an_unknown_unit_is_refused_unless_both_are_written_alike():
    assert factor("furlong", "furlong") == 1.0
    assert factor("", "") == 1.0
    with pytest.raises(ChannelMismatch, match=r"^unit 'furlong' is not known: give one of m/s2, [^\n]+$"):
        factor("m/s2", "furlong")
    assert not convertible("furlong", "m/s2")


@given(st.text(max_size=200))
def test_any_text_is_answered_in_one_line(text):
    if canonical(text) is None and text != "g":
        with pytest.raises(ChannelMismatch) as refused:
            factor(text, "g")
        assert str(refused.value).isprintable()
        assert len(str(refused.value)) < 400


def test_nothing_heavy_is_imported():
    module = "kinestream.model.recordings.units"
    script = f"import sys, {module}; print([each for each in ('numpy', 'pint', 'yaml') if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("unit", "spellings"),
    [
        ("m/s2", ["m/s2", "m/s^2", "m/s²", "m/s**2", "m s-2", "m·s⁻²", "M/S2", " m/s/s "]),
        ("g", ["g", "g's"]),
        ("G", ["G", "gauss", "Gauss"]),
        ("mg", ["mg", "milli g", "milli-g"]),
        ("mG", ["mG"]),
        ("rad/s", ["rad/s", "rad s-1", "RAD/S"]),
        ("deg/s", ["deg/s", "°/s", "dps", "degrees/s"]),
        ("uT", ["uT", "µT", "μT", "microtesla"]),
    ],
)
def test_spellings_are_the_same_unit(unit, spellings):
    for spelling in spellings:
        assert canonical(spelling) == unit
        assert are_same(unit, spelling)


@pytest.mark.parametrize(
    ("unit", "other"), [("g", "G"), ("g", "mg"), ("m/s2", "m/s"), ("rad/s", "deg/s"), ("uT", "mT"), ("furlong", "foot")]
)
def test_units_that_differ_are_not(unit, other):
    assert not are_same(unit, other)


@pytest.mark.parametrize("unit", ["furlong", "m/s3", ""])
def test_what_is_no_unit_is_not_known(unit):
    assert canonical(unit) is None
    assert are_same(unit, unit)
