"""What `watch` shows on a terminal: a table of streams, and why some are refused."""

import textwrap
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kinestream.model.counted import counted
from kinestream.model.printable import printable
from kinestream.screens.watch_strips import LEAST, Strips
from kinestream.streamer.events.lines import in_words
from kinestream.streamer.watch.tally import StreamTally, Tally
from kinestream.streamer.wire.messages import Label

LINES_AROUND = 6
"""The table's head and foot, what colours mean, and the prompt."""
_BAR = 8
_WIDE = 110  # columns of a terminal that hold everything
_STRIPS_FROM, _FIGURES_FROM, _EVENTS_FROM = 30, 60, 150
"""Columns from which strips are drawn; and, where they are, figures beside the probability, and the last event."""
_SHORT = {"probability": "p", "labels/s": "/s", "latency ms": "ms"}
_NARROW_LEGEND = "latency: from a window's last sample to here; missed: windows without a label"
_WIDE_LEGEND = (
    "latency: a window's last sample to here; streamer: its part in the streamer; missed: windows without a label"
)


def table_of(
    tally: Tally, now: int, rows: int, width: int, address: str, absence: str = "", strips: Strips | None = None
) -> RenderableType:
    """Return the table of what was seen.

    Parameters
    ----------
    tally : Tally
        What was seen.
    now : int
        Monotonic ns.
    rows : int
        At most so many lines of streams and of reasons why some are refused; the rest is counted. One reason is always
        shown whole.
    width : int
        Columns of the terminal; below 110 only what matters most is shown.
    address : str
        Where labels are awaited.
    absence : str
        That nobody publishes there, and what to do.
    strips : Strips, optional
        What was done lately: drawn in the room that is left.
    """
    if not tally.streams:
        waiting = Text(printable(f"waiting for labels at {address} (Ctrl-C ends)"), style="dim")
        return Group(waiting, Text(printable(absence), style="yellow")) if absence else waiting
    wide = width >= _WIDE
    streams = tally.in_order()
    refusals = _refusals(streams, rows, width)
    shown = streams[: max(rows - len(refusals), 1)]
    annotated = any(seen.annotations for seen in streams)
    drawn = strips if strips is not None and not strips.is_empty and width >= _STRIPS_FROM else None
    names = _columns(width, annotated, drawn is not None)
    table = _table(names, drawn is not None)
    for seen in shown:
        cells = _cells(seen, now)
        row = [cells[name] for name in names]
        if drawn is not None:
            row.append(drawn.of(seen.stream, now))
        table.add_row(*row, style="dim" if seen.ended else None)
    more = f", {len(streams) - len(shown)} of them not shown" if len(shown) < len(streams) else ""
    said = f"{counted(tally.labels, 'label')} of {counted(len(streams), 'stream')}{more}; Ctrl-C ends"
    reasons = [Text(printable(line), style="yellow", no_wrap=True) for line in refusals]
    legend = [drawn.legend()] if drawn is not None else []
    gone = [Text(printable(absence), style="yellow")] if absence else []
    return Group(table, *reasons, *gone, *legend, _foot(said), _foot(_WIDE_LEGEND if wide else _NARROW_LEGEND))


def _refusals(streams: list[StreamTally], rows: int, width: int) -> list[str]:
    """Return lines that say, whole, why streams are refused: as many reasons as fit in half of the rows, or one."""
    refused = [seen for seen in streams if seen.refusal is not None]
    lines: list[str] = []
    for number, seen in enumerate(refused):
        reason = textwrap.wrap(f"{seen.stream} is refused: {seen.refusal}", max(width - 1, 10), subsequent_indent="  ")
        if lines and len(lines) + len(reason) >= rows // 2:
            lines.append(f"and {counted(len(refused) - number, 'more stream is', 'more streams are')} refused")
            break
        lines += reason
    return lines


def _columns(width: int, annotated: bool, is_drawn: bool) -> list[str]:
    """Return which columns a terminal of so many holds, beside strips if they are drawn."""
    names = ["stream", "activity", *(["annotated"] if annotated else [])]
    if width >= _WIDE:
        last = ["last event"] if not is_drawn or width >= _EVENTS_FROM else []
        return [*names, "bar", "for", "labels/s", "latency ms", "streamer ms", "missed", *last]
    if is_drawn and width < _FIGURES_FROM:
        return [*names[:2], "probability"]
    return [*names, "probability", "labels/s", "latency ms", "missed"]


def _table(names: Sequence[str], is_drawn: bool) -> Table:
    """Return a table whose names alone give way where the terminal is too narrow: rich keeps no_wrap columns whole."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    is_short = is_drawn and "bar" not in names
    for name in names:
        if name in ("stream", "activity", "annotated"):
            table.add_column(name)
        elif name == "bar":
            table.add_column("probability", no_wrap=True)
        elif name == "last event":
            table.add_column(name, ratio=1, no_wrap=True, style="dim")  # it gets the width that is left
        else:
            table.add_column(_SHORT.get(name, name) if is_short else name, justify="right", no_wrap=True)
    if is_drawn:
        table.add_column("lately", ratio=2, no_wrap=True, width=LEAST)
    table.expand = is_drawn or "bar" in names
    return table


def _cells(seen: StreamTally, now: int) -> dict[str, RenderableType]:
    """Return what is shown of a stream, by column."""
    label = seen.label
    cells: dict[str, RenderableType] = {
        "stream": _name(seen.stream),
        "annotated": _annotated(seen),
        "labels/s": _rate(seen, now),
        "last event": in_words(seen.last_event),
    }
    if label is None:
        return cells | {
            "activity": "-",
            **dict.fromkeys(("probability", "bar", "for", "latency ms", "streamer ms", "missed"), ""),
        }
    colour = _colour(seen, label)
    return cells | {
        "activity": _activity(seen, label),
        "probability": Text(f"{label.p:.2f}", style=colour),
        "bar": Text(f"{'█' * round(label.p * _BAR):░<{_BAR}} {label.p:.2f}", style=colour),
        "for": _duration(seen.held_s(now) if seen.activity is None else seen.activity.seconds),
        "latency ms": f"{seen.latency_ms:.1f}",
        "streamer ms": f"{seen.streamer_ms:.1f}",
        "missed": str(seen.missed + seen.skipped),
    }


def _name(name: str, style: str = "") -> Text:
    return Text(printable(name), style=style, no_wrap=True, overflow="ellipsis")


def _activity(seen: StreamTally, label: Label) -> Text:
    name = label.label if seen.activity is None else seen.activity.activity
    return _name(name, style="" if seen.ended else "bold")


def _annotated(seen: StreamTally) -> Text:
    """Return what people say of it, green where that is what the label says."""
    said = seen.annotated
    agrees = said is not None and seen.label is not None and said == seen.label.label
    return _name(said or "", style="" if seen.ended else "green" if agrees else "yellow")


def _rate(seen: StreamTally, now: int) -> str:
    if seen.ended:
        return "refused" if seen.last_event.startswith("refused") else "ended"
    return "" if seen.label is None else f"{seen.rate(now):.1f}"


def _foot(line: str) -> Text:
    return Text(line, style="dim", no_wrap=True, overflow="ellipsis")


def _colour(seen: StreamTally, label: Label) -> str:
    if seen.ended:
        return ""
    return "green" if label.p >= 0.8 else "yellow" if label.p >= 0.5 else "red"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
