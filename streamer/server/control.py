"""Answers descriptions at an endpoint of their own, so that a sender learns what becomes of its stream.

Samples go in one direction only: whoever pushes them is not told whether anybody takes them. So senders describe their
streams here, too, and are answered ``accepted`` or ``refused``.
"""

from collections import Counter
from contextlib import suppress

import zmq

from kinestream.model.clock import monotonic_ns
from kinestream.streamer.server import tuning
from kinestream.streamer.server.descriptions import Descriptions
from kinestream.streamer.server.notices import Notices
from kinestream.streamer.wire.codec import encode_answer
from kinestream.streamer.wire.messages import MalformedMessage


class Control:
    """A ROUTER socket that answers.

    Parameters
    ----------
    socket : zmq.Socket
        Where requests come: of one frame each, behind the identity that libzmq puts before it.
    descriptions : Descriptions
        What admits streams.
    notices : Notices
        Where is said what cannot be read.
    counts : Counter
        Where it is counted.

    Attributes
    ----------
    received : int
        Requests so far.
    """

    def __init__(
        self, socket: zmq.Socket[bytes], descriptions: Descriptions, notices: Notices, counts: Counter[str]
    ) -> None:
        self.received = 0
        self._socket = socket
        self._descriptions, self._notices, self._counts = descriptions, notices, counts

    def answer(self) -> bool:
        """Answer some of the requests that wait; return whether there may be more."""
        until = monotonic_ns() + tuning.CONTROL_NS
        for _ in range(tuning.CONTROL_REQUESTS):
            if monotonic_ns() > until:
                return True
            try:
                sender, *frames = self._socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return False
            self.received += 1
            try:
                if len(frames) != 1:
                    raise MalformedMessage("frames")
                answer = self._descriptions.take(frames[0], quietly=True)
            except MalformedMessage as reason:
                self._counts[f"requests_malformed_{reason}"] += 1
                self._notices.malformed(str(reason))
                continue
            if answer is not None:
                with suppress(zmq.Again):  # it reads none of its answers
                    self._socket.send_multipart([sender, encode_answer(answer)], zmq.DONTWAIT)
        return True
