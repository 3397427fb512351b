"""Serves metrics of a streamer to Prometheus, as its status comes in."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from kinestream.model.clock import now_ns
from kinestream.model.errors import EndpointError
from kinestream.model.extras import need
from kinestream.streamer.client.watcher import WatchSubscriber
from kinestream.streamer.keys.keyfile import ClientKeys, found_keys
from kinestream.streamer.metrics.families import families
from kinestream.streamer.metrics.fleet import FleetStatus
from kinestream.streamer.wire.messages import WATCH
from kinestream.streamer.wire.status import Status

_LOOK_S = 0.5


class Exporter:
    """Listens to a streamer's status, and answers whoever scrapes.

    Parameters
    ----------
    watch : str
        Where the streamer is watched.
    host, port : str, int
        Where to answer; port 0 for any that is free.
    keys : str, Path or ClientKeys, optional
        The file of your keys, where the streamer asks for them; that which `KINESTREAM_KEYS` names by default.
    fleet : str, optional
        Where a fleet's directory answers, in place of `watch`: then each metric says of which streamer it is.

    Attributes
    ----------
    address : str
        Where metrics are to be had.
    status : Status or None
        The newest, of one streamer.
    fleet : FleetStatus or None
        How a fleet's streamers fare.

    Raises
    ------
    EndpointError
        If an address cannot be used. That nobody is there is no error: somebody may come.
    MissingExtra
        If ``prometheus_client`` is not installed.
    """

    def __init__(
        self,
        watch: str = WATCH,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        keys: str | Path | ClientKeys | None = None,
        fleet: str | None = None,
    ) -> None:
        need("the exporter of metrics", "prometheus_client", extra="metrics")
        from prometheus_client import CollectorRegistry, start_http_server

        who = found_keys(keys)
        self.status: Status | None = None
        self.fleet: FleetStatus | None = None
        self._watch: WatchSubscriber | None = None
        self._stopping = threading.Event()
        registry = CollectorRegistry()
        if fleet is None:
            self._watch = WatchSubscriber(watch, status=True, keys=who)
            registry.register(_Collector(lambda: families(self.status, now_ns())))
        else:
            self.fleet = followed = FleetStatus(fleet, who)
            registry.register(_Collector(lambda: followed.families(now_ns())))
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            self._close_sockets()
            raise EndpointError(
                f"metrics cannot be served at {host}:{port} ({error.strerror}): give another --host or --port"
            ) from None
        named = f"[{host}]" if ":" in host else host
        self.address = f"http://{named}:{self._server.server_port}/metrics"

    def run(self) -> None:
        """Take what comes, until `stop`.

        Raises
        ------
        EndpointError
            If what answers at the address is something else.
        AccessError
            If the streamer, or the fleet's directory, does not accept the keys, or the lack of them.
        """
        while not self._stopping.is_set():
            if self.fleet is not None:
                self.fleet.take()
                self._stopping.wait(_LOOK_S)
            elif self._watch is not None and isinstance(message := self._watch.receive(_LOOK_S), Status):
                self.status = message

    def stop(self) -> None:
        """Make `run` return soon; may be called from another thread."""
        self._stopping.set()

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._close_sockets()

    def _close_sockets(self) -> None:
        for each in (self._watch, self.fleet):
            if each is not None:
                each.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Collector:
    """What ``prometheus_client`` asks at each scrape."""

    def __init__(self, collect: Callable[[], Iterator[Any]]) -> None:
        self.collect = collect
