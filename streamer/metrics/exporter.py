"""Serves metrics of a streamer to Prometheus, as its status comes in."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import zmq

from kinestream.model.clock import now_ns
from kinestream.model.errors import EndpointError
from kinestream.model.extras import need
from kinestream.streamer.keys.curve import present
from kinestream.streamer.keys.keyfile import ClientKeys, found_keys
from kinestream.streamer.metrics.families import families
from kinestream.streamer.transport.handshakes import Handshakes
from kinestream.streamer.transport.sockets import connect
from kinestream.streamer.wire.messages import WATCH, MalformedMessage
from kinestream.streamer.wire.status import STATUS_TOPIC, Status
from kinestream.streamer.wire.watched import MAX_WATCHED, decode_watched

_POLL_MS = 500


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

    Attributes
    ----------
    address : str
        Where metrics are to be had.
    status : Status or None
        The newest.

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
    ) -> None:
        need("the exporter of metrics", "prometheus_client", extra="metrics")
        from prometheus_client import CollectorRegistry, start_http_server

        who = found_keys(keys)
        self.status: Status | None = None
        self._watch = watch
        self._stopping = threading.Event()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.set(zmq.RCVHWM, 10)
        self._socket.set(zmq.LINGER, 0)
        present(self._socket, who, MAX_WATCHED)
        self._socket.set(zmq.HEARTBEAT_IVL, 5000)
        self._socket.subscribe(STATUS_TOPIC)
        self._handshakes = Handshakes(self._socket, "watch", None if who is None else who.client)
        try:
            connect(self._socket, watch)
            registry = CollectorRegistry()
            registry.register(_Collector(lambda: self.status))
            try:
                self._server, self._thread = start_http_server(port, host, registry)
            except OSError as error:
                raise EndpointError(
                    f"metrics cannot be served at {host}:{port} ({error.strerror}): give another --host or --port"
                ) from None
        except BaseException:
            self._handshakes.close()
            self._context.destroy(linger=0)
            raise
        named = f"[{host}]" if ":" in host else host
        self.address = f"http://{named}:{self._server.server_port}/metrics"

    def run(self) -> None:
        """Take what comes, until `stop`.

        Raises
        ------
        EndpointError
            If what answers at the address is something else.
        AccessError
            If the streamer does not accept the keys, or the lack of them.
        """
        while not self._stopping.is_set():
            if not self._socket.poll(_POLL_MS):
                self._handshakes.check(self._watch)
                continue
            try:
                message = decode_watched(self._socket.recv_multipart(zmq.DONTWAIT))
            except (MalformedMessage, zmq.Again):
                continue
            if isinstance(message, Status):
                self.status = message

    def stop(self) -> None:
        """Make `run` return soon; may be called from another thread."""
        self._stopping.set()

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._handshakes.close()
        self._context.destroy(linger=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Collector:
    """What ``prometheus_client`` asks at each scrape."""

    def __init__(self, newest: Callable[[], Status | None]) -> None:
        self._newest = newest

    def collect(self) -> Iterator[Any]:
        """Yield what is known now."""
        return families(self._newest(), now_ns())
