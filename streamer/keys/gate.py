"""Asks every connection for its key, and knows who may do what.

libzmq encrypts, makes sure that whoever connects has the secret key of the public one that it shows, and then asks here
whether that one is let in (ZAP). It asks once, when a connection begins: what changes later is the business of
`kinestream.streamer.server.access`.

pyzmq's `Authenticator` reads and answers those questions. It is driven by the streamer's own loop: so an answer takes
some 50 µs and no thread, a flood of them is bounded like any other, and what the loop knows of the list is what is
answered. Where nobody at all answers them, libzmq lets in whoever can encrypt: so this is open before any socket is
bound, and is closed after all of them.
"""

import logging
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Literal

import zmq
from zmq.auth import Authenticator

from kinestream.model.clock import monotonic_ns
from kinestream.model.errors import KinestreamError
from kinestream.streamer.keys.allowed import RIGHTS, AllowList, Right
from kinestream.streamer.keys.folder import KeyFolder

Domain = Literal["samples", "labels", "control", "watch", "directory"]
"""A streamer's sockets, and those of a fleet's directory, as `zmq.ZAP_DOMAIN` names them."""

DOMAINS: dict[Domain, tuple[Right, ...]] = {
    "samples": ("send",),
    "labels": ("read",),
    "control": RIGHTS,
    "watch": ("watch",),
    "directory": RIGHTS,
}
"""Which rights let a client in: one of these; at the control endpoint and a directory, each request is looked at."""

_QUESTIONS_PER_CALL = 8  # half a millisecond's worth: then it is time for samples and labels
_LOOK_NS = 200_000_000
_HANDSHAKE_MS = 10_000
_LOGGED_EVERY_S = 60.0
_MOST_LOGGED = 100  # different ones that are remembered

_logger = logging.getLogger(__name__)


class Gate:
    """What asks for keys.

    Parameters
    ----------
    context : zmq.Context
        Of the sockets that it stands before.
    folder : KeyFolder
        The streamer's keys, and who may do what.

    Attributes
    ----------
    allowed : AllowList
        Who may do what, as it was last read.
    questions : zmq.Socket
        What to wait for: readable when somebody connects.
    denied : int
        Connections that were not let in so far.

    Raises
    ------
    AccessError, ConfigError, FileError
        Where keys or list cannot be used.
    """

    def __init__(self, context: zmq.Context[Any], folder: KeyFolder) -> None:
        self.denied = 0
        self._folder = folder
        self._pair = folder.streamer()
        self._stamp = folder.stamp()
        self.allowed: AllowList = folder.allowed()
        self._looked_at = 0
        self._logged: dict[tuple[str, str], float] = {}
        quiet = _logger.getChild("zap")  # at its lowest level it would name keys
        quiet.setLevel(logging.WARNING)
        self._authenticator = Authenticator(context, log=quiet)
        for domain in DOMAINS:
            self._authenticator.configure_curve_callback(domain, _Asked(self))
        self._authenticator.start()
        self.questions: zmq.Socket[bytes] = self._authenticator.zap_socket

    def guard(self, socket: zmq.Socket[Any], domain: Domain) -> None:
        """Have a socket ask for keys, whether it binds or connects; before it does either."""
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._pair.secret.encode())
        socket.setsockopt(zmq.ZAP_DOMAIN, domain.encode())
        socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)

    def answer(self) -> None:
        """Answer some of the connections that wait to be let in."""
        for _ in range(_QUESTIONS_PER_CALL):
            try:
                question = self.questions.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            _run(self._authenticator.handle_zap_message(question))

    def look(self) -> bool:
        """Read the list again if it has changed, a few times a second at most; return whether it has."""
        if (now := monotonic_ns()) - self._looked_at < _LOOK_NS:
            return False
        self._looked_at = now
        if (stamp := self._folder.stamp()) == self._stamp:
            return False
        self._stamp = stamp
        try:
            allowed = self._folder.allowed()
        except (KinestreamError, OSError) as error:
            _logger.error("the list of clients cannot be read, and the one before stays in force: %s", error)
            return False
        if allowed == self.allowed:
            return False
        self.allowed = allowed
        self._logged.clear()
        return True

    def close(self) -> None:
        """Answer no more; after every socket that asks is closed."""
        self._authenticator.stop()

    def admits(self, domain: str, key: str) -> bool:
        """Tell whether whoever has a public key is let in, and log if not."""
        if domain in DOMAINS and self.allowed.may(key, DOMAINS[domain]):
            return True
        self.denied += 1
        self._log_denied(domain, self.allowed.name_of(key))
        return False

    def _log_denied(self, domain: str, name: str) -> None:
        now = time.monotonic()
        if now - self._logged.get((domain, name), -_LOGGED_EVERY_S) < _LOGGED_EVERY_S:
            return
        if len(self._logged) >= _MOST_LOGGED:
            self._logged.clear()
        self._logged[domain, name] = now
        _logger.warning(
            "%s was not let in at %s (%d connections so far): 'kinestream keys allow' gives rights",
            *(name, domain, self.denied),
        )


class _Asked:
    """Answers for one socket."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def callback(self, domain: str, key: bytes) -> bool:
        """Tell whether whoever has this public key is let in."""
        return self._gate.admits(domain, key.decode())


def _run(answering: Coroutine[Any, Any, None]) -> None:
    """Run what waits for nothing, since its answers are here, to its end."""
    with suppress(StopIteration):
        answering.send(None)
        answering.close()
