"""Shows labels as they come: a live table on a terminal, a line a label elsewhere, JSON for pipes."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live

from kinestream.model.clock import monotonic_ns, wall_clock
from kinestream.screens.console import SafeConsole
from kinestream.screens.stderr import say
from kinestream.screens.watch_table import LINES_AROUND, table_of
from kinestream.streamer.client import Event, Label, LabelSubscriber
from kinestream.streamer.events.lines import LabelLines, event_line, json_line
from kinestream.streamer.transport.addresses import somebody_listens
from kinestream.streamer.watch.tally import Tally
from kinestream.streamer.wire import messages as wire

_DRAW_EVERY_S = 0.2
_SILENT_S = 3.0
"""Time without a message after which it is asked whether there is a streamer: one with streams is not so silent."""


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
    interrupted : bool
        Whether Ctrl-C ended it.
    """

    tally: Tally
    malformed: int
    seconds: float
    interrupted: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the totals as JSON takes them."""
        streams = {seen.stream: seen.as_dict() for seen in self.tally.streams.values()}
        return {
            "kind": "totals",
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
    json_to: TextIO | None = None,
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
    json_to : text file, optional
        Where a line of JSON goes for each label and event, at once; then nothing else is shown.

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
        interrupted = False
        try:
            if json_to is None and console.is_terminal:
                _show_table(subscriber, tally, until, most, console, labels)
            else:
                say(f"listening at {labels}")
                show = _line_shower(console) if json_to is None else _json_shower(json_to)
                _show_each(subscriber, tally, until, most, show, labels)
        except KeyboardInterrupt:
            interrupted = True
        return Watched(tally, subscriber.malformed, time.monotonic() - began, interrupted)


_Show = Callable[[Label | Event, int], None]
"""Shows a label or an event; a label with its latency in ns."""


def _show_each(subscriber: LabelSubscriber, tally: Tally, until: float, most: float, show: _Show, address: str) -> None:
    silent_at = time.monotonic() + _SILENT_S
    while tally.labels < most and (left := until - (now := time.monotonic())) > 0:
        if not tally.streams:
            left = min(left, max(silent_at - now, 0.0))
        message = subscriber.receive(None if left == math.inf else left)
        if message is not None:
            show(message, _add(tally, message))
        elif not tally.streams and silent_at <= time.monotonic() < until:
            if why := _absence(address):
                say(why)
            silent_at = math.inf  # once is enough


def _absence(address: str) -> str:
    """Return that nobody publishes at an address, and what to do; nothing where somebody does."""
    if somebody_listens(address, timeout_s=0.5):
        return ""
    return (
        f"nobody publishes at {address} yet: start a streamer with 'kinestream serve BUNDLE', or name its address with "
        "--labels; this goes on waiting"
    )


def _line_shower(console: Console) -> _Show:
    lines, events = LabelLines(), SafeConsole(stderr=True)

    def show(message: Label | Event, latency_ns: int) -> None:
        if isinstance(message, Label):
            _print(console, lines.line(message, latency_ns))
        elif message.event != "accepted":
            _print(events, event_line(message))

    return show


def _json_shower(file: TextIO) -> _Show:
    def show(message: Label | Event, latency_ns: int) -> None:
        print(json_line(message, latency_ns), file=file, flush=True)

    return show


def _add(tally: Tally, message: Label | Event) -> int:
    """Note a message that has just arrived, and return a label's latency in ns."""
    arrived = monotonic_ns()
    latency = wall_clock.age_ns(message.t_source, arrived) if isinstance(message, Label) else 0
    tally.add(message, arrived, latency)
    return latency


def _show_table(
    subscriber: LabelSubscriber, tally: Tally, until: float, most: float, console: Console, address: str
) -> None:
    drawn_at = 0.0
    absence, asked_at = "", time.monotonic()
    with Live(console=console, auto_refresh=False) as live:
        while tally.labels < most and (now := time.monotonic()) < until:
            if not tally.streams and now - asked_at >= _SILENT_S:
                absence, asked_at = _absence(address), now
            if now - drawn_at >= _DRAW_EVERY_S:
                _draw(live, tally, address, absence)
                drawn_at = now
            message = subscriber.receive(max(min(drawn_at + _DRAW_EVERY_S, until) - time.monotonic(), 0.0))
            if message is not None:
                _add(tally, message)
        _draw(live, tally, address, absence)


def _draw(live: Live, tally: Tally, address: str, absence: str) -> None:
    size = live.console.size
    shown = table_of(tally, monotonic_ns(), size.height - LINES_AROUND, size.width, address, absence)
    live.update(shown, refresh=True)


def _print(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
