"""What the recognizer keeps: of each stream, of its session, of windows that wait to be named."""

import sys
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kinestream.model.clock import monotonic_ns
from kinestream.streamer.recognizer.batch import Part
from kinestream.streamer.streams.arena import Rows
from kinestream.streamer.streams.buffer import StreamBuffer
from kinestream.streamer.wire.messages import Event


class Session:
    """One run of a stream: its open windows, what became of those that came due, how many samples came late untold."""

    __slots__ = ("buffer", "due", "late", "number", "windows")

    def __init__(self, number: int, buffer: StreamBuffer) -> None:
        self.number = number
        self.buffer = buffer
        self.windows = {"labelled": 0, "skipped": 0}
        self.due = 0  # when the next window is expected, on the monotonic clock, ns
        self.late = 0


class Outdated(NamedTuple):
    """Samples that come too late to be of use: of a session before the newest one, or from before the open window.

    They may be strays. But a device without a clock that was restarted, or whose clock was set back, sends nothing
    else, and cannot know better.

    Attributes
    ----------
    session : int
        Theirs.
    newest : int
        The next sample of the newest session when the first of them came, -1 where none is open.
    began, since, heard : int
        When the first of them came, the first since the newest session stood where it stands, and the last; on the
        monotonic clock, ns.
    """

    session: int
    newest: int
    began: int
    since: int
    heard: int


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
        What the network reads of each part; None where the engine failed on it.
    empty : list of bool
        Which of the windows miss too much for a label.
    """

    pending: list[PendingWindow | Event]
    parts: list[Part]
    inputs: list[Rows | None]
    empty: list[bool]
    ready: int


class Answers(NamedTuple):
    """Probabilities of each part of a batch, of shape (W, K), known at the Unix time `inferred`, ns.

    None for a part on which the engine failed.
    """

    probabilities: list[Rows | None]
    inferred: int


class KnownStream:
    """What is known of one wearer: how its columns feed the network, and its open session.

    `spare` is room for the first session, made when the stream is described: thousands that begin together would else
    wait for memory. `closed` is the highest number of a session that was closed; sessions count up, so what belongs to
    it or to one before it comes too late: `outdated`. `queued` tells whether messages of it wait in the backlog.
    """

    __slots__ = (
        "as_they_come",
        "closed",
        "described",
        "head",
        "heard",
        "order",
        "outdated",
        "queued",
        "refused",
        "row_bytes",
        "session",
        "spare",
        "then",
        "told_ns",
        "touched",
        "width",
    )

    def __init__(self) -> None:
        self.match(None, 0)
        self.session: Session | None = None
        self.spare: StreamBuffer | None = None
        self.head: bytes | None = None  # how the messages begin that are taken undecoded
        self.closed = -1
        self.described = 0  # fingerprint of its description
        self.queued = False
        self.outdated: Outdated | None = None
        self.told_ns = 0  # when something was last said of outdated samples, on the monotonic clock
        self.touched = True  # whether anything has come since that was last asked, besides samples in their order
        self.heard = monotonic_ns()
        self.then = -1  # the next sample when that was last asked

    def is_silent(self, now: int, for_ns: int) -> bool:
        """Tell whether nothing has come for so long by `now`, on the monotonic clock, ns.

        Asked every second, since most samples come without a time.
        """
        reached = self.session.buffer.next_seq if self.session else -1
        if self.touched or reached != self.then:
            self.then, self.heard, self.touched = reached, now, False
        return now - self.heard > for_ns

    def match(self, order: npt.NDArray[np.intp] | None, width: int) -> None:
        """Note which columns feed the network (None: all, as they stand), and how many there are."""
        self.order = order
        self.width = width
        self.row_bytes = 4 * width
        self.as_they_come = order is None and sys.byteorder == "little"  # bytes may be copied as they are
        self.refused = False
