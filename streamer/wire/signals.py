"""A device's readings as they came in, for recorders and dashboards: how they are written and read.

The topic is ``signal/<stream>/``. Readings are published as they were taken, each once and in the order in which they
came, together with what their sender said of them; its secret key is not among that.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgpack
import numpy as np
import numpy.typing as npt

from kinestream.model.recordings.recording import Channel
from kinestream.streamer.wire.codec import of_types
from kinestream.streamer.wire.messages import (
    MAX_CHANNELS,
    MAX_INT,
    TIMINGS,
    VERSION,
    Timing,
    channel_is_valid,
    name_is_valid,
)

_pack = msgpack.Packer(autoreset=True).pack
_SAME_KEYS = 9


class Signal(NamedTuple):
    """Consecutive readings of a device.

    Attributes
    ----------
    stream, session, device : str, int, str
        Whose.
    message : int
        Counts up from 0 for a session's device since somebody began to listen: a jump says that so many messages were
        left out on the way here, where a jump of `first_seq` alone says that the device's readings never came.
    first_seq : int
        Number of the first reading.
    t : int
        Unix time in ns of the last, on the sender's clock.
    origin : int
        Unix time in ns of sample 0 of the session's grid.
    rate_hz : float
        Nominal; 0 where they are irregular.
    timing : {"grid", "times"}
        As described by the sender.
    width : int
        Columns of a reading.
    values : bytes
        float32, reading by reading; `readings` returns them as an array.
    times : bytes
        int64, Unix ns, of each reading, where `timing` says so; else empty.
    channels : tuple of Channel or None
        What the columns are; told in the first message of a device, and then about once a second.
    """

    stream: str
    session: int
    device: str
    message: int
    first_seq: int
    t: int
    origin: int
    rate_hz: float
    timing: Timing
    width: int
    values: bytes
    times: bytes = b""
    channels: tuple[Channel, ...] | None = None

    @property
    def size(self) -> int:
        """How many readings there are."""
        return len(self.values) // (4 * self.width)

    @property
    def readings(self) -> npt.NDArray[np.float32]:
        """The readings, shape (n, C); NaN for none."""
        return np.frombuffer(self.values, "<f4").reshape(-1, self.width)

    @property
    def moments(self) -> npt.NDArray[np.int64]:
        """When each was taken, Unix ns, shape (n,), where they carry times; else empty."""
        return np.frombuffer(self.times, "<i8")


def signal_topic(stream: str) -> bytes:
    """Return the topic of a stream's readings."""
    return f"signal/{stream}/".encode()


class SignalWriter:
    """Writes the signals of a device; what is the same in all of them is packed once.

    Parameters
    ----------
    stream, session, device, origin, rate_hz, timing, channels
        As in `Signal`.
    """

    def __init__(
        self,
        stream: str,
        session: int,
        device: str,
        origin: int,
        rate_hz: float,
        timing: Timing,
        channels: Sequence[Channel],
    ) -> None:
        self.topic = signal_topic(stream)
        same = {
            "v": VERSION,
            "kind": "signal",
            "stream": stream,
            "session": session,
            "device": device,
            "origin": origin,
            "rate_hz": float(rate_hz),
            "timing": timing,
            "width": len(channels),
        }
        assert len(same) == _SAME_KEYS
        self._same: bytes = _pack(same)[1:]  # without the byte that begins a map of up to 15 keys
        self._channels: bytes = _pack({"channels": [[channel.name, channel.unit] for channel in channels]})[1:]

    def frames(
        self, message: int, first_seq: int, t: int, values: bytes, times: bytes = b"", *, channels: bool
    ) -> tuple[bytes, bytes]:
        """Return the two frames of a signal, which tells the channels or does not."""
        own: dict[str, object] = {"message": message, "first_seq": first_seq, "t": t, "values": values}
        if times:
            own["times"] = times
        head = bytes((0x80 + _SAME_KEYS + len(own) + channels,))
        told = self._channels if channels else b""
        return self.topic, b"".join((head, self._same, told, _pack(own)[1:]))


def encode_signal(signal: Signal) -> tuple[bytes, bytes]:
    """Return the two frames of one signal, which must tell its channels."""
    stream, session, device, message, first_seq, t, origin, rate_hz, timing, _, values, times, channels = signal
    assert channels is not None
    writer = SignalWriter(stream, session, device, origin, rate_hz, timing, channels)
    return writer.frames(message, first_seq, t, values, times, channels=True)


_SIGNAL_TYPES: dict[str, type] = {
    "stream": str,
    "session": int,
    "device": str,
    "message": int,
    "first_seq": int,
    "t": int,
}
_SIGNAL_TYPES |= {"origin": int, "rate_hz": float, "timing": str, "width": int, "values": bytes}


def read_signal(content: dict[str, Any]) -> Signal:
    """Read the map of a signal; AttributeError, KeyError, TypeError and ValueError say that it is none."""
    found = of_types(content, _SIGNAL_TYPES)
    times, channels = content.get("times", b""), content.get("channels")
    told = None if channels is None else tuple(Channel(name, unit) for name, unit in channels)
    signal = Signal(**found, times=times, channels=told)
    numbers = (signal.session, signal.message, signal.first_seq, signal.t, signal.origin)
    count, rest = divmod(len(signal.values), max(4 * signal.width, 1))
    if not (
        name_is_valid(signal.stream)
        and name_is_valid(signal.device)
        and 0 <= min(numbers)
        and max(numbers) < MAX_INT
        and signal.timing in TIMINGS
        and 0 < signal.width <= MAX_CHANNELS
        and count > 0
        and rest == 0
        and type(times) is bytes
        and len(times) == (8 * count if signal.timing == "times" else 0)
        and (told is None or len(told) == signal.width)
        and all(channel_is_valid(channel.name, channel.unit) for channel in told or ())
    ):
        raise ValueError
    return signal
