"""What is drawn in which colour, on paper, on a light screen and on a dark one."""

from dataclasses import dataclass

CLASSES = (
    "#3b78b8",
    "#e8a33d",
    "#8f3a1f",
    "#8fd6e8",
    "#a79bea",
    "#543a8c",
    "#4ea69b",
    "#bc6f16",
    "#bcde90",
    "#2c5964",
    "#64c890",
    "#9b9b64",
    "#b14e43",
    "#7a85de",
    "#645990",
    "#c8a6c8",
    "#2c90a6",
    "#a6bcff",
)
"""Colours of up to 18 classes.

Seven chosen by hand, each further one the candidate farthest from all before it in OKLab, the least of what a normal
eye and the three kinds of colour-blind ones see counting (Machado, Oliveira, Fernandes, IEEE TVCG 15(6), 2009). No
two of the first 8 are nearer than 0.10 for any of the four, no two of the 18 nearer than 0.05; they therefore go with
the number of their class wherever there is room.
"""


@dataclass(frozen=True)
class Shade:
    """A colour that a page may replace by its own: `variable` is that colour in CSS, `hex` the one on white paper."""

    variable: str
    hex: str

    @property
    def css(self) -> str:
        """The colour as CSS takes it."""
        return f"var({self.variable}, {self.hex})"


INK = Shade("--ink", "#1d2228")
MUTED = Shade("--muted", "#626b76")
LINE = Shade("--line", "#d3d8de")
TILE = Shade("--tile", "#f1f3f5")
NULL = Shade("--null", "#c3c8ce")
RIGHT = Shade("--right", "#1f5fa8")
WRONG = Shade("--wrong", "#b5470f")
ON_FULL = Shade("--on-full", "#fffffe")
SHADES = (INK, MUTED, LINE, TILE, NULL, RIGHT, WRONG, ON_FULL)
"""No two of them, nor any class, are of one colour: by it they are found again in a drawing."""


def class_colours(classes: int, null: int | None = None) -> list[str]:
    """Return a colour for each class; the null class is grey, and beyond 18 colours come again.

    Parameters
    ----------
    classes : int
        How many there are.
    null : int, optional
        Which of them means "none of the others".
    """
    hues = iter(CLASSES[i % len(CLASSES)] for i in range(classes))
    return [NULL.hex if i == null else next(hues) for i in range(classes)]


def ink_on(colour: str) -> str:
    """Return black or white, whichever reads better on a colour: by WCAG's relative luminance."""
    if colour == NULL.hex:
        return INK.hex
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#111111" if luminance > 0.18 else "#ffffff"  # the contrast with either is equal at 0.179
