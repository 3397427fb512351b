"""Keeps the processor warm for a window that is about to come.

The problem. A single wearer's windows come due every few hundred milliseconds; between them the streamer sleeps. The
processor then turns to other things, and its caches hold them: the engine takes up to four times as long for the next
window (1.0 instead of 0.26 ms, measured in ONNX Runtime), and Python and NumPy around it take half a millisecond more.
libzmq's thread and the kernel's code that a message passes are cold, too: of the time from sender to streamer, that is
a third (0.1 ms, measured).

How it works. Windows of a stream come regularly, so the recognizer knows when the next one is expected
(`Recognizer.next_due`). Ten milliseconds before, the loop stops sleeping: it runs windows of its own through a second
recognizer that uses the same engine, from the message of the last sample to the encoded label, and sends each message
to itself over a socket on this machine, so that libzmq's thread runs, too. Each run is a little faster than the one
before. Shortly before the window is expected it stops, so that the real message need not wait for a run to end, and
only polls the sockets, without sleeping, until that message comes or is late. The real streams are not touched:
nothing of this is published or counted.

What it costs. Up to 11.5 ms of a processor for every expected window, and an open port on the loopback interface. For
one stream at 50 Hz that is 0.03 instead of 0.01 of a processor, and the label comes after 0.6 instead of 1.0 ms (p50;
``kinestream bench latency``, which measures both): so it is on by default. With
more than a few streams (`Recognizer.next_due`) a window is due so often that nothing gets cold; then it does nothing.
`Streamer(warm_up=False)`, or ``kinestream serve --no-warm-up``, opens no port and always sleeps until a message comes.

What would go wrong otherwise. Without the pause before the window, a run that has just begun would hold it up, which is
worse than a cold processor. An engine so slow that one cold run does not fit is therefore never warmed up.
"""

from collections.abc import Callable
from contextlib import suppress
from tempfile import TemporaryDirectory

import numpy as np
import zmq

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.clock import monotonic_ns, now_ns
from kinestream.model.engine.engine import Engine
from kinestream.model.system import has_unix_sockets, yield_processor
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.server import tuning
from kinestream.streamer.wire.codec import decode_samples, encode_samples
from kinestream.streamer.wire.messages import MAX_BYTES, Description, Label
from kinestream.streamer.wire.published import encode_label

_NAME, _KEY = "warm-up", 0
_MAX_UNDERWAY = 16  # messages to itself
_CONNECTED_MS = 1000  # within which it has connected to itself


class WarmUp:
    """A second recognizer with a stream of its own, whose labels nobody gets.

    Parameters
    ----------
    bundle, engine, context
        Those of the real one; what goes through the context's thread is a message to itself, on this machine only.

    Attributes
    ----------
    took_ns, least_ns : int
        How long the last run took, and the shortest so far.
    returned : int
        Messages to itself that have come back.
    """

    def __init__(self, bundle: Bundle, engine: Engine, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self._recognizer = Recognizer(bundle, engine)
        self._session = now_ns()
        about = Description(_NAME, _KEY, self._session, bundle.description.rate_hz, bundle.channels)
        self._recognizer.introduce(about)
        self._end, self._stride = bundle.grid.length, bundle.grid.stride
        self._row = np.zeros((1, len(bundle.channels)), dtype=np.float32)
        self._recognizer.push(_NAME, np.repeat(self._row, self._end - 1, axis=0), session=self._session, seq=0)
        self._between = np.repeat(self._row, self._stride - 1, axis=0)
        self._to_itself, self._from_itself = context.socket(zmq.PUSH), context.socket(zmq.PULL)
        for socket in (self._to_itself, self._from_itself):
            socket.linger = 0
            socket.set_hwm(_MAX_UNDERWAY)
            socket.set(zmq.MAXMSGSIZE, MAX_BYTES)
        with suppress(zmq.ZMQError, zmq.ZMQBindError, OSError):  # without it libzmq's thread stays cold, no more
            self._connect_to_itself()
        self.returned = 0
        self.took_ns = self.least_ns = 1 << 62
        self.run()

    def until(self, due: int, message_waits: Callable[[int], bool]) -> None:
        """Keep warm until a message comes, or the window is late.

        Parameters
        ----------
        due : int
            When the window is expected, on the monotonic clock, ns; nothing happens if that is further off than
            `tuning.WARM_UP_AHEAD_NS`.
        message_waits : callable
            Waits up to so many ms for a message; tells whether there is one.
        """
        expected_ns = tuning.WARM_UP_COLD_FACTOR * self.least_ns
        begin, end = due - tuning.WARM_UP_AHEAD_NS, due + tuning.WARM_UP_LATE_NS
        while begin <= (now := monotonic_ns()) < end and not message_waits(0):
            if now + expected_ns < due - tuning.WARM_UP_QUIET_NS:
                self.run()
                expected_ns = self.took_ns
            yield_processor()

    def run(self) -> list[Label]:
        """Have one window come due, from the message of its last sample to its label, and return that label."""
        started, begin = monotonic_ns(), now_ns()
        message = encode_samples(_KEY, self._end - 1, begin, self._row)
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
        self._to_itself.close()
        self._from_itself.close()

    def _connect_to_itself(self) -> None:
        """Connect through a folder of this process' own that goes at once: nobody else can send here what is memory."""
        if not has_unix_sockets:
            port = self._from_itself.bind_to_random_port("tcp://127.0.0.1")
            self._to_itself.connect(f"tcp://127.0.0.1:{port}")
            return
        with TemporaryDirectory(prefix="kinestream-", ignore_cleanup_errors=True) as folder:
            self._from_itself.bind(f"ipc://{folder}/warm")
            self._to_itself.connect(f"ipc://{folder}/warm")
            self._to_itself.send(b"", zmq.DONTWAIT)
            self._from_itself.poll(_CONNECTED_MS)

    def _send_to_itself(self, message: bytes) -> None:
        with suppress(zmq.Again):
            for _ in range(_MAX_UNDERWAY):
                self._from_itself.recv(zmq.DONTWAIT)
                self.returned += 1
        with suppress(zmq.Again):
            self._to_itself.send(message, zmq.DONTWAIT)

    def _take(self, message: bytes) -> None:
        self._recognizer.take(decode_samples(message), now_ns())
