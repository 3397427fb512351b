"""What the devices of a take send: which readings, in which messages, in which order, when."""

import heapq
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from kinestream.model.errors import SourceError
from kinestream.model.recordings.devices import DeviceReadings
from kinestream.model.recordings.laid import chosen, during
from kinestream.model.recordings.recording import Recording
from kinestream.replay.play import impair
from kinestream.replay.play.impair import Impairments, Span


class DeviceMessage(NamedTuple):
    """A message of one of a take's devices.

    Attributes
    ----------
    leaves_s : float
        When it leaves, in seconds at true rate after the take's sample 0.
    device : int
        Which of them.
    first, end : int
        It holds readings [first, end) of that device.
    """

    leaves_s: float
    device: int
    first: int
    end: int


@dataclass(frozen=True)
class Delivery:
    """What the devices of a take send.

    Parameters
    ----------
    devices : tuple of DeviceReadings
        All that is sent, with the times and numbers with which it is; in the clock of the recording's timestamps.
    messages : tuple of DeviceMessage
        In the order in which they leave.
    """

    devices: tuple[DeviceReadings, ...]
    messages: tuple[DeviceMessage, ...]

    @property
    def readings(self) -> int:
        """Readings of all messages, those that leave twice counted twice."""
        return sum(message.end - message.first for message in self.messages)


def delivered(
    recording: Recording, devices: Sequence[DeviceReadings], chunk: int, impairments: Impairments
) -> Delivery:
    """Return what the devices of a recording, or of a part of it, send.

    A message leaves when its last reading was taken, whatever the stamps say. A device numbers its readings from 0.

    Parameters
    ----------
    recording : Recording
        What is played.
    devices : sequence of DeviceReadings
        All they delivered; those without a reading while the recording lasts send nothing.
    chunk : int
        Readings in a message at most; a burst is a message whatever that says.
    impairments : Impairments
        What is made worse.

    Raises
    ------
    SourceError
        If none has a reading.
    """
    origin = int(recording.timestamps[0])
    sent, queues = [], []
    for place, device in enumerate(each for each in during(recording, devices) if len(each.times)):
        rng = np.random.default_rng([impairments.seed, zlib.crc32(recording.id.encode()), place])
        numbers = np.arange(len(device.times)) if device.numbers is None else device.numbers - device.numbers[0]
        spans = impair.cut(numbers, impairments.burst or chunk)
        times = _stamped(device, spans, origin, -1 if place % 2 else 1, impairments, rng)
        kept = impair.drop(spans, impairments.drop, rng)
        order = impair.disorder(kept, impairments.reorder, impairments.duplicate, rng)
        is_sent = np.zeros(len(times), dtype=np.bool_)
        for first, end in kept:
            is_sent[first:end] = True
        at = np.cumsum(is_sent) - 1
        queues.append(
            [
                DeviceMessage(
                    max((int(device.times[when.end - 1]) - origin) / 1e9, 0.0),
                    place,
                    int(at[first]),
                    int(at[end - 1]) + 1,
                )
                for (first, end), when in order
            ]
        )
        sent.append(chosen(replace(device, times=times, numbers=numbers), is_sent))
    if not sent:
        raise SourceError(f"recording {recording.id}: its devices delivered nothing in what is played of it")
    return Delivery(tuple(sent), tuple(heapq.merge(*queues, key=lambda message: message.leaves_s)))


def _stamped(
    device: DeviceReadings,
    spans: list[Span],
    origin: int,
    sign: int,
    impairments: Impairments,
    rng: np.random.Generator,
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    times = device.times
    if impairments.drift_ppm:
        times = impair.drift(times, sign * impairments.drift_ppm, origin)
    if impairments.jitter_ms:
        times = impair.jitter(times, round(impairments.jitter_ms * 1e6), rng)
    if impairments.burst:
        period_ns = round(1e9 / device.rate_hz) if device.rate_hz else 0
        times = impair.burst(times, spans, period_ns)
    return times
