"""The last seconds of each stream as `watch` draws them: a cell a second, in the colour of its activity."""

from collections.abc import Mapping

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.style import Style
from rich.text import Text

from kinestream.model.palette import Colour, class_colours
from kinestream.model.printable import printable
from kinestream.streamer.dashboard.classes import NOTHING, SKIPPED, Classes
from kinestream.streamer.dashboard.strip import SECOND, Strip
from kinestream.streamer.wire.messages import Event, Label, Published

LEAST = 10
"""Cells that are worth a column."""
_CELL, _GAP, _SKIPPED = "▆", " ", "·"
_MOST_STREAMS = 20_000
_PAUSE_S = 3  # longer than this without a label stays empty


class Strips:
    """What was done lately, by stream."""

    def __init__(self) -> None:
        self._classes = Classes()
        self._strips: dict[str, Strip] = {}
        self._names: dict[int, str] = {}
        self._published, self._heard = 0, 0

    @property
    def is_empty(self) -> bool:
        """Whether there is no label yet."""
        return not self._strips

    def add(self, message: Published, now: int) -> None:
        """Note a message that arrived at a monotonic time in ns."""
        if isinstance(message, Label):
            self._add_label(message, now)
        elif isinstance(message, Event):
            classes, null = message.details.get("classes"), message.details.get("null_class")
            if message.event in ("accepted", "model") and isinstance(classes, list) and classes:
                self._classes.adopt([str(name) for name in classes], null if isinstance(null, str) else None)
            elif message.event == "skipped" and (strip := self._strips.get(message.stream)) is not None:
                second = self._second(now)
                strip.paint(second, second, SKIPPED)

    def of(self, stream: str, now: int) -> "Seconds":
        """Return what to draw of a stream at a monotonic time in ns."""
        return Seconds(self._strips.get(stream), self._second(now), self._names, self._colours())

    def legend(self) -> Text:
        """Return which colour is which activity."""
        colours = self._colours()
        parts = [part for name in colours for part in ((_CELL, _style(colours[name])), f" {printable(name)}  ")]
        return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")

    def _add_label(self, label: Label, now: int) -> None:
        strip = self._strips.get(label.stream)
        if strip is None:
            if len(self._strips) >= _MOST_STREAMS:
                return
            strip = self._strips[label.stream] = Strip()
        number = self._classes.number(label.label)
        self._names.setdefault(number, label.label)
        second = label.t_published // SECOND
        strip.paint(strip.end if 0 <= second - strip.end < _PAUSE_S else second, second, number)
        if label.t_published > self._published:
            self._published, self._heard = label.t_published, now

    def _second(self, now: int) -> int:
        return (self._published + now - self._heard) // SECOND

    def _colours(self) -> dict[str, Colour]:
        bundle = self._classes.names
        others = [name for name in self._names.values() if name not in bundle]
        return class_colours([*bundle, *others], self._classes.null)


class Seconds:
    """A line of cells, as long as there is room; the newest stands at the right.

    Parameters
    ----------
    strip : Strip or None
        What was done, if anything is known.
    now : int
        The second that stands at the right.
    names : mapping of str by int
        Of the activities.
    colours : mapping of Colour by str
        Theirs.
    """

    def __init__(self, strip: Strip | None, now: int, names: Mapping[int, str], colours: Mapping[str, Colour]) -> None:
        self._strip, self._now, self._names, self._colours = strip, now, names, colours

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it; where there are no colours, with the first letters of the activities."""
        yield self.text(options.max_width, has_colours=console.color_system is not None)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Say that it takes what room there is."""
        return Measurement(min(LEAST, options.max_width), options.max_width)

    def text(self, width: int, has_colours: bool) -> Text:
        """Return so many cells."""
        text = Text(no_wrap=True, overflow="crop")
        if self._strip is None:
            return text
        first = self._now - width + 1
        begin, cells = self._strip.since(first)
        text.append(_GAP * max(begin - first, 0))
        for value in cells[: width - max(begin - first, 0)]:
            if value == NOTHING:
                text.append(_GAP)
            elif value == SKIPPED:
                text.append(_SKIPPED, style="dim")
            else:
                name = self._names.get(value, "")
                colour = self._colours.get(name)
                letter = _CELL if has_colours else printable(name[:1]) or "?"
                text.append(letter[:1], style=_style(colour) if colour else "")
        return text


def _style(colour: Colour) -> Style:
    """Return a colour for a terminal, most of which are dark."""
    return Style(color=colour.dark)
