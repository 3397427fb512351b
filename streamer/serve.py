"""A streamer as a job: what its keeper sees while it runs, and a last word when it is stopped."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from rich.live import Live
from rich.text import Text

from model.clock import now_ns
from model.console import SafeConsole
from model.engine import Device
from model.printable import printable
from streamer.loop import Streamer
from streamer.recognizer import Recognizer

_LOG_EVERY_NS = 60_000_000_000  # where there is no terminal to keep a line up to date on


def serve(
    bundle: str | Path,
    *,
    ingest: str,
    subscribe: Sequence[str],
    labels: str,
    device: Device,
    threads: int,
    forget_after: float,
    most_streams: int,
) -> dict[str, int]:
    """Serve a bundle until SIGTERM or Ctrl-C, and return every counter.

    Parameters
    ----------
    bundle : str or Path
        The bundle's folder.
    ingest, labels : str
        Addresses to bind; a port given as ``*`` is chosen, and named in the line that says it is ready.
    subscribe : sequence of str
        Publishers of samples to connect to.
    device, threads
        As in `model.engine.load_engine`.
    forget_after, most_streams
        As in `streamer.recognizer.Recognizer`.

    Raises
    ------
    BundleError, MissingExtra, EndpointError
        Where it cannot begin.
    """
    loaded = Recognizer.load(
        bundle, device=device, threads=threads, forget_after=forget_after, most_streams=most_streams
    )
    with _Display() as display:
        streamer = Streamer(loaded, ingest=ingest, subscribe=subscribe, labels=labels, report=display.show)
        streamer.stop_on_signals()
        about = f"bundle {loaded.bundle.id}, {loaded.engine.name}"
        display.say(f"ready: samples {streamer.ingest}, labels {streamer.labels}, {about}")
        try:
            streamer.run()
        finally:
            streamer.close()
        totals = streamer.totals()
        display.say(f"stopped: {_said(totals)}")
    return totals


class _Display:
    """Keeps one line up to date on a terminal; elsewhere writes one a minute. Its reader may go: serving goes on."""

    def __init__(self) -> None:
        self._console = SafeConsole(stderr=True, highlight=False)
        # Drawn only when there is something new, by the thread that serves: another one would disturb it more often.
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._before: dict[str, int] = {}
        self._logged = now_ns()

    def say(self, line: str) -> None:
        with suppress(OSError, SystemExit):  # rich leaves the program when a pipe is closed
            self._console.print(printable(line), soft_wrap=True)

    def show(self, streamer: Streamer) -> None:
        """Say how it goes."""
        if self._console.is_terminal:
            with suppress(OSError, SystemExit):
                self._live.update(Text(self._pace(streamer), no_wrap=True, overflow="ellipsis"), refresh=True)
        elif now_ns() - self._logged >= _LOG_EVERY_NS:
            self._logged = now_ns()
            self.say(f"{streamer.recognizer.streams} streams; {_said(streamer.totals())}")

    def _pace(self, streamer: Streamer) -> str:
        counts = streamer.recognizer.counts + Counter(messages_received=streamer.received)
        passed = counts - Counter(self._before)
        self._before = dict(counts)
        return (
            f"{streamer.recognizer.streams} streams, {passed['messages_received']} messages/s, "
            f"{passed['windows_labelled']} labels/s; {counts['windows_labelled']} labels so far, "
            f"{counts['windows_skipped_missing'] + counts['windows_skipped_overload']} windows skipped"
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError, SystemExit):
            self._live.stop()


def _said(totals: dict[str, int]) -> str:
    """Say how much came and went, and what was lost on the way and why."""
    lost = (
        "samples_late",
        "samples_duplicate",
        "samples_closed_session",
        "windows_skipped_missing",
        "windows_skipped_overload",
    )
    said = [f"{totals.get('samples_received', 0)} samples in", f"{totals.get('windows_labelled', 0)} labels out"]
    said += [f"{totals[name]} {name.replace('_', ' ')}" for name in lost if totals.get(name)]
    said += [
        f"{count} {name.replace('_', ' ')}"
        for name, count in totals.items()
        if name.startswith("messages_") and name not in ("messages_received", "messages_taken")
    ]
    return ", ".join(said)
