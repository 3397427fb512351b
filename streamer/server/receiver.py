"""Takes what has arrived on the sockets for samples: as much at a time as does not hold up labels."""

import zmq

from kinestream.model.clock import monotonic_ns, now_ns
from kinestream.model.engine.engine import BATCH, MANY
from kinestream.model.system import yield_processor
from kinestream.streamer.keys.curve import OVERHEAD
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.server import tuning
from kinestream.streamer.server.access import Access, User
from kinestream.streamer.server.descriptions import Descriptions
from kinestream.streamer.server.senders import Senders
from kinestream.streamer.transport.inlet import Inlet, new_inlet
from kinestream.streamer.wire.codec import decode_samples, is_samples
from kinestream.streamer.wire.messages import MalformedMessage
from kinestream.streamer.wire.tracked import is_tracked

TURN_WINDOWS = MANY
"""Windows that are cut from the backlog at a time, and only while fewer wait: whoever comes next waits for as many."""


class Receiver:
    """Gives messages to a recognizer.

    Parameters
    ----------
    recognizer : Recognizer
        What takes them.
    pull : zmq.Socket
        Where senders push.
    sub : zmq.Socket, optional
        Where publishers are subscribed to, if there are any.
    hwm : int
        Messages that libzmq holds for us of each connection.
    descriptions : Descriptions
        What admits streams.
    access : Access, optional
        What knows who may send, where keys are asked for.

    Attributes
    ----------
    received : int
        Messages so far.
    more_waiting : bool
        Whether the last drain left something behind.
    full_drains : int
        How many in a row have done so.
    inlet : Inlet
        What comes in by `pull`.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        pull: zmq.Socket[bytes],
        sub: zmq.Socket[bytes] | None,
        *,
        hwm: int,
        descriptions: Descriptions,
        access: Access | None = None,
    ) -> None:
        self.received = 0
        self.more_waiting = False
        self.full_drains = 0
        self._recognizer, self._batcher = recognizer, recognizer.batcher
        self._hwm = hwm
        self._pull, self._sub = pull, sub
        overhead = 0 if access is None else OVERHEAD
        self.inlet = new_inlet(pull, overhead=overhead)
        self._sub_inlet = None if sub is None else new_inlet(sub, overhead=overhead)
        self._descriptions, self._access = descriptions, access
        self._senders: Senders | None = None
        self._drain_messages = tuning.DRAIN_MESSAGES

    def drain(self) -> None:
        """Take what has arrived, or the first of it, and note whether there is more.

        Of those who push, no more than fills a batch: they wait. Publishers do not, so what is too much to name is
        skipped. Nothing is read while what has been read waits for its turn.
        """
        more = False
        recognizer = self._recognizer
        if recognizer.backlog_bytes < tuning.BACKLOG_BYTES:
            if self._batcher.waiting < BATCH:
                more = self._drain_socket(self._pull, self.inlet, lossy=False)
            if self._sub is not None and self._sub_inlet is not None:
                more |= self._drain_socket(self._sub, self._sub_inlet, lossy=True)
        if recognizer.backlog_bytes and self._batcher.waiting < TURN_WINDOWS:
            recognizer.take_queued(TURN_WINDOWS)
            more |= self._batcher.waiting < TURN_WINDOWS
        self.more_waiting = more
        self.full_drains = self.full_drains + 1 if more else 0

    def _drain_socket(self, socket: zmq.Socket[bytes], inlet: Inlet, *, lossy: bool) -> bool:
        """Take messages of a socket; tell whether there may be more."""
        frames: list[bytes] = []
        users: list[User] | None = None if self._access is None else []
        # Where one connection always has a message ready, libzmq looks who else has one at every hundredth receipt,
        # unless it is asked.
        socket.get(zmq.EVENTS)
        bytes_left, count_when_empty = tuning.DRAIN_BYTES, 0
        while bytes_left > 0 and len(frames) < self._drain_messages:
            size, is_empty = inlet.receive(frames, self._drain_messages - len(frames), bytes_left, users)
            bytes_left -= size
            if is_empty:
                # Where a connection had all it may have waiting, libzmq's thread is about to hand over more.
                if len(frames) - count_when_empty < self._hwm // 2:
                    break
                count_when_empty = len(frames)
                yield_processor()
        else:
            bytes_left = 0
        if frames:
            count = len(frames)
            self.received += count
            fallback = self._take_lossy if lossy else self._take
            began = monotonic_ns()
            if self._access is not None and users is not None:
                frames, users = self._access.take(frames, users)
                self._senders = Senders(frames, users)
            self._recognizer.take_frames(frames, now_ns(), fallback, lossy=lossy)
            self._pace(count, monotonic_ns() - began)
        return bytes_left == 0

    def _pace(self, count: int, took_ns: int) -> None:
        """Take fewer messages in one go while they take long: some cost a hundred times what others do."""
        if took_ns > max(tuning.SLOW_DRAIN_NS, count * tuning.SLOW_MESSAGE_NS):
            self._drain_messages = max(min(count, self._drain_messages) // 2, tuning.DRAIN_MESSAGES_LEAST)
        else:  # slowly: the next may cost as much again
            self._drain_messages = min(self._drain_messages + self._drain_messages // 2, tuning.DRAIN_MESSAGES)

    def _take_lossy(self, frame: bytes) -> None:
        self._take(frame, lossy=True)

    def _take(self, frame: bytes, lossy: bool = False) -> None:
        try:
            if is_tracked(frame):
                if self._access is None or self._access.may_take_tracked(self._sender(frame), frame):
                    self._recognizer.tracking.take(frame, now_ns(), lossy=lossy)
            elif is_samples(frame):
                self._recognizer.take(decode_samples(frame), now_ns(), lossy=lossy)
            else:
                self._descriptions.take(frame, self._sender(frame))
        except MalformedMessage as reason:
            self._recognizer.malformed(str(reason))

    def _sender(self, frame: bytes) -> User:
        return None if self._senders is None else self._senders.of(frame)
