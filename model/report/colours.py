"""What is drawn in which colour, on paper, on a light screen and on a dark one; those of classes are the palette's."""

from dataclasses import dataclass

from kinestream.model import palette
from kinestream.model.palette import Colour, reads_white


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
RIGHT = Shade("--right", "#1f5fa8")
WRONG = Shade("--wrong", "#b5470f")
ON_FULL = Shade("--on-full", "#fffffe")
NULL = Shade("--null", palette.NULL.light)
UNCERTAIN = Shade("--uncertain", palette.UNCERTAIN.light)
CLASSES = tuple(Shade(f"--class-{i}", colour.light) for i, colour in enumerate(palette.CLASSES))

_OF_CLASSES: dict[Shade, Colour] = {
    NULL: palette.NULL,
    UNCERTAIN: palette.UNCERTAIN,
    **dict(zip(CLASSES, palette.CLASSES, strict=True)),
}
_DARK = {colour.light: colour.dark for colour in palette.CLASSES}

SHADES = (INK, MUTED, LINE, TILE, RIGHT, WRONG, ON_FULL, *_OF_CLASSES)
"""No two of them are of one colour: by it they are found again in a drawing."""
BY_HEX = {shade.hex: shade for shade in SHADES}


def class_variables() -> str:
    """Return the variables of classes for a page's style, in its light and in its dark."""
    light = " ".join(f"{shade.variable}: {colour.light};" for shade, colour in _OF_CLASSES.items())
    dark = " ".join(f"{shade.variable}: {colour.dark};" for shade, colour in _OF_CLASSES.items())
    return f":root {{ {light} }}\n@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"


def ink_on(colour: str) -> str:
    """Return what reads best on a class's colour, on paper and on screens: black, white, or a page's own choice."""
    if colour == NULL.hex:
        return INK.hex
    if not reads_white(colour):
        return "#111111"
    return "#ffffff" if reads_white(_DARK.get(colour, colour)) else ON_FULL.hex
