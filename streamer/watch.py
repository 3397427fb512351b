"""Shows labels as they come: a live table on a terminal, a line a label elsewhere."""

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from model.clock import now_ns
from model.console import SafeConsole, styled
from model.printable import printable, say
from streamer import wire
from streamer.client import Event, Label, LabelSubscriber
from streamer.tally import StreamTally, Tally, said_of

_DRAW_EVERY_S = 0.2
_LINES_AROUND = 5  # the table's head and foot, and the prompt
_BAR = 8
_WIDE = 110  # columns of a terminal that hold everything
_NARROW_LEGEND = "latency: from a window's last sample to here; missed: windows without a label"
_WIDE_LEGEND = (
    "latency: a window's last sample to here; streamer: its part in the streamer; missed: windows without a label"
)
_ENDS = {
    "end": "end of session",
    "idle": "silent for too long",
    "reset": "a new session began",
    "stopped": "the streamer stopped",
}


@dataclass(frozen=True)
class Watched:
    """What was seen.

    Parameters
    ----------
    tally : Tally
        By stream.
    malformed : int
        Messages that could not be read.
    seconds : float
        How long it was looked at.
    """

    tally: Tally
    malformed: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return the totals as JSON takes them."""
        streams = {seen.stream: seen.as_dict() for seen in self.tally.streams.values()}
        return {
            "labels": self.tally.labels,
            "windows_skipped": sum(seen.skipped for seen in self.tally.streams.values()),
            "windows_missed": sum(seen.missed for seen in self.tally.streams.values()),
            "malformed": self.malformed,
            "seconds": round(self.seconds, 3),
            "streams": streams,
        }


def watch(
    labels: str = wire.LABELS,
    *,
    streams: Sequence[str] | None = None,
    seconds: float | None = None,
    count: int | None = None,
    console: Console | None = None,
) -> Watched:
    """Show labels until Ctrl-C, or until enough time has passed or enough labels have come.

    Parameters
    ----------
    labels : str
        Where the streamer publishes.
    streams : sequence of str, optional
        The streams to watch; all by default.
    seconds : float, optional
        For how long.
    count : int, optional
        For how many labels.
    console : Console, optional
        Where to; stdout by default. A terminal gets a table; anything else a line for each label, and events are told
        on stderr.

    Raises
    ------
    EndpointError
        If the address cannot be used.
    """
    console = console or SafeConsole()
    tally = Tally()
    began = time.monotonic()
    until = math.inf if seconds is None else began + seconds
    most = math.inf if count is None else count
    with LabelSubscriber(labels, streams=streams, events=True) as subscriber:
        with suppress(KeyboardInterrupt):
            if console.is_terminal:
                _show_table(subscriber, tally, until, most, console, labels)
            else:
                say(f"listening at {labels}")
                _show_lines(subscriber, tally, until, most, console)
        return Watched(tally, subscriber.malformed, time.monotonic() - began)


def _show_lines(subscriber: LabelSubscriber, tally: Tally, until: float, most: float, console: Console) -> None:
    events = SafeConsole(stderr=True)
    while tally.labels < most and (left := until - time.monotonic()) > 0:
        message = subscriber.receive(None if left == math.inf else left)
        if message is None:
            continue
        arrived = now_ns()
        tally.add(message, arrived)
        if isinstance(message, Label):
            _print(console, label_line(message, arrived))
        elif message.event != "accepted":
            _print(events, event_line(message))


def _show_table(
    subscriber: LabelSubscriber, tally: Tally, until: float, most: float, console: Console, address: str
) -> None:
    drawn_at = 0.0
    with Live(console=console, auto_refresh=False) as live:
        while tally.labels < most and (now := time.monotonic()) < until:
            if now - drawn_at >= _DRAW_EVERY_S:
                _draw(live, tally, address)
                drawn_at = now
            message = subscriber.receive(max(min(drawn_at + _DRAW_EVERY_S, until) - time.monotonic(), 0.0))
            if message is not None:
                tally.add(message, now_ns())
        _draw(live, tally, address)


def _draw(live: Live, tally: Tally, address: str) -> None:
    size = live.console.size
    live.update(table_of(tally, now_ns(), size.height - _LINES_AROUND, size.width, address), refresh=True)


def label_line(label: Label, arrived_ns: int) -> str:
    """Return a label as a line: when its window ended, stream, activity, probability, latency."""
    taken = datetime.fromtimestamp(label.t_source / 1e9, UTC).isoformat(timespec="milliseconds")
    latency_ms = (arrived_ns - label.t_source) / 1e6
    return printable(f"{taken}  {label.stream}  {label.label}  {label.p:.3f}  {latency_ms:.2f} ms")


def event_line(event: Event) -> str:
    """Return an event as a line."""
    return printable(f"{event.stream}  {_in_words(said_of(event))}")


def table_of(tally: Tally, now: int, rows: int, width: int, address: str) -> RenderableType:
    """Return the table of what was seen.

    Parameters
    ----------
    tally : Tally
        What was seen.
    now : int
        Unix ns.
    rows : int
        At most so many streams are shown; the rest is counted.
    width : int
        Columns of the terminal; below 110 only what matters most is shown.
    address : str
        Where labels are awaited.
    """
    if not tally.streams:
        return styled((f"waiting for labels at {address} (Ctrl-C ends)", "dim"))
    wide = width >= _WIDE
    streams = tally.in_order()
    shown = streams[: max(rows, 1)]
    table = _wide_table() if wide else _narrow_table()
    for seen in shown:
        table.add_row(*(_wide_row if wide else _narrow_row)(seen, now), style="dim" if seen.ended else None)
    more = f", {len(streams) - len(shown)} of them not shown" if len(shown) < len(streams) else ""
    counted = f"{_counted(tally.labels, 'label')} of {_counted(len(streams), 'stream')}{more}; Ctrl-C ends"
    return Group(table, _foot(counted), _foot(_WIDE_LEGEND if wide else _NARROW_LEGEND))


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
    event = _in_words(seen.last_event)
    if label is None:
        return [_name(seen.stream), "-", "", "", _rate(seen, now), "", "", "", event]
    held_s = ((label.t_source if seen.ended else now) - seen.since_ns) / 1e9
    return [
        _name(seen.stream),
        _activity(seen, label),
        Text(f"{'█' * round(label.p * _BAR):░<{_BAR}} {label.p:.2f}", style=_colour(seen, label)),
        _duration(held_s),
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


def _in_words(said: str) -> str:
    """Return an event in words a newcomer understands: the wire's reasons for an end are single words."""
    kind, _, reason = said.partition(": ")
    return f"ended: {_ENDS.get(reason, reason)}" if kind == "end" else said


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _foot(line: str) -> Text:
    return Text(line, style="dim", no_wrap=True, overflow="ellipsis")


def _colour(seen: StreamTally, label: Label) -> str:
    if seen.ended:
        return ""
    return "green" if label.p >= 0.8 else "yellow" if label.p >= 0.5 else "red"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _print(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
