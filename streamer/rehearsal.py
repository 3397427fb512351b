"""What a window will be put through, gone through shortly before: so that it finds the processor awake and at it."""

import numpy as np

from model.bundle import Bundle
from model.clock import now_ns
from model.engine import Engine
from streamer.recognizer import Recognizer
from streamer.wire import Label, decode, encode_label, encode_samples

_NAME = "rehearsal"


class Rehearsal:
    """A recognizer beside the real one, with a stream of its own that nobody hears of.

    An engine that has slept takes up to four times as long for a window, and what is around it, Python and NumPy, adds
    half a millisecond to that; going through all of it costs little more than the window.

    Parameters
    ----------
    bundle, engine
        Those of the real one.
    """

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self._recognizer = Recognizer(bundle, engine)
        self._recognizer.describe(_NAME, bundle.channels)
        self._session = now_ns()
        self._seq, self._next = 0, bundle.grid.length
        self._stride = bundle.grid.stride
        self._channels = len(bundle.channels)

    def run(self) -> list[Label]:
        """Have one window come due, from a message to its label, and return that."""
        now = now_ns()
        rows = np.zeros((self._next, self._channels), dtype=np.float32)
        message = encode_samples(_NAME, self._session, self._seq, now, rows)
        self._recognizer.take_frames([message], now, self._take)
        self._seq += self._next
        self._next = self._stride
        labels = [outcome for outcome in self._recognizer.infer() if isinstance(outcome, Label)]
        for label in labels:
            encode_label(label, now_ns())
        return labels

    def _take(self, message: bytes) -> None:
        self._recognizer.take(decode(message), now_ns())
