"""Spellings of a unit are recognised, and units that differ are told apart."""

import pytest

from kinestream.model.recordings.units import are_same, canonical


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
        ("uT", ["uT", "µT", "μT", "ut", "microtesla"]),
    ],
)
def test_spellings_of_a_unit_are_the_same(unit, spellings):
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
