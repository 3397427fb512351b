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
from kinestream.screens.watch_strips import Strips
from kinestream.screens.watch_table import LINES_AROUND, table_of
from kinestream.streamer.client import Annotation, Label, LabelSubscriber
from kinestream.streamer.client.activities import Activities
from kinestream.streamer.events.lines import LabelLines, annotation_line, event_line, json_line
from kinestream.streamer.transport.addresses import somebody_listens
from kinestream.streamer.watch.activitylines import ActivityLines, activity_json
from kinestream.streamer.watch.tally import Tally
from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire.messages import Published

_DRAW_EVERY_S = 0.2
_FIRST_S, _SILENT_S = 1.0, 3.0
"""Time without any message, and without another one, after which it is asked whether there is a streamer."""


@dataclass(frozen=True)
class Watched:
    """What was seen.

    Parameters
    ----------
    tally : Tally
        By stream.
    malformed : int
        Messages that could not be read.
    filled : int
        Messages that were missed first, or were published before, and came because they were asked for.
    seconds : float
        How long it was looked at.
    interrupted : bool
        Whether Ctrl-C ended it.
    """

    tally: Tally
    malformed: int
    seconds: float
    interrupted: bool = False
    filled: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the totals as JSON takes them."""
        streams = {seen.stream: seen.as_dict() for seen in self.tally.streams.values()}
        return {
            "kind": "totals",
            "labels": self.tally.labels,
            "windows_skipped": sum(seen.skipped for seen in self.tally.streams.values()),
            "windows_missed": sum(seen.missed for seen in self.tally.streams.values()),
            "messages_filled": self.filled,
            "malformed": self.malformed,
            "seconds": round(self.seconds, 3),
            "streams": streams,
        }


def watch(
    labels: str = wire.LABELS,
    *,
    control: str | None = None,
    streams: Sequence[str] | None = None,
    seconds: float | None = None,
    count: int | None = None,
    activities: bool = False,
    console: Console | None = None,
    json_to: TextIO | None = None,
    keys: str | None = None,
    fleet: str | None = None,
) -> Watched:
    """Show labels until Ctrl-C, or until enough time has passed or enough labels have come.

    Parameters
    ----------
    labels : str
        Where the streamer publishes.
    control : str, optional
        Where it answers; see `LabelSubscriber`.
    streams : sequence of str, optional
        The streams to watch; all by default.
    seconds : float, optional
        For how long.
    count : int, optional
        For how many labels.
    activities : bool
        Whether to show, in place of labels, the activities that they tell.
    console : Console, optional
        Where to; stdout by default. A terminal gets a table; anything else a line for each label, and events are told
        on stderr.
    json_to : text file, optional
        Where a line of JSON goes for each label, event and annotation, at once; then nothing else is shown.
    keys : str, optional
        As for `kinestream.streamer.client.LabelSubscriber`.
    fleet : str, optional
        Where a fleet's directory answers, in place of a streamer's addresses.

    Raises
    ------
    EndpointError
        If the address cannot be used.
    """
    console = console or SafeConsole()
    tally, stage = Tally(), Activities() if activities else None
    began = time.monotonic()
    until = math.inf if seconds is None else began + seconds
    most = math.inf if count is None else count
    with LabelSubscriber(
        labels, streams=streams, events=True, annotations=True, control=control, keys=keys, fleet=fleet
    ) as subscriber:
        labels = fleet or labels
        interrupted = False
        try:
            if json_to is None and console.is_terminal:
                _show_table(subscriber, tally, until, most, console, labels, stage)
            else:
                say(f"listening at {labels}")
                show = _line_shower(console, stage) if json_to is None else _json_shower(json_to, stage)
                _show_each(subscriber, tally, until, most, show, labels)
        except KeyboardInterrupt:
            interrupted = True
        return Watched(tally, subscriber.malformed, time.monotonic() - began, interrupted, subscriber.filled)


_Show = Callable[[Published, int, bool], None]
"""Shows a label, an event or an annotation; a label with its latency in ns, and whether it was asked for."""


def _show_each(subscriber: LabelSubscriber, tally: Tally, until: float, most: float, show: _Show, address: str) -> None:
    silent_at = time.monotonic() + _FIRST_S
    while tally.labels < most and (left := until - (now := time.monotonic())) > 0:
        left = min(left, max(silent_at - now, 0.0))
        before = subscriber.filled
        message = subscriber.receive(None if left == math.inf else left)
        if message is not None:
            is_filled = subscriber.filled > before
            show(message, _add(tally, message, is_filled), is_filled)
            silent_at = time.monotonic() + _SILENT_S
        elif silent_at <= time.monotonic() < until:
            why = _absence(address, tally)
            if why:
                say(why)
            # Once is enough, until somebody is heard again; a streamer that is only silent may die yet.
            silent_at = math.inf if why else time.monotonic() + _SILENT_S


def _absence(address: str, tally: Tally) -> str:
    """Return that nobody publishes at an address, and what to do; nothing where somebody does."""
    if somebody_listens(address, timeout_s=0.5):
        return ""
    if tally.streams:
        return (
            f"nobody publishes at {address} any more: start the streamer again with 'kinestream serve BUNDLE'; "
            "this goes on waiting"
        )
    return (
        f"nobody publishes at {address} yet: start a streamer with 'kinestream serve BUNDLE', or name its address with "
        "--labels, a fleet's with --fleet; this goes on waiting"
    )


def _line_shower(console: Console, stage: Activities | None) -> _Show:
    lines, events = LabelLines(), SafeConsole(stderr=True)
    told = ActivityLines()

    def show(message: Published, latency_ns: int, is_filled: bool) -> None:
        for activity in stage.add(message) if stage is not None else ():
            if (line := told.line(activity)) is not None:
                _print(console, line)
        if isinstance(message, Label) and stage is not None:
            return
        if isinstance(message, Label):
            _print(console, lines.line(message, latency_ns, is_filled))
        elif isinstance(message, Annotation):
            _print(events, annotation_line(message))
        elif message.event != "accepted":
            _print(events, event_line(message))

    return show


def _json_shower(file: TextIO, stage: Activities | None) -> _Show:
    def show(message: Published, latency_ns: int, is_filled: bool) -> None:
        if stage is not None:
            for activity in stage.add(message):
                _write_line(file, activity_json(activity))
            if isinstance(message, Label):
                return
        _write_line(file, json_line(message, latency_ns, is_filled))

    return show


def _write_line(file: TextIO, line: str) -> None:
    """Write a line at once: Ctrl-C may come between a line and its end where these are written one by one."""
    file.write(f"{line}\n")
    file.flush()


def _add(tally: Tally, message: Published, is_filled: bool) -> int:
    """Note a message that has just arrived, and return a label's latency in ns."""
    arrived = monotonic_ns()
    latency = wall_clock.age_ns(message.t_source, arrived) if isinstance(message, Label) else 0
    tally.add(message, arrived, latency, is_filled=is_filled)
    return latency


