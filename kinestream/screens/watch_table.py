"""What `watch` shows on a terminal: a table of streams, and why some are refused."""

import textwrap

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kinestream.model.counted import counted
from kinestream.model.printable import printable
from kinestream.streamer.events.lines import in_words
from kinestream.streamer.watch.tally import StreamTally, Tally
from kinestream.streamer.wire.messages import Label

LINES_AROUND = 5
"""The table's head and foot, and the prompt."""
_BAR = 8
_WIDE = 110  # columns of a terminal that hold everything
_NARROW_LEGEND = "latency: from a window's last sample to here; missed: windows without a label"
_WIDE_LEGEND = (
    "latency: a window's last sample to here; streamer: its part in the streamer; missed: windows without a label"
)


def table_of(tally: Tally, now: int, rows: int, width: int, address: str, absence: str = "") -> RenderableType:
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
    """
    if not tally.streams:
        waiting = Text(printable(f"waiting for labels at {address} (Ctrl-C ends)"), style="dim")
        return Group(waiting, Text(printable(absence), style="yellow")) if absence else waiting
    wide = width >= _WIDE
    streams = tally.in_order()
    refusals = _refusals(streams, rows, width)
    shown = streams[: max(rows - len(refusals), 1)]
    table = _wide_table() if wide else _narrow_table()
    for seen in shown:
        table.add_row(*(_wide_row if wide else _narrow_row)(seen, now), style="dim" if seen.ended else None)
    more = f", {len(streams) - len(shown)} of them not shown" if len(shown) < len(streams) else ""
    said = f"{counted(tally.labels, 'label')} of {counted(len(streams), 'stream')}{more}; Ctrl-C ends"
    reasons = [Text(printable(line), style="yellow", no_wrap=True) for line in refusals]
    return Group(table, *reasons, _foot(said), _foot(_WIDE_LEGEND if wide else _NARROW_LEGEND))


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


def _narrow_table() -> Table:
    table = _named_table()
    for name in ("probability", "labels/s", "latency ms", "missed"):
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _wide_table() -> Table:
    table = _named_table()
    table.expand = True
    table.add_column("probability", no_wrap=True)
    for name in ("for", "labels/s", "latency ms", "streamer ms", "missed"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("last event", ratio=1, no_wrap=True, style="dim")  # it gets the width that is left
    return table


def _named_table() -> Table:
    """Return a table whose names alone give way where the terminal is too narrow: rich keeps no_wrap columns whole."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("stream")
    table.add_column("activity")
    return table


def _narrow_row(seen: StreamTally, now: int) -> list[Text | str]:
    label = seen.label
    if label is None:
        return [_name(seen.stream), "-", "", _rate(seen, now), "", ""]
    return [
        _name(seen.stream),
        _activity(seen, label),
        Text(f"{label.p:.2f}", style=_colour(seen, label)),
        _rate(seen, now),
        f"{seen.latency_ms:.1f}",
        str(seen.missed + seen.skipped),
    ]


def _wide_row(seen: StreamTally, now: int) -> list[Text | str]:
    label = seen.label
    event = in_words(seen.last_event)
    if label is None:
        return [_name(seen.stream), "-", "", "", _rate(seen, now), "", "", "", event]
    return [
        _name(seen.stream),
        _activity(seen, label),
        Text(f"{'█' * round(label.p * _BAR):░<{_BAR}} {label.p:.2f}", style=_colour(seen, label)),
        _duration(seen.held_s(now)),
        _rate(seen, now),
        f"{seen.latency_ms:.1f}",
        f"{seen.streamer_ms:.1f}",
        str(seen.missed + seen.skipped),
        event,
    ]


def _name(name: str, style: str = "") -> Text:
    return Text(printable(name), style=style, no_wrap=True, overflow="ellipsis")


def _activity(seen: StreamTally, label: Label) -> Text:
    return _name(label.label, style="" if seen.ended else "bold")


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
