"""Sends what a device of a rig delivers: on whose clock it was taken, how it is numbered, what was lost."""

import time
from collections import deque
from collections.abc import Callable

import numpy as np

from kinestream.model.errors import EndpointError
from kinestream.model.recordings.bursts import spread
from kinestream.model.recordings.clocks import BACKWARDS_NS, ClockMap
from kinestream.model.recordings.counters import CounterMap, unwrap
from kinestream.model.recordings.recording import Channel
from kinestream.streamer.bridges.arrivals import Arrived, Rows, Times
from kinestream.streamer.bridges.rig import RigDevice
from kinestream.streamer.bridges.tally import PartTally
from kinestream.streamer.client import SampleConnection, SampleSender
from kinestream.streamer.client.spoollog import SpoolError

_HOLE_NS = 500_000_000
"""Where nothing was read for so long, and four readings at least, readings are missing: their numbers are left out."""
_HOLE_READINGS = 4
_STEPS_REMEMBERED = 16


class DeviceFeed:
    """Sends what one device of a rig delivers, its sensors each as a device of the stream.

    Parameters
    ----------
    name : str
        What the rig calls it.
    device : RigDevice
        What it says of it.
    stream, session : str, int
        Whose readings they are, and of which session.
    connection : SampleConnection
        What they are sent through.
    new_session : callable
        Begins another session for every device of the rig: called where this one's clock is set back.
    dry_run : bool
        Whether readings are only counted: the device is described to the streamer, but nothing of it is sent.

    Attributes
    ----------
    tallies : dict of PartTally by sensor
        What came of each.
    steps : deque of float
        When the device's clock stepped, on the monotonic clock, the latest.
    unkept : str
        Why the latest readings could not be kept, where they have to be; empty where they could.
    """

    def __init__(
        self,
        name: str,
        device: RigDevice,
        *,
        stream: str,
        session: int,
        connection: SampleConnection,
        new_session: Callable[[], None],
        dry_run: bool = False,
    ) -> None:
        self.name = name
        self.steps: deque[float] = deque(maxlen=_STEPS_REMEMBERED)
        self._new_session = new_session
        self._rate = device.rate_hz
        self._period_ns = round(1e9 / device.rate_hz) if device.rate_hz else 0
        self._counter_bits = device.csv.bits if device.csv is not None and device.csv.counter is not None else 0
        self._clock = _clock_of(device, self._counter_bits, self._period_ns)
        self._last_stamp: int | None = None
        self._parts = {
            sensor: _Part(name, sensor, channels, device.rate_hz, stream, session, connection, dry_run)
            for sensor, channels in channels_by_sensor(device).items()
        }
        self.tallies: dict[str, PartTally] = {sensor: part.tally for sensor, part in self._parts.items()}

    def take(self, arrived: Arrived) -> None:
        """Send readings."""
        times, numbers = self._timed(arrived)
        parts = [part for part in arrived.parts if len(part.which)]
        if any(self._parts[part.name].goes_back(int(times[part.which[0]])) for part in parts):
            self._new_session()
        for part in parts:
            own = None if numbers is None else numbers[part.which]
            self._parts[part.name].send(times[part.which], part.rows, own, arrived.arrival)

    def begin(self, session: int) -> None:
        """Begin another session."""
        for part in self._parts.values():
            part.begin(session)

    def describe(self) -> None:
        """Say what the device delivers, though it has not delivered anything yet."""
        for part in self._parts.values():
            part.sender.describe()

    @property
    def unkept(self) -> str:
        """Why the latest readings could not be kept."""
        return next((part.unkept for part in self._parts.values() if part.unkept), "")

    def answers(self) -> list[bool | None]:
        """Return what the streamer answered, for every sensor."""
        return [part.sender.accepted for part in self._parts.values()]

    def end(self) -> None:
        """End the session."""
        for part in self._parts.values():
            part.end()

    def _timed(self, arrived: Arrived) -> tuple[Times, Times | None]:
        """Return when readings were taken by the wearer's clock, and their own numbers where they have any."""
        stamps, arrival = arrived.stamps, arrived.arrival
        if stamps is None:
            count = len(arrived.parts[0].which)
            times = spread(np.full(count, arrival, np.int64), self._period_ns, self._last_stamp)
            self._last_stamp = arrival
            return times, None
        if self._counter_bits:
            numbers = unwrap(stamps, self._counter_bits, self._last_stamp)
            self._last_stamp = int(numbers[-1])
            assert isinstance(self._clock, CounterMap)
            times, steps = self._clock.take(stamps, arrival)
            self.steps.extend([time.monotonic()] * len(steps))
            return times, numbers
        if self._clock is not None:
            assert isinstance(self._clock, ClockMap)
            stamps, steps = self._clock.take(stamps, arrival)
            self.steps.extend([time.monotonic()] * len(steps))
        return stamps, None


