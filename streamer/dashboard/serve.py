"""The dashboard as a process: it listens, fetches what is published, and serves pages until it is stopped."""

import asyncio
import errno
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

from platformdirs import user_data_path

from kinestream.model.errors import EndpointError
from kinestream.model.extras import need
from kinestream.model.system import give_way
from kinestream.streamer.bridges.web.certificate import addresses_of_machine, own_certificate, own_token
from kinestream.streamer.dashboard.asking import MOST_BYTES
from kinestream.streamer.dashboard.doing import Doing
from kinestream.streamer.dashboard.feed import Feed
from kinestream.streamer.dashboard.guard import Guard
from kinestream.streamer.dashboard.streamers import Addresses
from kinestream.streamer.wire.messages import DASHBOARD_PORT

_MOST_CONNECTIONS = 128
_BACKLOG = 64
_IMPORTED = (
    "uvicorn",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    "kinestream.streamer.bridges.web.impatient",
    "kinestream.streamer.dashboard.app",
    "kinestream.streamer.dashboard.stoppable",
    "starlette.applications",
)
_BUSY_S = 3.0
"""A port may still be held by the dashboard before, whose streamer has just died."""
_LOCAL = ("127.0.0.1", "::1", "localhost")
_ANYWHERE = ("0.0.0.0", "::")


@dataclass(frozen=True)
class Opened:
    """A dashboard that serves from now on.

    Parameters
    ----------
    address : str
        What a browser opens, the token included where there is one.
    labels, watch : str
        Where the streamer is expected.
    fleet : str or None
        Where a fleet's directory is expected, in place of a streamer.
    """

    address: str
    labels: str
    watch: str
    fleet: str | None = None

    @property
    def where(self) -> dict[str, str]:
        """What it listens to."""
        return {"labels": self.labels, "watch": self.watch} if self.fleet is None else {"fleet": self.fleet}

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return {"ready": True, "address": self.address, **self.where}


@dataclass(frozen=True)
class _Door:
    """Where pages come in, and who is let in."""

    listening: socket.socket
    host: str
    guard: Guard
    is_secure: bool

    @property
    def address(self) -> str:
        """What a browser opens."""
        name = self._reached[0]
        host = f"[{name}]" if ":" in name else name
        token = f"{self.guard.token}/" if self.guard.token else ""
        return f"{'https' if self.is_secure else 'http'}://{host}:{self.listening.getsockname()[1]}/{token}"

    def secured(self) -> dict[str, Any]:
        """Return what uvicorn is told of the certificate, if there is to be one."""
        if not self.is_secure:
            return {}
        literal = [each for each in self._reached if each.replace(".", "").isdigit()]
        certificate, key = own_certificate(own_folder(), literal)
        return {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}

    @property
    def _reached(self) -> list[str]:
        return addresses_of_machine() if self.host in _ANYWHERE else [self.host]


def serve_dashboard(
    addresses: Addresses,
    *,
    host: str = "127.0.0.1",
    port: int = DASHBOARD_PORT,
    https: bool = True,
    record_to: Path | None = None,
    priority: str = "idle",
    ends_with: TextIO | None = None,
    opened: Callable[[Opened], None] = lambda where: None,
) -> None:
    """Serve pages until SIGTERM or Ctrl-C.

    Parameters
    ----------
    addresses : Addresses
        Where the streamer is, or a fleet's directory.
    host, port : str, int
        Where to listen; port 0 for any that is free. What other machines can reach has a token in its address.
    https : bool
        Whether what other machines can reach is encrypted, under a certificate of this machine's own.
    record_to : Path, optional
        The folder for recordings that pages begin; without it they cannot.
    priority : str
        ``idle``, or ``low``: as ``kinestream dashboard --priority``.
    ends_with : text file, optional
        Serve only until this one ends.
    opened : callable
        Called as soon as it serves.

    Raises
    ------
    EndpointError
        If an address cannot be used.
    MissingExtra
        If what serves pages is not installed.
    """
    need("the dashboard", "starlette", "uvicorn", "websockets", "cryptography", extra="web")
    is_local = host in _LOCAL
    guard = Guard("" if is_local else own_token(own_folder()))
    door = _Door(_bound(host, port), host, guard, https and not is_local)
    for module in _IMPORTED:  # a second of work: a busy machine would take minutes over it once we give way
        import_module(module)
    with ThreadPoolExecutor(1, thread_name_prefix="recordings") as recordings:
        recordings.submit(bool).result()  # its thread is there now: on Linux what follows says nothing of recordings
        give_way(wholly=priority == "idle")  # a streamer on the same machine comes first
        try:
            asyncio.run(_serve(addresses, door, record_to, recordings, ends_with, opened))
        finally:
            door.listening.close()


def own_folder() -> Path:
    """Return where the token, the certificate and its key are kept, readable by their owner only."""
    folder = user_data_path("kinestream") / "dashboard"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


async def _serve(
    addresses: Addresses,
    door: _Door,
    record_to: Path | None,
    recordings: Executor,
    ends_with: TextIO | None,
    opened: Callable[[Opened], None],
) -> None:
    import uvicorn

    from kinestream.streamer.bridges.web.impatient import ImpatientProtocol
    from kinestream.streamer.dashboard.app import Application
    from kinestream.streamer.dashboard.stoppable import StoppableServer

    feed = Feed(addresses)
    doing = Doing(addresses, feed.streamers.control, recordings, record_to)
    config = uvicorn.Config(
        Application(feed, door.guard, doing).asgi(),
        http=ImpatientProtocol,
        log_level="critical",  # its lines would hold the token
        access_log=False,
        ws="websockets-sansio",
        ws_max_size=MOST_BYTES,
        ws_max_queue=4,
        ws_ping_timeout=60.0,  # we may wait for a processor ourselves
        limit_concurrency=_MOST_CONNECTIONS,
        backlog=_BACKLOG,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=1 << 14,
        server_header=False,
        lifespan="off",
        **door.secured(),
    )
    server = StoppableServer(config)
    if ends_with is not None:
        threading.Thread(target=_stop_after, args=(ends_with, server), name="starter", daemon=True).start()
    serving = asyncio.create_task(server.serve(sockets=[door.listening]))
    fetching = asyncio.create_task(feed.run())
    try:
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if not serving.done():
            opened(Opened(door.address, addresses.labels, addresses.watch, addresses.fleet))
        await asyncio.wait((serving, fetching), return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
        if fetching.done():
            fetching.result()  # what it failed with
    finally:
        fetching.cancel()
        feed.close()
        doing.close()


def _stop_after(file: TextIO, server: Any) -> None:
    """Stop once a file ends: whoever started us has gone."""
    while file.read(4096):
        pass
    server.should_exit = True


def _bound(host: str, port: int) -> socket.socket:
    """Return a socket that is bound, so that a port in use is told in a line."""
    until = time.monotonic() + _BUSY_S
    while True:
        listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, port))
            listening.listen(_BACKLOG)
            return listening
        except OSError as error:
            listening.close()
            if error.errno == errno.EADDRINUSE and time.monotonic() < until:
                time.sleep(0.1)
                continue
            raise EndpointError(
                f"the dashboard cannot listen at {host}:{port} ({error.strerror}): give another --host or --port"
            ) from None
