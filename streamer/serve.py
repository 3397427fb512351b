"""A streamer as a job: what its keeper sees while it runs, and a last word when it is stopped."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.status import Status

from model.clock import now_ns
from model.engine import Device
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
    console = Console(stderr=True, highlight=False)
    loaded = Recognizer.load(
        bundle, device=device, threads=threads, forget_after=forget_after, most_streams=most_streams
    )
    with console.status("waiting for samples") as status:
        progress = _Progress(console, status)
        streamer = Streamer(loaded, ingest=ingest, subscribe=subscribe, labels=labels, report=progress.show)
        streamer.stop_on_signals()
        about = f"bundle {loaded.bundle.id}, {loaded.engine.name}"
        console.print(f"ready: samples {streamer.ingest}, labels {streamer.labels}, {about}", soft_wrap=True)
        try:
            streamer.run()
        finally:
            streamer.close()
    totals = streamer.totals()
    console.print(f"stopped: {_said(totals)}", soft_wrap=True)
    return totals


class _Progress:
    """Keeps one line up to date on a terminal; elsewhere writes one a minute."""

    def __init__(self, console: Console, status: Status) -> None:
        self._console = console
        self._status = status
        self._before: dict[str, int] = {}
        self._logged = now_ns()

    def show(self, totals: dict[str, int]) -> None:
        samples = totals.get("samples_received", 0) - self._before.get("samples_received", 0)
        labels = totals.get("windows_labelled", 0) - self._before.get("windows_labelled", 0)
        self._before = totals
        line = f"{totals['streams']} streams, {samples} samples/s, {labels} labels/s; {_said(totals)}"
        self._status.update(line)
        if not self._console.is_terminal and now_ns() - self._logged >= _LOG_EVERY_NS:
            self._logged = now_ns()
            self._console.print(line, soft_wrap=True)


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
        if name.startswith("messages_") and name != "messages_received"
    ]
    return ", ".join(said)
