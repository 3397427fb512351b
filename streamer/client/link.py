"""What leads to one streamer: samples go out, answers come back."""

import math
from typing import Any

import zmq

from kinestream.model.errors import EndpointError
from kinestream.streamer.client.inquiry import Inquiry
from kinestream.streamer.keys.curve import present
from kinestream.streamer.keys.keyfile import ClientKeys
from kinestream.streamer.transport.handshakes import Handshakes
from kinestream.streamer.transport.sockets import bind, connect
from kinestream.streamer.wire import messages as wire

HIGH_WATER = 1000
"""Messages that wait in a connection before sending blocks."""
_LINGER_MS = 2000


class Link:
    """The sockets to one streamer.

    Parameters
    ----------
    context : zmq.Context
        Where they are made.
    endpoint : str
        Where the streamer takes samples; with `publish`, the address to publish from.
    control : str, optional
        Where it answers.
    keys : ClientKeys, optional
        What is shown there.
    publish : bool
        Whether to bind and publish instead of connecting and pushing.

    Attributes
    ----------
    endpoint : str
        The address; with `publish`, as bound.
    socket : zmq.Socket
        Where samples go out.
    handshakes : Handshakes or None
        Its handshakes; None where it publishes, since that reaches whom it reaches.
    inquiry : Inquiry or None
        What asks at the control endpoint.

    Raises
    ------
    EndpointError
        If an address cannot be used.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        endpoint: str,
        control: str | None,
        keys: ClientKeys | None,
        *,
        publish: bool = False,
    ) -> None:
        self.inquiry: Inquiry | None = None
        self.socket = context.socket(zmq.PUB if publish else zmq.PUSH)
        self.socket.set(zmq.SNDHWM, HIGH_WATER)
        present(self.socket, keys, wire.MAX_BYTES)  # of what comes in: subscriptions, or whatever answers there
        self.socket.set(zmq.LINGER, _LINGER_MS)
        self.handshakes = None if publish else Handshakes(self.socket, "samples", None if keys is None else keys.client)
        try:
            self.endpoint = (bind if publish else connect)(self.socket, endpoint)
            if control is not None:
                self.inquiry = Inquiry(context, control, keys)
        except EndpointError:
            if self.handshakes is not None:
                self.handshakes.close()
            self.socket.close(linger=0)
            raise

    def post(self, message: bytes) -> bool:
        """Send a message, if there is room for it; return whether there was."""
        try:
            self.socket.send(message, zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    def wait_for_room(self, seconds: float) -> None:
        """Wait until there is room for a message, or for so long."""
        self.socket.poll(math.ceil(1000 * seconds), zmq.POLLOUT)

    def check(self) -> None:
        """Raise EndpointError where what answers takes no samples, or as `check_keys`."""
        if self.handshakes is not None:
            self.handshakes.check(self.endpoint)

    def check_keys(self) -> None:
        """Raise AccessError where the keys, or the lack of them, are not accepted."""
        if self.handshakes is not None:
            self.handshakes.check_keys(self.endpoint)

    @property
    def is_reached(self) -> bool:
        """Whether it is connected, as far as has been looked; who publishes is not asked."""
        return self.handshakes is None or self.handshakes.reached

    def why_unreached(self) -> str | None:
        """Return why not all that was sent was taken; None where it was, as far as is known."""
        if self.handshakes is None:
            return None
        self.handshakes.update()
        if self.handshakes.reached:
            return None
        return self.handshakes.denial(self.endpoint) or f"no streamer at {self.endpoint} took all that was sent"

    def close(self) -> None:
        """Close the sockets; what they still hold has two seconds to leave."""
        if self.handshakes is not None:
            self.handshakes.close()
        if self.inquiry is not None:
            self.inquiry.close()
        self.socket.close()
