"""Units of measurement: which spellings mean the same one."""

import unicodedata

# Spellings as `_squeezed` leaves them.
_SPELLINGS = {
    "m/s2": "m/s2 m/s/s m/sec2 ms2 ms-2 mps2",
    "mm/s2": "mm/s2 mms-2",
    "g": "g g's gs gn g0",
    "mg": "mg millig milli-g",
    "rad/s": "rad/s rad/sec rads rads-1 radps",
    "deg/s": "deg/s deg/sec degs degs-1 degrees/s °/s °/sec dps",
    "mdeg/s": "mdeg/s mdps",
    "deg": "deg degree degrees °",
    "rad": "rad radian radians",
    "uT": "uT microtesla",
    "mT": "mT millitesla",
    "T": "T tesla",
    "G": "G Ga gauss",
    "mG": "mG mGa mgauss milligauss",
    "m/s": "m/s m/sec ms-1",
    "mm/s": "mm/s mm/sec mms-1",
    "m": "m meter metre meters metres",
    "Pa": "Pa pascal",
    "hPa": "hPa mbar",
    "kPa": "kPa",
    "degC": "degC °C C celsius",
    "V": "V volt volts",
    "mV": "mV millivolt millivolts",
    "uV": "uV microvolt microvolts",
    "uS": "uS microsiemens",
    "N": "N newton",
    "Hz": "Hz",
    "bpm": "bpm",
    "lux": "lux lx",
    "%": "% percent",
    "counts": "counts count lsb raw adc",
    "1": "1 normalized normalised normed unitless none",
}
_ALIKE = str.maketrans({"\N{GREEK SMALL LETTER MU}": "u", "\N{MINUS SIGN}": "-"} | dict.fromkeys(" ^*·⋅"))
_EXACT = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings.split()}
_ANY_CASE: dict[str, set[str]] = {}
for _spelling, _unit in _EXACT.items():
    _ANY_CASE.setdefault(_spelling.lower(), set()).add(_unit)


def canonical(unit: str) -> str | None:
    """Return the one spelling that stands for all spellings of a unit, as ``m/s2`` for ``m/s^2`` and ``m/s²``.

    Upper and lower case only matter where they tell units apart: ``g`` is gravity, ``G`` is gauss.

    Returns
    -------
    str or None
        None where the unit is not known.
    """
    squeezed = _squeezed(unit)
    if squeezed in _EXACT:
        return _EXACT[squeezed]
    found = _ANY_CASE.get(squeezed.lower(), set())
    return next(iter(found)) if len(found) == 1 else None


def are_same(unit: str, other: str) -> bool:
    """Tell whether two texts mean the same unit; those that are not known must be spelled alike."""
    return unit == other or (canonical(unit) or unit) == (canonical(other) or other)


def _squeezed(unit: str) -> str:
    """Return a unit without what is only typography: blanks, multiplication signs, superscripts."""
    return unicodedata.normalize("NFKC", unit).translate(_ALIKE)