class _Part:
    """One sensor of a device."""

    def __init__(
        self,
        device: str,
        sensor: str,
        channels: tuple[Channel, ...],
        rate_hz: float,
        stream: str,
        session: int,
        connection: SampleConnection,
        dry_run: bool,
    ) -> None:
        self._dry_run = dry_run
        name = f"{device}.{sensor}" if sensor else device
        self.sender = SampleSender(
            stream, channels, rate_hz, device=name, timing="times", session=session, connection=connection
        )
        self.tally = PartTally(name, channels, rate_hz)
        self._period_ns = round(1e9 / rate_hz) if rate_hz else 0
        self._newest = -1  # time of the newest reading sent
        self._next, self._base = 0, 0  # the next number; what is taken off a counter's
        self.unkept = ""

    def goes_back(self, moment: int) -> bool:
        return self._newest >= 0 and moment < self._newest - BACKWARDS_NS

    def begin(self, session: int) -> None:
        if not self._dry_run:
            try:
                self.sender.new_session(session)
            except EndpointError:
                self.sender.new_session(session)  # the end of the one before is only said once
        self._newest, self._next, self._base = -1, 0, 0

    def end(self) -> None:
        if self._dry_run:
            return
        try:
            self.sender.end()
        except EndpointError:
            pass  # nobody is there who could forget it

    def send(self, times: Times, rows: Rows, numbers: Times | None, arrival: int) -> None:
        if self._newest >= 0:
            times = np.maximum.accumulate(np.maximum(times, self._newest))
        seqs = self._numbered(times, numbers)
        lost = int(seqs[-1] + 1 - self._next - len(seqs))
        if not self._dry_run:
            self._send(times, rows, seqs)
        self._next, self._newest = int(seqs[-1]) + 1, int(times[-1])
        self.tally.add(times, rows, arrival, lost)

    def _send(self, times: Times, rows: Rows, seqs: Times) -> None:
        """Send readings, those with numbers that follow one another in one message."""
        cuts = np.flatnonzero(np.diff(seqs) != 1) + 1
        sent = 0
        try:
            for begin, end in zip([0, *cuts.tolist()], [*cuts.tolist(), len(seqs)], strict=True):
                self.sender.send(rows[begin:end], seq=int(seqs[begin]), times=times[begin:end])
                sent = end
            self.unkept = ""
        except EndpointError as error:
            self.unkept = str(error) if isinstance(error, SpoolError) else ""
            self.tally.unsent += len(rows) - sent

    def _numbered(self, times: Times, numbers: Times | None) -> Times:
        """Return numbers that leave out what is missing."""
        if numbers is not None:
            if not self._next:
                self._base = int(numbers[0])
            seqs = numbers - self._base
            if seqs[0] >= self._next and (np.diff(seqs) > 0).all():
                return seqs
            self._base = int(numbers[0]) - self._next  # the counter began anew
            return self._next + np.arange(len(times))
        steps = np.ones(len(times), np.int64)
        if self._period_ns:
            apart = np.diff(times, prepend=self._newest if self._newest >= 0 else int(times[0]))
            holes = apart > max(_HOLE_NS, _HOLE_READINGS * self._period_ns)
            steps[holes] = np.rint(apart[holes] / self._period_ns).astype(np.int64)
        steps[0] = max(steps[0], 1) - 1
        return self._next + np.cumsum(steps)


def channels_by_sensor(device: RigDevice) -> dict[str, tuple[Channel, ...]]:
    """Return a device's channels by the sensor that reads them together; by "" where one does it all."""
    sensors: dict[str, list[Channel]] = {}
    for name, channel in device.channels.items():
        sensor = str(channel.source).partition(".")[0] if device.web is not None else ""
        sensors.setdefault(sensor, []).append(Channel(name, channel.unit))
    return {sensor: tuple(channels) for sensor, channels in sensors.items()}


def _clock_of(device: RigDevice, counter_bits: int, period_ns: int) -> ClockMap | CounterMap | None:
    """Return what maps the device's clock to the wearer's; None where its times are Unix times already."""
    delay_ns = round(1e6 * device.delay_ms)
    if counter_bits:
        return CounterMap(period_ns, counter_bits, delay_ns)
    if device.csv is not None:
        return ClockMap(delay_ns=delay_ns) if device.csv.time is not None else None
    if device.web is not None and device.web.clock == "arrival":
        return ClockMap(delay_ns=delay_ns)
    return None  # the lab streaming layer maps clocks itself
