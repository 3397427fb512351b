"""A connection to a streamer: samples go out, answers to descriptions come back."""

import logging
import time
from types import TracebackType
from typing import Self

import zmq
from zmq.utils.monitor import recv_monitor_message

from kinestream.model.errors import EndpointError
from kinestream.streamer.client.inquiry import Inquiry
from kinestream.streamer.transport.sockets import bind, connect
from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire.messages import Answer

HIGH_WATER = 1000
"""Messages that wait in a connection before sending blocks."""
_LINGER_MS = 2000
_LOOK_EVERY_S = 2.0

_logger = logging.getLogger("kinestream.sender")


class SampleConnection:
    """What senders send through; any number of them may share one, as a gateway's do.

    ::

        with SampleConnection() as connection:
            anna = SampleSender("anna", channels, 50.0, connection=connection)
            ben = SampleSender("ben", channels, 50.0, connection=connection)

    Parameters
    ----------
    endpoint : str, optional
        Where the streamer takes samples, its usual address by default; with `publish`, the address to publish from.
    control : str, optional
        Where the streamer answers whether it takes a stream: by default at its usual address, if `endpoint` is its
        usual one. Without it a refusal shows in the streamer's log and to subscribers only.
    publish : bool
        Whether to bind and publish instead of connecting and pushing. Publishing never waits and loses what nobody
        takes; pushing waits and loses nothing.
    timeout_s : float, optional
        How long to wait for a streamer that takes no more; for ever by default.

    Attributes
    ----------
    endpoint : str
        The address; with `publish`, as bound.
    control : str or None
        Where answers come from.
    closed : bool
        Whether it is.

    Raises
    ------
    EndpointError
        If an address cannot be used.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        control: str | None = None,
        publish: bool = False,
        timeout_s: float | None = None,
    ) -> None:
        if endpoint is None:
            endpoint, control = wire.INGEST, control or (None if publish else wire.CONTROL)
        self.control = control
        self.closed = False
        self._reached, self._reported_unreached = False, False
        self._looked_at, self._posted_before = time.monotonic(), False
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUB if publish else zmq.PUSH)
        self._socket.set(zmq.SNDHWM, HIGH_WATER)
        self._socket.set(zmq.MAXMSGSIZE, wire.MAX_BYTES)  # of what comes in: subscriptions, or whatever answers there
        self._socket.set(zmq.LINGER, _LINGER_MS)
        self._socket.set(zmq.SNDTIMEO, -1 if timeout_s is None else round(1000 * timeout_s))
        # Asked for before there is a connection, so that none is missed; whoever publishes reaches whom it reaches.
        events = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
        self._monitor = None if publish else self._socket.get_monitor_socket(events)
        self._inquiry: Inquiry | None = None
        try:
            self.endpoint = (bind if publish else connect)(self._socket, endpoint)
            if control is not None:
                self._inquiry = Inquiry(self._context, control)
        except EndpointError:
            self._context.destroy(linger=0)
            raise

    def post(self, message: bytes) -> None:
        """Send a message.

        Raises
        ------
        ValueError
            If the connection is closed.
        EndpointError
            If no streamer takes it within the timeout.
        """
        if self.closed:
            raise ValueError(f"the connection to {self.endpoint} is closed: open another")
        try:
            self._socket.send(message)
        except zmq.Again:
            raise EndpointError(
                f"no streamer takes samples at {self.endpoint}: start one with 'kinestream serve BUNDLE'"
            ) from None

    def describe(self, description: bytes, *, key: int, stream: str) -> None:
        """Send a stream's description, and ask what becomes of it where answers come from."""
        self.post(description)
        self.ask(description, key=key, stream=stream)
        if time.monotonic() - self._looked_at >= _LOOK_EVERY_S:
            self._report_if_unreached(stream)

    def ask(self, description: bytes, *, key: int, stream: str) -> None:
        """Ask what becomes of a stream, where answers come from; waits for nobody."""
        if self._inquiry is not None and not self.closed:
            self._inquiry.ask(description, key=key, stream=stream)

    def answer(self, key: int, timeout_s: float = 0.0) -> Answer | None:
        """Return what was last answered to the description of a key, waiting for it if need be; None for nothing."""
        return None if self._inquiry is None or self.closed else self._inquiry.answer(key, timeout_s)

    def forget(self, key: int) -> None:
        """Let go of what was answered to a key's description."""
        if self._inquiry is not None:
            self._inquiry.forget(key)

    def wait_no_longer(self) -> None:
        """Wait for no streamer any more: what is sent from now on goes out if it can."""
        self._socket.set(zmq.SNDTIMEO, 0)

    def close(self) -> None:
        """Close the sockets; what they still hold has two seconds to leave. Closing twice does nothing."""
        if self.closed:
            return
        self._look_for_streamer()
        self.closed = True
        if self._monitor is not None:
            if not self._reached:
                _logger.warning("no streamer at %s took all that was sent", self.endpoint)
            self._socket.disable_monitor()
            self._monitor.close()
        if self._inquiry is not None:
            self._inquiry.close()
        self._socket.close()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.wait_no_longer()
        self.close()

    def _report_if_unreached(self, stream: str) -> None:
        self._looked_at = time.monotonic()
        self._look_for_streamer()
        if self._monitor is not None and not self._reached and not self._reported_unreached:
            self._reported_unreached = True
            waits = f"up to {HIGH_WATER:,} messages wait, then send() does"
            _logger.warning("%s: there is no streamer at %s: %s", stream, self.endpoint, waits)
        elif self._reached:
            self._reported_unreached = False

    def _look_for_streamer(self) -> None:
        """Note whether somebody takes what is sent."""
        while self._monitor is not None and self._monitor.poll(0):
            self._reached = recv_monitor_message(self._monitor)["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED
