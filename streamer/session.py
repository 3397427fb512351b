"""What the recognizer keeps: of each stream, of its session, of windows that wait to be named."""

import sys
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.clock import now_ns
from streamer.buffer import StreamBuffer
from streamer.gather import Part
from streamer.lanes import Rows
from streamer.wire import Event


class Session:
    """One run of a stream: its open windows, and what became of those that came due."""

    __slots__ = ("buffer", "due", "number", "windows")

    def __init__(self, number: int, buffer: StreamBuffer) -> None:
        self.number = number
        self.buffer = buffer
        self.windows = {"labelled": 0, "skipped": 0}
        self.due = 0  # when the next window is expected, Unix ns


class PendingWindow(NamedTuple):
    """A due window that waits for the next batch, with what its label will say of its way here."""

    stream: str
    session: Session
    window: int
    first_seq: int
    source: int
    received: int
    lossy: bool


class Batch(NamedTuple):
    """What is recognised at once, `ready` at that Unix time in ns.

    Attributes
    ----------
    pending : list of PendingWindow or Event
        All that waits, in order.
    parts : list of Part
        The windows among it.
    inputs : list of ndarray of float32, each of shape (W, T, D)
        What the network reads of each part.
    empty : list of bool
        Which of the windows miss too much for a label.
    """

    pending: list[PendingWindow | Event]
    parts: list[Part]
    inputs: list[Rows]
    empty: list[bool]
    ready: int


class Answers(NamedTuple):
    """Probabilities of each part of a batch, of shape (W, K), known at the Unix time `inferred`, ns."""

    probabilities: list[Rows]
    inferred: int


class KnownStream:
    """What is known of one wearer: how its columns feed the network, and its open session.

    `spare` is room for the first session, made when the stream is described: thousands that begin together would else
    wait for memory. `closed` is the highest number of a session that was closed; sessions count up, so what belongs to
    it or to one before it comes too late.
    """

    __slots__ = (
        "as_they_come",
        "closed",
        "described",
        "head",
        "heard",
        "order",
        "refused",
        "row_bytes",
        "session",
        "spare",
        "then",
        "width",
    )

    def __init__(self) -> None:
        self.match(None, 0)
        self.session: Session | None = None
        self.spare: StreamBuffer | None = None
        self.head: bytes | None = None  # how the messages begin that are taken undecoded
        self.closed = -1
        self.described = 0  # fingerprint of its description
        self.heard = now_ns()
        self.then = -1  # the next sample when that was last asked

    def is_silent(self, now: int, for_ns: int) -> bool:
        """Tell whether nothing has come for so long; asked every second, since most samples come without a time."""
        reached = self.session.buffer.next_seq if self.session else -1
        if reached != self.then:
            self.then, self.heard = reached, now
        return now - self.heard > for_ns

    def match(self, order: npt.NDArray[np.intp] | None, width: int) -> None:
        """Note which columns feed the network (None: all, as they stand), and how many there are."""
        self.order = order
        self.width = width
        self.row_bytes = 4 * width
        self.as_they_come = order is None and sys.byteorder == "little"  # bytes may be copied as they are
        self.refused = False
