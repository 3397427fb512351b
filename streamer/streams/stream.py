"""What is kept of a stream: how its columns feed the network, its open session, what of it came too late."""

import sys
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kinestream.model.clock import monotonic_ns
from kinestream.model.recordings.recording import Channel
from kinestream.streamer.streams.arena import Rows
from kinestream.streamer.streams.buffer import StreamBuffer
from kinestream.streamer.streams.device import Device
from kinestream.streamer.streams.devices import DeviceSet
from kinestream.streamer.wire.messages import Description, Timing


def turn_samples(stride: int) -> int:
    """Return of how many samples a message may be that need not wait for its turn."""
    return max(2 * stride, 8)


class Outlook(NamedTuple):
    """Sensors that were told to be unusual, and for how many looks in a row a sensor was otherwise than was told."""

    told: set[str]
    otherwise: dict[str, int]


class Session:
    """One run of a stream.

    Attributes
    ----------
    number : int
        Sessions of a stream count up.
    buffer : StreamBuffer
        Its open windows.
    windows : dict of str
        How many of its windows were labelled, and how many skipped.
    due : int
        When the next window is expected, on the monotonic clock, ns; 0 before the first.
    late : int
        Samples that came too late and were not reported yet.
    look_at, outlook : int, Outlook or None
        Which window is looked at next, and what was seen of those before; None where none was.
    """

    __slots__ = ("buffer", "due", "late", "look_at", "number", "outlook", "windows")

    def __init__(self, number: int, buffer: StreamBuffer) -> None:
        self.number = number
        self.buffer = buffer
        self.windows = {"labelled": 0, "skipped": 0}
        self.due = 0
        self.late = 0
        self.look_at = 0
        self.outlook: Outlook | None = None


_MOST_SHARED = 256  # lists of channels that are known to be shared
ANNOTATIONS_PER_S = 20.0
"""Of a stream, in the long run."""
_ANNOTATIONS_AT_ONCE = 1000
"""Those of a recording that is played as fast as it goes; a subscriber holds more."""


class Allowance:
    """How many annotations of a stream may come."""

    __slots__ = ("_left", "_since")

    def __init__(self) -> None:
        self._left, self._since = float(_ANNOTATIONS_AT_ONCE), 0

    def allows(self, now: int) -> bool:
        """Tell whether there is room for one more, on the monotonic clock, ns, and take it."""
        self._left = min(self._left + (now - self._since) / 1e9 * ANNOTATIONS_PER_S, _ANNOTATIONS_AT_ONCE)
        self._since = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


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
        When the first of them came, the first since the newest session last advanced, and the last; on the monotonic
        clock, ns.
    """

    session: int
    newest: int
    began: int
    since: int
    heard: int


class Layout:
    """How the columns of a device's readings feed the network.

    Attributes
    ----------
    order : ndarray of int or None
        The columns that feed the network, in its order; None for all of them, as they stand.
    width, row_bytes : int
        Columns of a reading, and bytes of them.
    factors : ndarray of float32 or None
        By what the columns that feed the network are multiplied.
    copies_directly : bool
        Whether the bytes of a reading can be copied to the window as they are.
    """

    __slots__ = ("copies_directly", "factors", "order", "row_bytes", "width")

    def __init__(
        self, order: npt.NDArray[np.intp] | None, width: int, factors: npt.NDArray[np.float32] | None = None
    ) -> None:
        self.order = order
        self.width = width
        self.factors = factors
        self.row_bytes = 4 * width
        self.copies_directly = order is None and factors is None and sys.byteorder == "little"

    def feed(self, x: Rows) -> Rows:
        """Return what feeds the network of readings, shape (n, width)."""
        if self.order is not None:
            x = x[:, self.order]
        return x if self.factors is None else x * self.factors


@lru_cache(maxsize=_MOST_SHARED)
def _shared(channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
    return channels


class Key(NamedTuple):
    """What a key of the wire stands for.

    Attributes
    ----------
    number : int
        The key.
    name, known : str, KnownStream
        The stream.
    session : int
        Which run of it.
    layout : Layout
        Its columns.
    fingerprint : int
        That of its description.
    about : Description
        What it says.
    devices, device : DeviceSet or None, Device or None
        Where readings that carry times are laid on the grid, and which of the devices there they are of.
    sender : str
        The public key that its description came under, where the streamer asks for keys.
    """

    number: int
    name: str
    known: "KnownStream"
    session: int
    layout: Layout
    fingerprint: int
    about: Description
    devices: DeviceSet | None = None
    device: Device | None = None
    sender: str = ""

    @classmethod
    def of(
        cls,
        about: Description,
        known: "KnownStream",
        layout: Layout,
        devices: DeviceSet | None = None,
        device: Device | None = None,
    ) -> "Key":
        """Return what a key stands for by its description; thousands of streams have the same channels, kept once."""
        kept = about._replace(channels=_shared(about.channels))
        whose = about.key, about.stream, known, about.session, layout, about.fingerprint, kept
        return cls(*whose, devices, device, about.sender)

    @property
    def timing(self) -> Timing:
        """How its readings lie in time."""
        return "grid" if self.devices is None else "times"


class KnownStream:
    """A stream that was described, or that a library's user pushes to.

    Attributes
    ----------
    layout : Layout
        The columns that were described last.
    device : str
        What sends them.
    annotations : Allowance
        How many may still come.
    keys : list of Key
        The latest, the newest last.
    sets : dict of DeviceSet by int
        The devices of its latest sessions, where they carry times, the latest last.
    session : Session or None
        The one that is open.
    spare : StreamBuffer or None
        Room for the first session, made when the stream is described: if thousands begin together, none waits for
        memory.
    closed : int
        The highest number of a session that was closed, -1 for none. Sessions count up, so samples of it or of one
        before it are outdated.
    outdated : Outdated or None
        Such samples, if the last ones were.
    queued : bool
        Whether messages of it wait in the backlog.
    reported_ns : int
        When late or outdated samples were last reported, on the monotonic clock.
    touched : bool
        Whether anything but samples in their order has come since `is_silent` was last asked.
    heard, reached : int
        When something had last come, on the monotonic clock, ns, and how far its session and its devices were then, as
        far as `is_silent` noticed.
    """

    __slots__ = (
        "annotations",
        "closed",
        "device",
        "heard",
        "keys",
        "layout",
        "outdated",
        "queued",
        "reached",
        "reported_ns",
        "session",
        "sets",
        "spare",
        "touched",
    )

    def __init__(self, layout: Layout, device: str) -> None:
        self.layout = layout
        self.device = device
        self.annotations = Allowance()
        self.keys: list[Key] = []
        self.sets: dict[int, DeviceSet] = {}
        self.session: Session | None = None
        self.spare: StreamBuffer | None = None
        self.closed = -1
        self.queued = False
        self.outdated: Outdated | None = None
        self.reported_ns = 0
        self.touched = True
        self.heard = monotonic_ns()
        self.reached = -1

    def keep(self, number: int, devices: DeviceSet) -> None:
        """Keep the devices of a session, as the latest that were described or heard."""
        self.sets.pop(number, None)
        self.sets[number] = devices

    def is_silent(self, now: int, for_ns: int) -> bool:
        """Tell whether nothing has come for so long by `now`, on the monotonic clock, ns.

        Asked every second, so that no clock need be read for every message.
        """
        reached = self.session.buffer.next_seq if self.session else -1
        reached += sum(devices.counts.received for devices in self.sets.values())
        if self.touched or reached != self.reached:
            self.reached, self.heard, self.touched = reached, now, False
        return now - self.heard > for_ns
