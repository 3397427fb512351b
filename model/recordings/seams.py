"""Where a device's times and numbers part: it paused without counting, or its clock was set.

Between two readings there passes as much time as their numbers say, at the rate at which readings really come; where it
differs by more than a window's stride, what lies before and what lies behind do not belong in one window. The streamer
finds seams as readings come (`kinestream.streamer.streams.device`); here they are found in what was recorded. Both ask
`follows` and `effective_rate`, of every reading, so that a live stream has the seams that its recording has.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kinestream.model.recordings.devices import DeviceReadings

RATE_KNOWN_NS = 5_000_000_000
"""From how long a stretch the rate of what comes is reckoned; before that, it is what the device declares."""
DOUBT_NS = 10_000_000_000
"""How much later the next of irregular readings may come without its time being doubted."""


def effective_rate(rate_hz: float, come: int, passed_ns: int) -> float:
    """Return the readings a second that come, as soon as enough have; else what was declared.

    Parameters
    ----------
    rate_hz : float
        What the device declares; 0 where its readings are irregular.
    come, passed_ns : int
        How far its numbers and its times have come since the rate is reckoned: since the first reading, or since the
        one behind the last seam.
    """
    return come * 1e9 / passed_ns if come > 0 and passed_ns >= RATE_KNOWN_NS else rate_hz


def follows(numbers: int, step_ns: int, rate_hz: float, stride_ns: int) -> bool:
    """Tell whether a reading may come so much later than another one before it, by their numbers and by their times.

    Parameters
    ----------
    numbers, step_ns : int
        By how much its number and its time are further on.
    rate_hz : float
        At which readings come; 0 where they are irregular: then numbers say nothing.
    stride_ns : int
        By how much times may differ from what numbers say.
    """
    if step_ns < 0 or not rate_hz:
        return 0 <= step_ns <= DOUBT_NS
    return (numbers == 1 and step_ns <= stride_ns) or abs(step_ns - numbers * 1e9 / rate_hz) <= stride_ns


class Sifted(NamedTuple):
    """What is taken of a device's readings.

    Attributes
    ----------
    kept : ndarray of bool, shape (M,)
        Which are: one whose time the next one does not confirm is left out.
    behind : list of int
        The time of the first reading behind each seam, ns.
    """

    kept: npt.NDArray[np.bool_]
    behind: list[int]


def sift(device: DeviceReadings, stride_ns: int) -> Sifted:
    """Find where a device's times and numbers part, and which readings have a wrong time, as the streamer does.

    A reading that does not follow those before it is believed once the next one follows it: then there is a seam. Else
    its time was wrong.

    Parameters
    ----------
    device : DeviceReadings
        What was delivered.
    stride_ns : int
        By how much times may differ from what the numbers say.
    """
    times, count = device.times, len(device.times)
    numbers = np.arange(count) if device.numbers is None else device.numbers
    kept, behind = np.ones(count, np.bool_), list[int]()
    limit = stride_ns if device.rate_hz else DOUBT_NS
    suspects = np.flatnonzero((np.diff(times) > limit) | ((np.diff(numbers) > 1) & bool(device.rate_hz))) + 1
    begin, last, odd, at = 0, 0, -1, 0  # since when the rate is reckoned; the last reading kept; one that is doubted

    def is_next(this: int, before: int) -> bool:
        rate = device.rate_hz
        if rate:
            rate = effective_rate(rate, int(numbers[last] - numbers[begin]), int(times[last] - times[begin]))
        return follows(int(numbers[this] - numbers[before]), int(times[this] - times[before]), rate, stride_ns)

    while True:
        if odd < 0 and last == at:  # whatever comes before the next suspect simply follows
            later = int(np.searchsorted(suspects, at + 1))
            if later == len(suspects):
                break
            at = int(suspects[later])
            last = at - 1
        else:
            at += 1
        if at >= count:
            break
        if is_next(at, last):
            last = at
        elif odd >= 0 and is_next(at, odd):
            behind.append(int(times[odd]))
            begin, last, odd = odd, at, -1
            continue
        if odd >= 0:
            kept[odd] = False
        odd = -1 if last == at else at
    if odd >= 0:
        kept[odd] = False
    return Sifted(kept, behind)
