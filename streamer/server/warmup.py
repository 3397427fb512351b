"""What a window will be put through, gone through shortly before: so that it finds the processor awake and at it."""

from contextlib import suppress

import numpy as np
import zmq

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.clock import monotonic_ns, now_ns
from kinestream.model.engine.engine import Engine
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.wire.codec import decode, encode_label, encode_samples
from kinestream.streamer.wire.messages import MAX_BYTES, Label

_NAME = "rehearsal"
_UNDERWAY = 16  # messages on their way here at most


class Rehearsal:
    """A recognizer beside the real one, with a stream of its own that nobody hears of.

    An engine that has slept takes up to four times as long for a window, and what is around it, Python and NumPy, adds
    half a millisecond to that; going through all of it costs little more than the window. So does ZeroMQ's thread, and
    what of the kernel a message passes: a third of the time from sender to streamer (0.1 ms), measured.

    Parameters
    ----------
    bundle, engine, context
        Those of the real one; what goes through the context's thread is a message to itself, on this machine only.

    Attributes
    ----------
    took_ns, least_ns : int
        How long the last rehearsal took, and the shortest so far.
    returned : int
        Messages to itself that have come back.
    """

    def __init__(self, bundle: Bundle, engine: Engine, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self._recognizer = Recognizer(bundle, engine)
        self._recognizer.describe(_NAME, bundle.channels)
        self._session = now_ns()
        self._end, self._stride = bundle.grid.length, bundle.grid.stride
        self._row = np.zeros((1, len(bundle.channels)), dtype=np.float32)
        self._recognizer.push(_NAME, np.repeat(self._row, self._end - 1, axis=0), session=self._session, seq=0)
        self._between = np.repeat(self._row, self._stride - 1, axis=0)
        self._there, self._here = context.socket(zmq.PUSH), context.socket(zmq.PULL)
        for end in (self._there, self._here):
            end.linger = 0
            end.set_hwm(_UNDERWAY)
            end.set(zmq.MAXMSGSIZE, MAX_BYTES)  # a port is open to anybody on this machine
        with suppress(zmq.ZMQError, zmq.ZMQBindError):  # where that cannot be had, all goes on, less warm
            port = self._here.bind_to_random_port("tcp://127.0.0.1")
            self._there.connect(f"tcp://127.0.0.1:{port}")
        self.returned = 0
        self.took_ns = self.least_ns = 1 << 62
        self.run()

    def run(self) -> list[Label]:
        """Have one window come due, from the message of its last sample to its label, and return that."""
        started, begin = monotonic_ns(), now_ns()
        message = encode_samples(_NAME, self._session, self._end - 1, begin, self._row)
        self._send_to_itself(message)
        self._recognizer.take_frames([message], begin, self._take)
        labels = [outcome for outcome in self._recognizer.infer() if isinstance(outcome, Label)]
        for label in labels:
            encode_label(label, now_ns())
        if len(self._between):
            self._recognizer.push(_NAME, self._between, session=self._session, seq=self._end)
        self._end += self._stride
        self.took_ns = monotonic_ns() - started
        self.least_ns = min(self.least_ns, self.took_ns)
        return labels

    def close(self) -> None:
        """Close the sockets."""
        self._there.close()
        self._here.close()

    def _send_to_itself(self, message: bytes) -> None:
        with suppress(zmq.Again):
            for _ in range(_UNDERWAY):
                self._here.recv(zmq.DONTWAIT)
                self.returned += 1
        with suppress(zmq.Again):
            self._there.send(message, zmq.DONTWAIT)

    def _take(self, message: bytes) -> None:
        self._recognizer.take(decode(message), now_ns())
