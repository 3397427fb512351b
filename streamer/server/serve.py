"""A streamer as a job: what its keeper sees while it runs, and a last word when it is stopped."""

import faulthandler
import io
import resource
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from kinestream.model.engine.engine import Device
from kinestream.screens.serve import Display, said_of_totals
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.server.supervise import taken_charge
from kinestream.streamer.server.tuning import WARM_UP


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
    most_senders: int | None,
    warm_up: bool = WARM_UP,
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
        As in `model.engine.engine.load_engine`.
    forget_after, most_streams
        As in `streamer.recognizer.recognizer.Recognizer`.
    most_senders, warm_up
        As in `streamer.server.server.Streamer`.

    Raises
    ------
    BundleError, MissingExtra, EndpointError
        Where it cannot begin.
    """
    charge = taken_charge()
    if charge is not None:
        ingest, labels = charge.addresses.get("ingest", ingest), charge.addresses.get("labels", labels)
    with suppress(io.UnsupportedOperation, ValueError):  # stderr may be no file
        faulthandler.enable()  # should it die of a signal, it is seen where
    loaded = Recognizer.load(
        bundle, device=device, threads=threads, forget_after=forget_after, most_streams=most_streams
    )
    _allow_many_files()
    with Display() as display:

        def report(streamer: Streamer) -> None:
            display.show(streamer)
            if charge is not None and charge.is_abandoned:
                streamer.stop()

        streamer = Streamer(
            loaded,
            ingest=ingest,
            subscribe=subscribe,
            labels=labels,
            most_senders=most_senders,
            warm_up=warm_up,
            report=report,
        )
        streamer.stop_on_signals()
        about = f"bundle {loaded.bundle.id}, {loaded.engine.name}"
        display.say(f"ready: samples {streamer.ingest}, labels {streamer.labels}, {about}")
        if charge is not None:
            charge.tell_ready(ingest=streamer.ingest, labels=streamer.labels)
        if streamer.room < most_streams:
            display.say(f"open files allow {streamer.room} connections, fewer than {most_streams} streams (ulimit -n)")
        try:
            streamer.run()
        finally:
            streamer.close()
        totals = streamer.totals() | {"restarts": charge.restarts if charge is not None else 0}
        display.say(f"stopped: {said_of_totals(totals)}")
    return totals


def _allow_many_files() -> None:
    """Open as many files as the machine lets us: every connection takes one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
