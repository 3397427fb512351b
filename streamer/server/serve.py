"""A streamer as a job: a process that does nothing else, and what whoever started it is told."""

import faulthandler
import gc
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from kinestream.model.clock import monotonic_ns
from kinestream.model.engine.engine import Device
from kinestream.model.system import allow_many_files, give_back_memory
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.server import tuning
from kinestream.streamer.server.exposure import check_unexposed
from kinestream.streamer.server.history import HISTORY_S
from kinestream.streamer.server.lifecycle import Display, Lifecycle
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.server.supervise import orders_given
from kinestream.streamer.streams.devices import PATIENCE_S


def serve(
    bundle: str | Path,
    *,
    display: Display,
    ingest: str,
    subscribe: Sequence[str],
    labels: str,
    control: str,
    watch: str | None = None,
    device: Device,
    threads: int,
    forget_after: float,
    most_streams: int,
    most_senders: int | None,
    history: float = HISTORY_S,
    patience: float = PATIENCE_S,
    warm_up: bool = tuning.WARM_UP,
    io_threads: int = tuning.IO_THREADS,
    drain: float = tuning.DRAIN_S,
    keys: Path | None = None,
    insecure: bool = False,
) -> dict[str, int]:
    """Serve a bundle until SIGTERM or Ctrl-C, and return every counter.

    Parameters
    ----------
    bundle : str or Path
        The bundle's folder.
    display : Display
        What shows how it goes.
    ingest, labels, control, watch : str
        Addresses to bind; a port given as ``*`` is chosen, and named when it is ready. Without `watch`, see
        `kinestream.streamer.server.ports.watch_address`.
    subscribe : sequence of str
        Publishers of samples to connect to.
    device, threads
        As in `kinestream.model.engine.load.load_engine`.
    forget_after, most_streams, patience
        As in `kinestream.streamer.recognizer.recognizer.Recognizer`.
    insecure : bool
        Whether addresses that other machines reach may be bound though nobody is asked for a key.
    most_senders, warm_up, io_threads, history, keys
        As in `kinestream.streamer.server.server.Streamer`.
    drain : float
        For how many seconds, at most, what still comes is served once it is asked to stop.

    Raises
    ------
    BundleError, MissingExtra, EndpointError
        Where it cannot begin.
    """
    if keys is None and not insecure:
        check_unexposed((ingest, labels, control, *(() if watch is None else (watch,))))
    orders = orders_given()
    if orders is not None:
        bundle = orders.addresses.pop("bundle", bundle)
        before = {"ingest": ingest, "labels": labels, "control": control} | orders.addresses
        ingest, labels, control = before["ingest"], before["labels"], before["control"]
        watch = orders.addresses.get("watch", watch)
    with suppress(io.UnsupportedOperation, ValueError):  # stderr may be no file
        faulthandler.enable()  # should it die of a signal, it is seen where
    with display:
        loaded = Recognizer.load(
            bundle,
            device=device,
            threads=threads,
            forget_after=forget_after,
            most_streams=most_streams,
            patience=patience,
        )
        allow_many_files()
        memory = _Memory()
        life = Lifecycle(display, orders, loaded, drain)

        def report(streamer: Streamer) -> None:
            display.show(streamer)
            memory.look()
            life.live(streamer)

        streamer = Streamer(
            loaded,
            ingest=ingest,
            subscribe=subscribe,
            labels=labels,
            control=control,
            watch=watch,
            most_senders=most_senders,
            history=history,
            warm_up=warm_up,
            io_threads=io_threads,
            device=device,
            threads=threads,
            keys=keys,
            folder=os.fspath(bundle),
            drain_s=drain,
            on_reload=life.reload,
            on_stop=life.stopping,
            report=report,
        )
        streamer.stop_on_signals()
        life.ready(streamer)
        if streamer.ports.room < most_streams:
            display.say(
                f"open files allow {streamer.ports.room} connections, fewer than {most_streams} streams (ulimit -n)"
            )
        try:
            _give_process_to_labels()
            streamer.run()
        finally:
            streamer.close()
        totals = life.stopped(streamer.totals())
    return totals


class _Memory:
    """Gives back what messages took that piled up while something held the streamer up, and are long gone.

    libzmq's thread allocates them and another one frees them, so that glibc keeps the pages: a process stays as large
    as in its worst moment, and larger, since what piles up next lies between them.
    """

    def __init__(self) -> None:
        self._at = monotonic_ns() + tuning.MEMORY_INTERVAL_NS

    def look(self) -> None:
        if (now := monotonic_ns()) >= self._at:
            self._at = now + tuning.MEMORY_INTERVAL_NS
            give_back_memory()


def _give_process_to_labels() -> None:
    """Have the interpreter hold up no label: this process does nothing but serve."""
    sys.setswitchinterval(tuning.SWITCH_INTERVAL_S)
    gc.freeze()  # what was loaded stays: to look through it for garbage holds up labels
