"""What the demo shows: each wearer's latest label next to the truth; then accuracy and latency."""

from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kinestream.model.counted import counted
from kinestream.model.printable import printable
from kinestream.model.recordings.recording import UNLABELLED
from kinestream.replay.play.playback import Playback
from kinestream.replay.play.take import Take
from kinestream.replay.report import ReplayReport, percentiles
from kinestream.replay.run import Addresses
from kinestream.screens.console import styled
from kinestream.screens.stderr import say
from kinestream.streamer.client import Label

_STRIP = 26  # verdicts: as many as fit beside the other columns in a terminal of 80


class DemoScreen:
    """A live table on a terminal, a line a label elsewhere.

    Parameters
    ----------
    takes : sequence of Take
        What is played; the truth is theirs.
    addresses : Addresses
        Where the streamer is.
    console : Console
        Where to show it.
    """

    every_s = 0.25

    def __init__(self, takes: Sequence[Take], addresses: Addresses, console: Console) -> None:
        self._truths = {(take.stream, take.session): take.recording for take in takes}
        self._streams = tuple(dict.fromkeys(take.stream for take in takes))
        self._newest: dict[str, Label] = {}
        self._verdicts: dict[str, list[bool]] = {stream: [] for stream in self._streams}
        self._addresses = addresses
        self._console = console
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def say(self, line: str) -> None:
        """Say it on stderr."""
        say(line)

    def hear(self, label: Label, latency_ms: float) -> None:
        """Hold a label against the truth."""
        truth = self._truth(label)
        self._verdicts[label.stream].append(label.label == truth)
        self._newest[label.stream] = label
        if self._live is None:
            verdict = "right" if label.label == truth else "wrong"
            self._console.print(
                printable(f"{label.stream}  {label.label:<13} {label.p:.2f}  truth {truth:<13} {verdict}")
                + f"  {latency_ms:5.2f} ms",
                soft_wrap=True,
            )

    def draw(self, playback: Playback) -> None:
        """Show where every wearer is."""
        if self._live is not None:
            self._live.update(self._table(playback), refresh=True)

    def __enter__(self) -> Self:
        """Say that the streamer is ready, and begin."""
        self._console.print(f"streamer ready: samples {self._addresses.ingest}, labels {self._addresses.labels}")
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last state standing."""
        if self._live is not None:
            self._live.stop()

    def _truth(self, label: Label) -> str:
        recording = self._truths[label.stream, label.session]
        if label.last_seq >= len(recording.labels):
            return "-"  # of a streamer that makes things up
        code = int(recording.labels[label.last_seq])
        return "-" if code == UNLABELLED else recording.classes[code]

    def _table(self, playback: Playback) -> Table:
        seconds = f"{playback.seconds:.0f} s, {counted(playback.samples_sent, 'sample')} sent"
        table = Table(box=None, caption=seconds, caption_justify="left", padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("wearer", no_wrap=True)
        table.add_column("live label", no_wrap=True, min_width=13)
        table.add_column("p", justify="right")
        table.add_column("truth", no_wrap=True, min_width=13)
        table.add_column("right", justify="right", no_wrap=True)
        table.add_column("latest windows", no_wrap=True)
        for stream in self._streams:
            table.add_row(stream, *self._row(stream))
        return table

    def _row(self, stream: str) -> list[Text | str]:
        label, verdicts = self._newest.get(stream), self._verdicts[stream]
        if label is None:
            return ["-", "", "", "", ""]
        style = "bold green" if verdicts[-1] else "bold red"
        strip = Text.assemble(*(("■", "green") if right else ("x", "red") for right in verdicts[-_STRIP:]))
        right = f"{sum(verdicts)}/{len(verdicts)}"
        return [styled((label.label, style)), f"{label.p:.2f}", self._truth(label), right, strip]


def print_demo(report: ReplayReport, console: Console) -> None:
    """Print accuracy and latency, and where to go on."""
    live = report.live
    assert live is not None, "the demo is always scored"
    if live.scores is None:
        console.print(f"nothing to score: {live.unscored}; give it more --seconds")
        return
    if report.vanished:
        console.print(styled((f"the figures are of what had come by then: {report.vanished}", "red")))
    if report.interrupted:
        console.print(styled(("interrupted: the figures are of what had come by then", "yellow")))
    averages, floor = live.scores.averages, live.scores.floor
    latency, timing = percentiles(live.latency_ms), percentiles(report.pacing_error_ms, (50, 99))
    always = f"always {live.scores.floor_class}: {floor.accuracy:.3f}, {floor.f1_macro:.3f}"
    over = f", macro F1 {averages.f1_macro:.3f} over {counted(live.scores.windows, 'window')} ({always})"
    console.print()
    console.print(styled((f"accuracy {averages.accuracy:.3f}", "bold"), over))
    until = f", p99 {latency['p99']:.2f} ms, from a window's last sample to its label"
    console.print(styled((f"latency p50 {latency['p50']:.2f} ms", "bold"), until))
    console.print(
        f"{live.received:,} of {counted(live.expected, 'label')}, {live.missing:,} missing; samples left within "
        f"{timing['p99']:.2f} ms of their time (p99)"
    )
    console.print(styled(("next: kinestream --help, or the README's three jobs: replay, subscribe, measure", "dim")))
