"""What `bridge` shows: each device's rate, loss and delay, what is in the way, the activity."""

import json
import math
import sys
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kinestream.model.counted import counted
from kinestream.model.printable import printable
from kinestream.screens.stderr import say
from kinestream.streamer.bridges.bridge import Look
from kinestream.streamer.bridges.check import Finding
from kinestream.streamer.bridges.tally import Delivered

_DRAW_EVERY_S, _LINE_EVERY_S = 0.25, 1.0
_LATE_MS = 1000.0


class BridgeScreen:
    """Shows how a bridge is doing: a table on a terminal; elsewhere what changes, as lines; JSON for programs.

    Parameters
    ----------
    console : Console
        Where to.
    json_to : text file, optional
        Where a line of JSON goes every second; then nothing else is shown.

    Attributes
    ----------
    every_s : float
        How often it wants to be told.
    """

    def __init__(self, console: Console, json_to: TextIO | None = None) -> None:
        self._console, self._json_to = console, json_to
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal and json_to is None else None
        self.every_s = _DRAW_EVERY_S if self._live is not None else _LINE_EVERY_S
        self._reported: set[str] = set()
        self._label = ""

    def invite(self, address: str) -> None:
        """Show what a phone is to open, to be scanned; nothing where no phone is expected."""
        if not address:
            return
        if self._json_to is not None:
            print(json.dumps({"kind": "ready", "address": address}), file=self._json_to, flush=True)
            return
        say(f"open this on the phone: {address}")
        if self._console.is_terminal:
            import segno

            segno.make(address, error="l").terminal(out=sys.stderr, compact=True)
            if address.startswith("https"):
                say("the phone will warn of this machine's own certificate: go on to the page all the same")

    def show(self, look: Look, looks: list[Look]) -> None:
        """Show how things are, and keep it as the last of `looks`."""
        looks[:] = [look]
        if self._json_to is not None:
            print(json.dumps({"kind": "look", **look.as_dict()}), file=self._json_to, flush=True)
        elif self._live is not None:
            self._live.update(_table_of(look), refresh=True)
        else:
            self._report_changes(look)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def _report_changes(self, look: Look) -> None:
        for problem in look.problems:
            if problem not in self._reported:
                say(problem)
        self._reported = set(look.problems)
        label = look.label.label if look.label is not None else ""
        if label != self._label:
            say(f"{look.stream}: {label}")
            self._label = label


def print_check(look: Look, found: list[Finding], console: Console) -> None:
    """Print what a rig's devices deliver, and what is wrong with them."""
    console.print(_devices(look))
    findings = {finding.text for finding in found}
    for problem in look.problems:
        if problem not in findings:
            console.print(Text(printable(problem), style="yellow"))
    for finding in found:
        console.print(Text(printable(f"{finding.device}: {finding.text}"), style="yellow"))
    if not found:
        console.print("nothing looks wrong with the devices")


def print_end(look: Look, console: Console) -> None:
    """Print what was carried."""
    readings, lost = sum(each.readings for each in look.devices), sum(each.lost for each in look.devices)
    unsent = sum(each.unsent for each in look.devices) + look.dropped
    more = f", {unsent} not sent" if unsent else ""
    console.print(f"{counted(readings, 'reading')} carried, {lost} missing{more}; {counted(look.labels, 'label')} came")


def _table_of(look: Look) -> RenderableType:
    label = look.label
    if label is None:
        activity = Text("no label yet", style="dim")
    else:
        old = look.label_age_s * 1000 > _LATE_MS
        ago = f", {look.label_age_s:.0f} s ago" if old else ""
        activity = Text(f"{printable(label.label)}  {label.p:.2f}{ago}", style="dim" if old else "bold green")
    lines = [Text(printable(problem), style="yellow") for problem in look.problems]
    head = Text.assemble((printable(look.stream), "bold"), "  ", activity)
    return Group(head, _devices(look), *lines, Text("Ctrl-C ends", style="dim"))


def _devices(look: Look) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("device")
    for name in ("rate Hz", "declared", "jitter ms", "lost", "delay ms", "p95", "silent"):
        table.add_column(name, justify="right", no_wrap=True)
    for seen in look.devices:
        table.add_row(*_row(seen))
    return table


def _row(seen: Delivered) -> list[str]:
    lost = f"{100 * seen.lost_share:.1f}%" if seen.readings else ""
    silent = "-" if math.isinf(seen.silent_s) else f"{seen.silent_s:.0f} s" if seen.silent_s >= 1 else ""
    declared = f"{seen.nominal_hz:g}" if seen.nominal_hz else ""
    figures = [_figure(seen.jitter_ms), lost, _figure(seen.delay_ms), _figure(seen.delay_p95_ms), silent]
    return [printable(seen.device), _figure(seen.rate_hz), declared, *figures]


def _figure(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.1f}"
