"""Learns from a socket's handshakes whether what answers at an address is a peer that it can talk to.

Where nobody answers, libzmq goes on trying, which is as it should be: a streamer may yet come. But where a socket of
another kind answers, as at a streamer's labels for one that sends samples, it breaks the connection, never tries again,
and says nothing: whoever sends waits for ever, and whoever listens hears nothing. It shows only in what a monitor
tells: a connection that ends before its handshake, and is not tried again. It is the same where a key is not accepted,
or one side asks for keys and the other has none.
"""

import time
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from kinestream.model.errors import AccessError, EndpointError

_FAILURES = zmq.EVENT_HANDSHAKE_FAILED_AUTH, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
_EVENTS = (
    zmq.EVENT_CONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CONNECT_RETRIED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
_MISMATCH = 0x11000002  # ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH: one side asks for keys, the other does not
_BROKEN_OFF = 8
"""Handshakes in a row that end without a reason, where keys are shown: the streamer cannot read what is meant for
another one's key, and hangs up."""
_RIGHTS = {"samples": '--send "STREAM*"', "labels": "--read", "watch": "--watch"}
_RETRIED_S = 0.5
"""After so long libzmq has said that it tries again, if it does: it does so at once."""


class Handshakes:
    """The handshakes of a socket that is about to connect.

    Parameters
    ----------
    socket : zmq.Socket
        One of `zmq` or of `zmq.asyncio`; must not have connected yet, so that nothing is missed.
    what : str
        What it is to find: ``"samples"``, ``"labels"`` or ``"control"``, as ``kinestream serve`` calls the addresses.
    client : str, optional
        The name of the client whose keys are shown there.

    Attributes
    ----------
    reached : bool
        Whether it is connected, as far as `update` has heard.
    left : bool
        Whether it was, and is no more.
    times : int
        How many times it has connected so far.
    """

    def __init__(self, socket: zmq.Socket[Any], what: str, client: str | None = None) -> None:
        self.reached = self.left = False
        self.times = 0
        self._what, self._client = what, client
        self._denied = self._mismatched = False
        self._broken_off = 0
        self._socket = socket
        self._is_connected = False  # before the handshake
        self._broken_at: float | None = None  # since when a connection is broken that had no handshake
        address = f"inproc://handshakes-{id(self)}"
        socket.monitor(address, int(_EVENTS))
        self._events = zmq.Context(socket.context).socket(zmq.PAIR)
        # No bound: where there is no room for what it tells, libzmq's thread waits, and so do all of the context's
        # sockets, and whoever closes this one. Ten a second while nobody is there, some 2 kB, until `update`.
        self._events.set(zmq.RCVHWM, 0)
        self._events.connect(address)

    def update(self) -> None:
        """Note what has happened; waits for nothing."""
        while True:
            try:
                told = parse_monitor_message(self._events.recv_multipart(zmq.DONTWAIT))
            except zmq.Again:
                return
            event = told["event"]
            if event in _FAILURES:
                self._note_failure(event, told["value"])
                continue
            if event == zmq.EVENT_DISCONNECTED and self._is_connected:
                self._broken_at = time.monotonic()
            else:
                self._broken_at = None
            self._is_connected = event == zmq.EVENT_CONNECTED
            self.left = event == zmq.EVENT_DISCONNECTED or (self.left and event != zmq.EVENT_HANDSHAKE_SUCCEEDED)
            self.reached = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
            self.times += self.reached
            if self.reached:
                self._denied, self._broken_off = False, 0

    def check_keys(self, endpoint: str) -> None:
        """Note what has happened, and raise where it is the keys, or the lack of them, that keep the socket out.

        Raises
        ------
        AccessError
            Saying which it is.
        """
        self.update()
        if (why := self.denial(endpoint)) is not None:
            raise AccessError(why)

    def denial(self, endpoint: str) -> str | None:
        """Return why the socket is kept out, as far as `update` has heard; None where it is not known to be."""
        if self._denied:
            command = f"'kinestream keys allow {self._client} {_RIGHTS.get(self._what, '')}".rstrip() + "'"
            return (
                f"the streamer does not accept the key of client {self._client} at {endpoint} ({self._what}): it was "
                f"revoked, or has no right to that; on the streamer's machine, {command} gives it"
            )
        if self._mismatched and self._client is None:
            return (
                f"the streamer at {endpoint} asks for a key: give the file that 'kinestream keys new' made for you, "
                "with --keys, keys= or KINESTREAM_KEYS"
            )
        if self._mismatched:
            return (
                f"what answers at {endpoint} asks for no keys, so it is not the streamer that {self._client} is meant "
                "for: start that with --keys, or give no keys"
            )
        if self._broken_off >= _BROKEN_OFF:
            return (
                f"what answers at {endpoint} hangs up on client {self._client}: it has another key than the file of "
                "keys names (get a new one), asks for no keys at all, or has no room for more connections"
            )
        return None

    def check(self, endpoint: str) -> None:
        """Note what has happened, and raise where it cannot come to anything.

        Raises
        ------
        EndpointError
            If what answers at the address takes or gives something else, or as for `check_keys`.
        """
        self.check_keys(endpoint)
        if self._broken_at is not None and time.monotonic() - self._broken_at > _RETRIED_S:
            raise EndpointError(
                f"what answers at {endpoint} is no streamer's address for {self._what}: "
                f"give the one that 'kinestream serve' shows after '{self._what}'"
            )

    def _note_failure(self, event: int, value: int) -> None:
        self._denied = self._denied or event == zmq.EVENT_HANDSHAKE_FAILED_AUTH
        if event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL and value == _MISMATCH:
            self._mismatched = True
        self._broken_off += self._client is not None and event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL

    def close(self) -> None:
        """Hear no more; before the socket is closed. Closing twice does nothing."""
        if not self._events.closed:
            if not self._socket.closed:
                self._socket.disable_monitor()
            self._events.close(linger=0)
