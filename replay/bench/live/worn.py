"""A load of wearers with several devices each, on clocks of their own: when each has readings, and what it sends."""

import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from kinestream.model.recordings.recording import Channel
from kinestream.model.recordings.resample import resampling
from kinestream.model.recordings.samplegrid import SampleGrid, exact_rate
from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire.codec import encode_description

Numbers = npt.NDArray[np.int64]

_PAYLOADS = 256
_SLEEP_NS = 200_000  # what is due within this time leaves together: to sleep for less costs more than it gains


@dataclass(frozen=True)
class Devices:
    """The devices of all wearers: each begins at a random moment, and sends a message when its last reading is due.

    Parameters
    ----------
    streams, devices : int
        Wearers, and devices of each.
    rate_hz : float
        Readings a second of each device.
    chunk : int
        Readings in a message.
    messages : int
        Messages of each device.
    channels : tuple of Channel
        Of the bundle; the devices share them out.
    grid_hz : float
        Samples a second of the bundle.
    length, stride : int
        Samples of its window, and from one to the next.
    seed : int
        Of the moments and the readings.
    """

    streams: int
    devices: int
    rate_hz: float
    chunk: int
    messages: int
    channels: tuple[Channel, ...]
    grid_hz: float
    length: int
    stride: int
    seed: int = 0

    @cached_property
    def period_ns(self) -> int:
        """From one reading to the next."""
        return round(1e9 / self.rate_hz)

    @cached_property
    def phases(self) -> Numbers:
        """When each device has its first reading, ns after the load begins, shape (streams, devices)."""
        rng = np.random.default_rng(self.seed)
        of_stream = rng.uniform(0, self.stride / self.grid_hz, (self.streams, 1))
        of_device = rng.uniform(0, self.chunk / self.rate_hz, (self.streams, self.devices))
        return ((of_stream + of_device) * 1e9).astype(np.int64)

    def channels_of(self, device: int) -> tuple[Channel, ...]:
        """Return what a device delivers."""
        edges = np.linspace(0, len(self.channels), self.devices + 1).round().astype(int)
        return self.channels[edges[device] : edges[device + 1]]

    def descriptions(self, names: Sequence[str], keys: Sequence[int], session: int, begin_unix_ns: int) -> list[bytes]:
        """Return what describes each device of streams of these names, those of a stream one after the other."""
        about = [(name, device) for name in names for device in range(self.devices)]
        return [
            encode_description(
                wire.Description(
                    name,
                    key,
                    session,
                    self.rate_hz,
                    self.channels_of(device),
                    f"device-{device}",
                    begin_unix_ns,
                    "times",
                )
            )
            for (name, device), key in zip(about, keys, strict=True)
        ]

    def windows(self) -> int:
        """Return how many windows all streams come to."""
        grid = SampleGrid(0, exact_rate(self.grid_hz))
        last = self.phases.max(axis=1) + (self.messages * self.chunk - 1) * self.period_ns
        count = 0
        for first, end in zip(self.phases.min(axis=1).tolist(), last.tolist(), strict=True):
            begin = -(-grid.at_or_after(first) // self.stride)
            whole = (grid.at_or_after(end + 1) - self.length) // self.stride + 1
            count += max(whole - begin, 0)
        return count

    def needed(self, streams: Numbers, ends: Numbers) -> Numbers:
        """Return when the last reading that windows need was due to leave.

        Parameters
        ----------
        streams, ends : ndarray of int64, shape (n,)
            Whose the windows are, and when their last samples lie, ns after the load begins.

        Returns
        -------
        ndarray of int64, shape (n,)
            In ns after the load begins; -1 where there was no such reading, because the stream ended before.
        """
        grid = SampleGrid(0, exact_rate(self.grid_hz))
        reach = resampling(self.rate_hz, grid).reach.settled
        phases = self.phases[streams]
        reading = -((phases - ends[:, None] - reach) // self.period_ns)  # the first that does not lie before it
        message = np.maximum(reading, 0) // self.chunk
        due = phases + ((message + 1) * self.chunk - 1) * self.period_ns
        return np.where((message < self.messages).all(axis=1), due.max(axis=1), -1)


def play(
    devices: Devices,
    senders: Sequence[Callable[[bytes], object]],
    keys: Sequence[int],
    described: Sequence[bytes],
    begin_ns: int,
    begin_unix_ns: int,
    describe_every_s: float,
) -> "array[int]":
    """Send every message on its time; return how late each left, ns.

    Parameters
    ----------
    devices : Devices
        Whose.
    senders : sequence of callable
        What sends the messages of each stream.
    keys, described : sequence
        Key and description of each device, those of a stream one after the other.
    begin_ns, begin_unix_ns : int
        When the load begins, on the monotonic clock and in the readings' times.
    describe_every_s : float
        How often a description is sent again.
    """
    frames, phases = _frames(devices, keys), devices.phases.ravel()
    cycle_ns = devices.chunk * devices.period_ns
    # In every cycle each device sends once, always in the same order; those whose phase is longer begin later.
    order = np.argsort(phases % cycle_ns)
    turns = [(int(i), int(phases[i] % cycle_ns), int(phases[i] // cycle_ns)) for i in order]
    longest = max(behind for _, _, behind in turns)
    behinds = phases // cycle_ns
    steps = np.arange(devices.chunk) * devices.period_ns
    rows = np.random.default_rng(devices.seed).normal(size=(_PAYLOADS, *frames["x"].shape[1:])).astype("<f4")
    again = max(round(describe_every_s * 1e9 / cycle_ns), 1)
    size, per_stream = frames.dtype.itemsize, devices.devices
    send_of = [senders[i // per_stream] for i in range(len(keys))]
    late, clock = array("q"), time.monotonic_ns
    which = np.arange(len(keys))
    for cycle in range(devices.messages + longest):
        # All messages of a cycle are made in a few calls: the generator shares the processor with what it measures.
        numbers = cycle - behinds
        frames["seq"] = np.maximum(numbers, 0) * devices.chunk
        frames["times"] = (begin_unix_ns + phases + numbers * cycle_ns)[:, None] + steps
        frames["t"] = frames["times"][:, -1]
        frames["x"] = rows[(which + cycle) % _PAYLOADS]
        made = frames.tobytes()
        base = begin_ns + (cycle + 1) * cycle_ns - devices.period_ns  # a message leaves when its last reading is due
        for i, offset, behind in turns:
            if not 0 <= cycle - behind < devices.messages:
                continue
            due = base + offset
            now = clock()
            if now < due:
                time.sleep(max(due - now, _SLEEP_NS) / 1e9)
                now = clock()
            send_of[i](made[i * size : (i + 1) * size])
            if (cycle + i) % again == 0:
                send_of[i](described[i])
            late.append(now - due)
    return late


def _frames(devices: Devices, keys: Sequence[int]) -> npt.NDArray[np.void]:
    """Return a message of each device, of which number, times and readings are still to be written."""
    width = {len(devices.channels_of(device)) for device in range(devices.devices)}
    if len(width) > 1:
        raise ValueError(f"{len(devices.channels)} channels cannot be shared out evenly to {devices.devices} devices")
    layout = [
        ("mark", "S4"),
        ("count", "<u4"),
        ("key", "<u8"),
        ("seq", "<u8"),
        ("t", "<i8"),
        ("times", "<i8", (devices.chunk,)),
        ("x", "<f4", (devices.chunk, width.pop())),
    ]
    frames = np.zeros(len(keys), layout)
    frames["mark"], frames["count"], frames["key"] = wire.WITH_TIMES, devices.chunk, keys
    return frames
