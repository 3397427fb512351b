"""How a figure becomes text: the same bytes each time, in the colours and letters of the page it stands in."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kinestream.model.files import write_whole
from kinestream.model.report.colours import BY_HEX, INK, LINE, MUTED

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "text.parse_math": False,  # a class may be called $a$
    "text.color": INK.hex,
    "axes.edgecolor": LINE.hex,
    "axes.labelcolor": MUTED.hex,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlecolor": INK.hex,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "xtick.color": LINE.hex,
    "xtick.labelcolor": MUTED.hex,
    "ytick.color": LINE.hex,
    "ytick.labelcolor": MUTED.hex,
    "grid.color": LINE.hex,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",  # letters stay letters: to be searched, read out and set in the page's own
}
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the page's style, whatever matplotlib's settings are elsewhere."""
    with rc_context(_STYLE):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def bare(axes: Axes) -> None:
    """Take away the frame and the ticks, and leave the letters."""
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def as_svg(figure: Figure, name: str, alt: str) -> str:
    """Return a figure as an ``<svg>`` element to stand in a page.

    Parameters
    ----------
    figure : Figure
        What is drawn.
    name : str
        Unique in the page, so that what two figures call by one name is not mixed up.
    alt : str
        What one sees, for those who do not.
    """
    buffer = StringIO()
    with style(), rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=_NO_METADATA)
    drawn = buffer.getvalue()
    body = drawn[drawn.index(">", drawn.index("<svg")) + 1 :]
    body = re.sub(r"<[^>]*>", lambda tag: _at_home(tag[0], name), body)  # what stands between tags is left as it is
    width, height = (round(72 * inches) for inches in figure.get_size_inches())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}pt" height="{height}pt" '
        f'role="img" aria-label="{escape(alt)}">{body.strip()}'
    )


def _at_home(tag: str, name: str) -> str:
    """Return a tag with names of its own, in the page's colours, and no finer than a screen shows."""
    tag = re.sub(r"(\d\.\d\d)\d+", r"\1", tag)
    tag = re.sub(r'\bid="', f'id="{name}-', tag)
    tag = re.sub(r"url\(#", f"url(#{name}-", tag).replace('xlink:href="#', f'href="#{name}-')
    return re.sub(r"#[0-9a-f]{6}\b", lambda found: BY_HEX[found[0]].css if found[0] in BY_HEX else found[0], tag)


def write_png(figure: Figure, path: Path, dpi: float = 150) -> None:
    """Write a figure as an image on white."""
    drawn = BytesIO()
    with style():
        figure.savefig(drawn, format="png", dpi=dpi, facecolor="white", metadata={"Software": None})
    write_whole(path, drawn.getvalue())
