"""How far a wearer's clock has come, by what is believed of the devices: one whose clock is wrong is not.

What would go wrong otherwise. If one device that is ahead could say how far the time has come, all that others deliver
would be late.
"""

from collections.abc import Sequence

from kinestream.streamer.streams.device import Device

ASTRAY_NS = 10_000_000_000
"""How far one device may be ahead of another that still delivers. What it delivers beyond that is believed once it has
delivered as much again, and nobody else anything."""
FAR = 1 << 62
"""No time is later."""


class WearerClock:
    """The clock that a wearer's devices share.

    Parameters
    ----------
    patience_ns : int
        How long a device is waited for, beyond what its messages span.

    Attributes
    ----------
    time : int or None
        How far it has come, ns; None where nothing is known.
    """

    def __init__(self, patience_ns: int) -> None:
        self._patience_ns = patience_ns
        self.forget()

    def forget(self) -> None:
        """Forget what was believed."""
        self.time: int | None = None
        self._ahead: int | None = None  # since when only a device that is not believed has delivered
        self._doubted: int | None = None  # since when only devices whose clock was set back have delivered

    def set_back(self, time: int | None) -> None:
        """Note that a device's clock was set back, and how far the others had come, if there are others."""
        self.time, self._doubted = time, None if time is None else FAR

    def believed(self, devices: Sequence[Device]) -> int | None:
        """Return how far it has come: no device pulls it far beyond another that still delivers.

        None where a clock has just been set back, and of those that are further on nobody has been heard yet.
        """
        heard = sorted(device.newest for device in devices if device.newest >= 0)
        if self._doubted is not None and self.time is not None:
            self._doubted = min(self._doubted, heard[-1])
            if heard[-1] >= self.time - ASTRAY_NS:
                self._doubted = None
            elif heard[-1] - self._doubted <= self._patience(devices, heard[-1]):
                return None
            else:
                self._doubted = self.time = None
        before = self.time
        now = heard[0] if before is None else before
        for newest in heard:
            if now < newest <= now + ASTRAY_NS:
                now = newest
        if now != before:
            self._ahead = None
        beyond = heard[-1]
        if beyond > now + ASTRAY_NS:
            ahead = min(newest for newest in heard if newest > now + ASTRAY_NS)
            if any(abs(each.newest - now) <= ASTRAY_NS and not each.ended for each in devices):
                self._ahead = beyond if self._ahead is None else self._ahead
                if beyond - self._ahead > ASTRAY_NS:
                    now, self._ahead = ahead, None
            else:
                now, self._ahead = ahead, None
        self.time = now
        return now

    def _patience(self, devices: Sequence[Device], now: int) -> int:
        return self._patience_ns + max(device.longest_ns(now) for device in devices)
