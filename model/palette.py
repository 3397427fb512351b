"""Which colour a class has wherever it is shown: page, dashboard, plots, terminal.

A class takes its colour from its place in its bundle's order: it is the same for everybody who knows the bundle.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Colour(NamedTuple):
    """A colour as CSS takes it, ``#rrggbb``: on white paper and on a dark screen."""

    light: str
    dark: str


CLASSES = (
    Colour("#3b78b8", "#4c8dd1"),
    Colour("#e8a33d", "#e8a33d"),
    Colour("#8f3a1f", "#a34b30"),
    Colour("#8fd6e8", "#91d8ea"),
    Colour("#a79bea", "#b1a3fa"),
    Colour("#543a8c", "#6f57ac"),
    Colour("#4ea69b", "#5ebcaf"),
    Colour("#bc6f16", "#bf721a"),
    Colour("#bcde90", "#bcde8f"),
    Colour("#2c5964", "#3e6c77"),
    Colour("#64c890", "#6ed39a"),
    Colour("#9b9b64", "#9b9b64"),
    Colour("#b14e43", "#b9564a"),
    Colour("#7a85de", "#8994ee"),
    Colour("#645990", "#796ea6"),
    Colour("#c8a6c8", "#d0aad0"),
    Colour("#2c90a6", "#618a94"),
    Colour("#a6bcff", "#a9beff"),
)
"""Colours of up to 18 classes.

Seven chosen by hand, each further one the candidate farthest from all before it in OKLab, the least of what a normal
eye and the three kinds of colour-blind ones see counting (Machado, Oliveira, Fernandes, IEEE TVCG 15(6), 2009). No
two of the first 8 are nearer than 0.10 for any of the four, no two of the 18 nearer than 0.05; they therefore go with
the number or the name of their class wherever there is room. On a dark screen each is as light as it takes to stand out
(WCAG 2.1, 1.4.11: a contrast of 3 or more), of nearly its hue, and as far from the others.
"""

NULL = Colour("#c3c8ce", "#59616b")
"""The class that means "none of the others"."""
UNCERTAIN = Colour("#e4e7ea", "#2c323a")
"""Where no class is probable enough to be named; where there is room, hatched with `NULL`."""


def class_colours(classes: Sequence[str], null_class: str | None = None) -> dict[str, Colour]:
    """Return the colour of each class; the null class is grey, and beyond 18 colours come again.

    Parameters
    ----------
    classes : sequence of str
        In the bundle's order.
    null_class : str, optional
        Which of them means "none of the others".
    """
    hues = iter(CLASSES[i % len(CLASSES)] for i in range(len(classes)))
    return {name: NULL if name == null_class else next(hues) for name in classes}


def reads_white(colour: str) -> bool:
    """Tell whether white reads better on a colour than black does, by WCAG's relative luminance."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] <= 0.18  # either's contrast is equal at 0.179