def _show_table(
    subscriber: LabelSubscriber,
    tally: Tally,
    until: float,
    most: float,
    console: Console,
    address: str,
    stage: Activities | None,
) -> None:
    drawn_at = 0.0
    strips = Strips()
    absence, silent_at = "", time.monotonic() + _FIRST_S
    with Live(console=console, auto_refresh=False) as live:
        while tally.labels < most and (now := time.monotonic()) < until:
            if now >= silent_at:
                absence = _absence(address, tally)
                silent_at = time.monotonic() + _SILENT_S
            if now - drawn_at >= _DRAW_EVERY_S:
                _draw(live, tally, strips, address, absence)
                drawn_at = now
            before = subscriber.filled
            message = subscriber.receive(max(min(drawn_at + _DRAW_EVERY_S, until) - time.monotonic(), 0.0))
            if message is not None:
                absence, silent_at = "", time.monotonic() + _SILENT_S
                _add(tally, message, subscriber.filled > before)
                strips.add(message, monotonic_ns())
                for activity in stage.add(message) if stage is not None else ():
                    tally.add_activity(activity)
        _draw(live, tally, strips, address, absence)


def _draw(live: Live, tally: Tally, strips: Strips, address: str, absence: str) -> None:
    size = live.console.size
    shown = table_of(tally, monotonic_ns(), size.height - LINES_AROUND, size.width, address, absence, strips)
    live.update(shown, refresh=True)


def _print(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
