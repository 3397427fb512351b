"""Layouts of date-times other than ISO 8601, written as Python's ``strftime`` does: ``%d/%m/%Y %H:%M:%S.%f``."""

import re
from typing import Any

_DIRECTIVE = re.compile(r"%(.?)", re.DOTALL)
_CLOCK = set("HIMSpTRf")
_DATE = {"year": set("YyFD"), "month": set("mbBjFD"), "day": set("djFD")}
_KNOWN = _CLOCK.union(*_DATE.values(), "zaA%")
_EXAMPLE = "as in '%d/%m/%Y %H:%M:%S.%f'"


def checked_format(value: Any) -> Any:
    """Return a layout; `ValueError` where it is none, or leaves open when a row was taken."""
    if value is None:
        return None
    if not isinstance(value, str) or "%" not in value:
        raise ValueError(f"should be a layout, {_EXAMPLE}")
    codes = _codes(value)
    unknown = [code for code in codes if code not in _KNOWN]
    dated = [part for part, ways in _DATE.items() if ways & codes]
    if unknown:
        raise ValueError(f"knows no %{unknown[0]}: write %Y %m %d %H %M %S %f %p %z, {_EXAMPLE}")
    if not {"H", "I", "T", "R"} & codes:
        raise ValueError(f"names no hour: give %H, {_EXAMPLE}")
    if "I" in codes and "p" not in codes:
        raise ValueError("does not tell morning from afternoon: give %p with %I, or %H")
    if dated and len(dated) < len(_DATE):
        raise ValueError(f"names only a part of the date ({', '.join(dated)}): give %Y, %m and %d, or none of them")
    if "f" in codes and not re.search(r"(%S|%T)[.,:]%f", _plain(value)):
        raise ValueError(f"has %f elsewhere than after the seconds and a point, {_EXAMPLE}")
    return value


def is_time_of_day(layout: str) -> bool:
    """Tell whether a layout names no date."""
    return not any(ways & _codes(layout) for ways in _DATE.values())


def has_offset(layout: str) -> bool:
    """Tell whether a layout names the offset from UTC."""
    return "z" in _codes(layout)


def to_polars(layout: str) -> tuple[str, str, str]:
    """Return a layout as polars writes it, and what to replace in the texts first: a regular expression, and by what.

    polars reads ``%f`` as a count of nanoseconds; its ``%.f`` is the fraction and the point before it.
    """
    layout = _plain(layout)
    if ",%f" in layout:
        return layout.replace(",%f", "%.f").replace(",", "."), ",", "."
    return re.sub(r"[.:]%f", "%.f", layout), *((r":(\d+)$", ".$1") if layout.endswith(":%f") else ("$^", ""))


def _codes(layout: str) -> set[str]:
    return set(_DIRECTIVE.findall(_plain(layout)))


def _plain(layout: str) -> str:
    return layout.replace("%.f", ".%f")  # what polars' own users write
