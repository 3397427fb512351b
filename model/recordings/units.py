"""Units of the same quantity are converted, those of another refused by name.

A table of what motion sensors deliver, in the spellings that are seen. A library of units would be another package to
install and would read its definitions whenever it is imported, to say these few factors.
"""

import math
import unicodedata
from functools import lru_cache

from kinestream.model.errors import ChannelMismatch
from kinestream.model.printable import printable

_GRAVITY = 9.80665
"""Standard gravity in m/s2, by definition: third General Conference on Weights and Measures, 1901."""
_DEGREE = math.pi / 180

_ACCELERATION = "acceleration"
_ROTATION = "angular velocity"
_FIELD = "magnetic flux density"

_UNITS: dict[str, tuple[str, float, tuple[str, ...]]] = {
    "m/s2": (_ACCELERATION, 1.0, ("ms-2", "m/s/s", "m/sec2", "ms2", "mps2")),
    "mm/s2": (_ACCELERATION, 1e-3, ("mms-2",)),
    "g": (_ACCELERATION, _GRAVITY, ("gn", "g0", "g's", "gs")),
    "mg": (_ACCELERATION, _GRAVITY / 1000, ("millig", "milli-g")),
    "rad/s": (_ROTATION, 1.0, ("rads-1", "rad/sec", "radian/s", "radians/s", "rads", "radps")),
    "mrad/s": (_ROTATION, 1e-3, ("mrads-1",)),
    "deg/s": (
        _ROTATION,
        _DEGREE,
        ("degs-1", "degs", "deg/sec", "degree/s", "degrees/s", "°/s", "°s-1", "°/sec", "dps"),
    ),
    "mdeg/s": (_ROTATION, _DEGREE / 1000, ("mdps",)),
    "T": (_FIELD, 1e6, ("tesla",)),
    "mT": (_FIELD, 1e3, ("millitesla",)),
    "uT": (_FIELD, 1.0, ("μT", "microtesla")),
    "nT": (_FIELD, 1e-3, ()),
    "G": (_FIELD, 100.0, ("gauss", "Gs", "Ga")),
    "mG": (_FIELD, 0.1, ("mgauss", "mGa", "milligauss")),
}
"""By its name: the quantity, how much of its first unit it is (of uT for the field), and how else it is written."""

_KEPT = {
    "m/s": "m/sec ms-1",
    "mm/s": "mm/sec mms-1",
    "m": "meter metre meters metres",
    "rad": "radian radians",
    "deg": "degree degrees °",
    "Pa": "pascal",
    "hPa": "mbar",
    "kPa": "",
    "degC": "°C C celsius",
    "V": "volt volts",
    "mV": "millivolt millivolts",
    "uV": "μV microvolt microvolts",
    "uS": "μS microsiemens",
    "N": "newton",
    "Hz": "",
    "bpm": "",
    "lux": "lx",
    "%": "percent",
    "counts": "count lsb raw adc",
    "1": "normalized normalised normed unitless none",
}
"""Further units that sensors deliver, with their spellings: these are kept as they are."""

_SPELLINGS = {text: unit for unit, (_, _, others) in _UNITS.items() for text in (unit, *others)}
_SPELLINGS |= {text: unit for unit, others in _KEPT.items() for text in (unit, *others.split())}
# Capitals decide between g and G, mT and MT; in a longer word nobody means anything by them.
_IN_LOWER_CASE = {text.casefold(): unit for text, unit in _SPELLINGS.items() if len(text) > 2}


@lru_cache(256)  # texts come from anybody
def canonical(unit: str) -> str | None:
    """Return the name of a unit by which all its spellings are known, or None where it is not known.

    Parameters
    ----------
    unit : str
        In any spelling: ``m/s^2``, ``m/s²``, ``m s^-2``, ``ms-2`` are all ``m/s2``; ``dps`` and ``°/s`` are ``deg/s``.
    """
    # NFKC makes a plain 2 of ², one letter of the two that look like μ, and an o of what many keyboards have for °.
    text = unicodedata.normalize("NFKC", unit.replace("\N{MASCULINE ORDINAL INDICATOR}", "°"))
    text = text.replace("\N{MINUS SIGN}", "-").translate(_IGNORED)
    return _SPELLINGS.get(text) or _IN_LOWER_CASE.get(text.casefold())


_IGNORED = dict.fromkeys(map(ord, " ^*·⋅()[]"))


@lru_cache(256)  # texts come from anybody
def factor(from_unit: str, to_unit: str) -> float:
    """Return by what a value in one unit is multiplied to be one in another.

    Parameters
    ----------
    from_unit, to_unit : str
        In any spelling. Units that are written alike need not be known.

    Raises
    ------
    ChannelMismatch
        Where one of two different units is not known, or they are of different quantities.
    """
    if from_unit == to_unit:
        return 1.0
    known = canonical(from_unit), canonical(to_unit)
    for given, unit in zip((from_unit, to_unit), known, strict=True):
        if unit is None:
            raise ChannelMismatch(f"unit {_shown(given)} is not known: give one of {', '.join(_UNITS)}")
    if known[0] == known[1]:
        return 1.0
    here, there = (_UNITS.get(unit, (unit, 1.0)) for unit in known if unit is not None)
    if here[0] != there[0]:
        raise ChannelMismatch(
            f"{_shown(from_unit)} is a unit of {here[0]}, {_shown(to_unit)} one of {there[0]}: "
            "give the channel its own unit, or the name of the channel that it is"
        )
    return here[1] / there[1]


def are_same(unit: str, other: str) -> bool:
    """Tell whether two texts mean the same unit; those that are not known must be spelled alike."""
    return unit == other or (canonical(unit) or unit) == (canonical(other) or other)


def convertible(from_unit: str, to_unit: str) -> bool:
    """Tell whether `factor` knows a factor."""
    try:
        factor(from_unit, to_unit)
    except ChannelMismatch:
        return False
    return True


def _shown(unit: str) -> str:
    text = printable(unit)
    return repr(text if len(text) <= 32 else f"{text[:32]}...")
