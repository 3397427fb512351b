"""The control endpoint: answers senders' descriptions, and every other request to a streamer.

Samples go in one direction only: whoever pushes them is not told whether anybody takes them. So senders describe their
streams here, too, and are answered ``accepted`` or ``refused``. Here they also ask what has been acknowledged,
subscribers ask for what they missed, and administrators for health, a reload or the removal of a stream.
"""

from collections import Counter
from contextlib import suppress

import zmq

from kinestream.model.clock import monotonic_ns
from kinestream.streamer.keys.curve import OVERHEAD
from kinestream.streamer.recognizer.tracking import Tracking
from kinestream.streamer.server import tuning
from kinestream.streamer.server.access import Access, User
from kinestream.streamer.server.acknowledgements import Acknowledgements
from kinestream.streamer.server.administration import Administration
from kinestream.streamer.server.descriptions import Descriptions
from kinestream.streamer.server.history import History
from kinestream.streamer.server.lookups import Lookups
from kinestream.streamer.server.notices import Notices
from kinestream.streamer.transport.inlet import new_inlet
from kinestream.streamer.wire.codec import encode_answer
from kinestream.streamer.wire.messages import MalformedMessage
from kinestream.streamer.wire.requests import Refused, Request, decode_request, encode_reply
from kinestream.streamer.wire.tracked import AcknowledgeRequest


class Control:
    """Answers requests on a ROUTER socket.

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
    administration : Administration, optional
        What answers whoever keeps the streamer.
    history : History, optional
        What was published lately.
    tracking : Tracking, optional
        What acknowledges messages.
    access : Access, optional
        What knows who may ask for what, where keys are asked for.

    Attributes
    ----------
    received : int
        Requests so far.
    inlet : Inlet
        What comes in by the socket.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        descriptions: Descriptions,
        notices: Notices,
        counts: Counter[str],
        administration: Administration | None = None,
        history: History | None = None,
        tracking: Tracking | None = None,
        access: Access | None = None,
    ) -> None:
        self.received = 0
        overhead = 0 if access is None else OVERHEAD
        self._socket = socket
        self.inlet = new_inlet(socket, skipped=1, overhead=overhead)  # the identity was not on the wire
        self._administration, self._access = administration, access
        self._lookups = Lookups(History(0) if history is None else history, self.send, counts)
        self._acknowledgements = None if tracking is None else Acknowledgements(tracking, self.send)
        self._descriptions, self._notices, self._counts = descriptions, notices, counts

    @property
    def is_asked(self) -> bool:
        """Whether requests wait for their turn."""
        return self._lookups.are_waiting

    def answer(self) -> bool:
        """Answer some of the requests that wait; return whether there may be more."""
        may_be_more = self._answer()
        self._lookups.answer()
        return may_be_more

    def _answer(self) -> bool:
        until = monotonic_ns() + tuning.CONTROL_NS
        for _ in range(tuning.CONTROL_REQUESTS):
            if monotonic_ns() > until:
                return True
            message = self.inlet.message()
            if message is None:
                return False
            sender, *frames = message
            self.received += 1
            try:
                if len(frames) != 1:
                    raise MalformedMessage("frames")
                user = None if self._access is None else self.inlet.user()
                if self._is_refused(sender, user, frames[0]) or self._lookups.take(sender, frames[0]):
                    continue
                request = decode_request(frames[0])
                if request is not None:
                    self._take(sender, request)
                    continue
                answer = self._descriptions.take(frames[0], user, quietly=True)
            except MalformedMessage as reason:
                self._counts[f"requests_malformed_{reason}"] += 1
                self._notices.malformed(str(reason))
                continue
            if answer is not None:
                self.send(sender, encode_answer(answer))
        return True

    def send(self, peer: bytes, message: bytes) -> None:
        """Send a peer what it is answered, if it reads its answers."""
        with suppress(zmq.Again):
            self._socket.send_multipart([peer, message], zmq.DONTWAIT)

    def acknowledge(self) -> None:
        """Tell senders what has come of their messages, where that is urgent."""
        if self._acknowledgements is not None:
            self._acknowledgements.update()

    def _is_refused(self, sender: bytes, user: User, frame: bytes) -> bool:
        """Answer whoever has no right to ask for something, and return whether it is so."""
        if self._access is None or (why := self._access.refusal_of_request(user, frame)) is None:
            return False
        self.send(sender, encode_reply(Refused(why)))
        return True

    def _take(self, sender: bytes, request: Request) -> None:
        if isinstance(request, AcknowledgeRequest):
            if self._acknowledgements is None:
                raise MalformedMessage("kind")
            self._acknowledgements.take(sender, request)
            return
        if self._administration is None:
            raise MalformedMessage("kind")
        self._counts["requests_of_keepers"] += 1
        reply = self._administration.take(sender, request)
        if reply is not None:
            self.send(sender, reply)
