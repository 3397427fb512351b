"""The console that all tables and lines are printed with: names from outside cannot control or garble the terminal."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from kinestream.model.printable import printable


class SafeConsole(Console):
    """A console that shows texts as they are.

    What a terminal would obey is written out, and brackets and colons are themselves: a class called ``[/]`` is no
    markup and ``:walking:`` no emoji. What is to be bold is a `rich.text.Text`.

    Parameters
    ----------
    **options
        As `rich.console.Console` takes them.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, **options})

    def on_broken_pipe(self) -> None:
        """Let whoever printed know that nobody reads it, instead of silencing stdout and leaving the program."""
        raise

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield what is to be printed; only what rich itself sends, as to move the cursor, commands the terminal."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable(segment.text, keep="\n"), segment.style)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text to be laid out, as wide as it will be shown."""
        return super().render_str(printable(text, keep="\n"), **options)


def styled(*parts: str | tuple[str, str]) -> Text:
    """Return a line of parts, each a text or a text and its style."""
    pairs = ((part, "") if isinstance(part, str) else part for part in parts)
    return Text.assemble(*((printable(text), style) for text, style in pairs))
