"""The demo: a shipped model names the activities of people it has never seen, live, through a streamer of its own."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from kinestream.model.clock import now_ns
from kinestream.model.counted import counted
from kinestream.model.datasets import Recording, open_source
from kinestream.replay.play.take import Take, takes_of
from kinestream.replay.process import started_streamer
from kinestream.replay.report import ReplayReport, percentiles
from kinestream.replay.run import play_takes
from kinestream.screens.console import SafeConsole, styled
from kinestream.screens.demo import DemoScreen

DATA = Path(__file__).parent / "demo_data"
BUNDLE = DATA / "bundle"
RECORDINGS = DATA / "sp-sw-har-excerpt.zip"

_APART_S = 0.002  # wearers do not move in step; what is left of the 20 ms between samples is time to draw


@dataclass(frozen=True)
class DemoReport:
    """What the demo came to."""

    replay: ReplayReport

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it: the keys are a replay's."""
        return self.replay.as_dict()

    def print(self, console: Console) -> None:
        """Print accuracy and latency, and where to go on."""
        live = self.replay.live
        assert live is not None, "the demo is always scored"
        if live.scores is None:
            console.print(f"nothing to score: {live.unscored}; give it more --seconds")
            return
        if self.replay.vanished:
            console.print(f"[red]the figures are of what had come by then: {self.replay.vanished}[/]")
        if self.replay.interrupted:
            console.print(styled(("interrupted: the figures are of what had come by then", "yellow")))
        averages, floor = live.scores.averages, live.scores.floor
        latency, timing = percentiles(live.latency_ms), percentiles(self.replay.pacing_error_ms, (50, 99))
        always = f"always {live.scores.floor_class}: {floor.accuracy:.3f}, {floor.f1_macro:.3f}"
        over = f", macro F1 {averages.f1_macro:.3f} over {live.scores.windows} windows ({always})"
        console.print()
        console.print(styled((f"accuracy {averages.accuracy:.3f}", "bold"), over))
        until = f", p99 {latency['p99']:.2f} ms, from a window's last sample to its label"
        console.print(styled((f"latency p50 {latency['p50']:.2f} ms", "bold"), until))
        console.print(
            f"{live.received:,} of {counted(live.expected, 'label')}, {live.missing:,} missing; samples left within "
            f"{timing['p99']:.2f} ms of their time (p99)"
        )
        console.print(
            styled(("next: kinestream --help, or the README's three jobs: replay, subscribe, measure", "dim"))
        )


def demo(*, seconds: float | None = None, speed: float = 1.0, console: Console | None = None) -> DemoReport:
    """Start a streamer with the shipped bundle, play the shipped recordings into it, and score its labels.

    Parameters
    ----------
    seconds : float, optional
        Stop after so many seconds of recording; play all by default.
    speed : float
        How many times as fast as it was recorded.
    console : Console, optional
        Where the labels are shown; stderr by default.

    Raises
    ------
    EndpointError
        If the streamer does not start.
    """
    console = console or SafeConsole(stderr=True, highlight=False)
    takes = demo_takes(open_source(RECORDINGS).recordings(), seconds)
    with started_streamer(BUNDLE) as streamer:
        addresses = streamer.addresses
        console.print(f"streamer ready: samples {addresses.ingest}, labels {addresses.labels}")
        screen = DemoScreen(takes, console)
        return DemoReport(play_takes(takes, addresses, speed=speed, score=True, screen=screen))


def demo_takes(recordings: Iterable[Recording], seconds: float | None) -> list[Take]:
    """Return a stream per person, whose recordings follow one another as sessions; all people begin together."""
    first_session = now_ns()
    behind: dict[str, list[Take]] = {}
    for recording in recordings:
        begin_s = _APART_S * len(behind) if recording.person not in behind else 0.0
        own = behind.setdefault(recording.person, [])
        start_s = own[-1].start_s + own[-1].recording.seconds if own else begin_s
        left_s = None if seconds is None else seconds - start_s
        if left_s is not None and left_s * recording.rate_hz < 1:
            continue
        named = replace(recording, id=recording.person)
        (take,) = takes_of([named], first_session=first_session + len(own), duration_s=left_s)
        own.append(replace(take, start_s=start_s))
    return [take for own in behind.values() for take in own]
