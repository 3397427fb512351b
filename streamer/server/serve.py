"""A streamer as a job: a process that does nothing else, and what whoever started it is told."""

import faulthandler
import gc
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from kinestream.model.engine.engine import Device
from kinestream.model.system import allow_many_files
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.server import tuning
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.server.supervise import orders_given


@dataclass(frozen=True)
class Ready:
    """A streamer that takes samples from now on.

    Parameters
    ----------
    samples, labels, control : str
        Where samples go in and labels come out, and where senders ask what becomes of their streams.
    bundle : str
        Name and fingerprint of its bundle.
    engine : str
        What computes.
    pid : int
        The process that serves.
    """

    samples: str
    labels: str
    control: str
    bundle: str
    engine: str
    pid: int

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it; ``ready`` tells it from the counters that follow when it is stopped."""
        return {"ready": True, **asdict(self)}


class Display(Protocol):
    """Shows how a streamer fares; open while it serves. Nothing of it may wait for whoever looks at it."""

    def begin(self, ready: Ready) -> None:
        """Show that it is ready, and where."""

    def say(self, line: str) -> None:
        """Show a line."""

    def show(self, streamer: Streamer) -> None:
        """Show how it goes; called about once a second."""

    def end(self, totals: dict[str, int]) -> None:
        """Show what it all came to."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """End."""


def serve(
    bundle: str | Path,
    *,
    display: Display,
    ingest: str,
    subscribe: Sequence[str],
    labels: str,
    control: str,
    device: Device,
    threads: int,
    forget_after: float,
    most_streams: int,
    most_senders: int | None,
    warm_up: bool = tuning.WARM_UP,
) -> dict[str, int]:
    """Serve a bundle until SIGTERM or Ctrl-C, and return every counter.

    Parameters
    ----------
    bundle : str or Path
        The bundle's folder.
    display : Display
        What shows how it goes.
    ingest, labels, control : str
        Addresses to bind; a port given as ``*`` is chosen, and named when it is ready.
    subscribe : sequence of str
        Publishers of samples to connect to.
    device, threads
        As in `model.engine.load.load_engine`.
    forget_after, most_streams
        As in `streamer.recognizer.recognizer.Recognizer`.
    most_senders, warm_up
        As in `streamer.server.server.Streamer`.

    Raises
    ------
    BundleError, MissingExtra, EndpointError
        Where it cannot begin.
    """
    orders = orders_given()
    if orders is not None:
        before = {"ingest": ingest, "labels": labels, "control": control} | orders.addresses
        ingest, labels, control = before["ingest"], before["labels"], before["control"]
    with suppress(io.UnsupportedOperation, ValueError):  # stderr may be no file
        faulthandler.enable()  # should it die of a signal, it is seen where
    loaded = Recognizer.load(
        bundle, device=device, threads=threads, forget_after=forget_after, most_streams=most_streams
    )
    allow_many_files()
    with display:

        def report(streamer: Streamer) -> None:
            display.show(streamer)
            if orders is not None and orders.is_abandoned:
                streamer.stop()

        streamer = Streamer(
            loaded,
            ingest=ingest,
            subscribe=subscribe,
            labels=labels,
            control=control,
            most_senders=most_senders,
            warm_up=warm_up,
            report=report,
        )
        streamer.stop_on_signals()
        where = (streamer.ingest, streamer.labels, streamer.control)
        if orders is not None:  # before anybody learns of it: should it die then, it is started again
            orders.report_ready(ingest=streamer.ingest, labels=streamer.labels, control=streamer.control)
        display.begin(Ready(*where, loaded.bundle.id, loaded.engine.name, os.getpid()))
        if streamer.room < most_streams:
            display.say(f"open files allow {streamer.room} connections, fewer than {most_streams} streams (ulimit -n)")
        try:
            _give_process_to_labels()
            streamer.run()
        finally:
            streamer.close()
        if orders is not None:
            orders.report_stopped()
        totals = streamer.totals() | {"restarts": orders.restarts if orders is not None else 0}
        display.end(totals)
    return totals


def _give_process_to_labels() -> None:
    """Have the interpreter hold up no label: this process does nothing but serve."""
    sys.setswitchinterval(tuning.SWITCH_INTERVAL_S)
    gc.freeze()  # what was loaded stays: to look through it for garbage holds up labels
