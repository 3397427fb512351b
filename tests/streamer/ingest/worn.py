"""What a wearer's two devices send, each on a clock of its own, well or badly: see `moves`."""

from collections.abc import Callable

import numpy as np

from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire.codec import encode_description, encode_end, encode_samples
from tests.given.live import BUNDLE

_ORIGIN = 1_700_000_000_000_000_000
_SAMPLES = (1, 2, 2, 4, 5, 8, 8, 9, 30)  # of a message; more than 8 wait for their turn
_RATES = (0.0, 25.0, 50.0, 52.0, 104.0)
_READINGS = np.random.default_rng(8).normal(size=(4096, 4)).astype(np.float32)
_READINGS[::97] = np.nan
_READINGS[::31, 1] = np.nan
_READINGS[::1013] = np.inf


class Device:
    """One of them: which channels it has, in which order, and how far it is."""

    def __init__(self, name: str, key: int, columns: list[int], rate_hz: float) -> None:
        self.name, self.key, self.columns, self.rate_hz = name, key, columns, rate_hz
        self.seq, self.time = 0, _ORIGIN + key % 7 * 1_000_003
        self.step = round(1e9 / (rate_hz or 60.0))
        self.last = b""

    def message(self, n: int, seq: int | None = None, time: int | None = None) -> bytes:
        """Return readings that come next, or from elsewhere; it goes on as if nothing had been sent."""
        seq, time = self.seq if seq is None else seq, self.time if time is None else time
        jitter = _READINGS[seq % 4000 : seq % 4000 + n, 3]
        times = time + self.step * np.arange(n) + np.nan_to_num(jitter, posinf=0).clip(-1, 1) * self.step / 4
        times = np.maximum.accumulate(times.astype(np.int64) - times.astype(np.int64) % 100)
        x = _READINGS[(seq * 7 + self.key) % 4000 :][:n, : len(self.columns)]
        return encode_samples(self.key, max(seq, 0), int(times[-1]), x, times.clip(min=0))

    def follow(self, n: int) -> bytes:
        """Return the readings that come next, and go on behind them."""
        self.last = self.message(n)
        self.skip(n)
        return self.last

    def skip(self, n: int) -> None:
        self.seq += n
        self.time += n * self.step


class Worn:
    """A wearer's phone and watch."""

    def __init__(self, number: int) -> None:
        self.number, self.session, self._keys = number, number % 2, 0
        self.begin()

    def begin(self) -> None:
        rates = _RATES[self.number % 5], _RATES[(self.number // 5 + 1) % 5]
        self.devices = [
            Device("phone", self._new_key(), [2, 0] if self.number % 3 else [0, 2], rates[0]),
            Device("watch", self._new_key(), [1], rates[1]),
        ]

    def describe(self, device: Device) -> bytes:
        channels = tuple(BUNDLE.channels[column] for column in device.columns)
        about = wire.Description(
            f"v{self.number}", device.key, self.session, device.rate_hz, channels, device.name, _ORIGIN, "times"
        )
        return encode_description(about)

    def describe_all(self) -> list[bytes]:
        return [self.describe(device) for device in self.devices]

    def restart(self, which: int) -> Device:
        old = self.devices[which]
        new = self.devices[which] = Device(old.name, self._new_key(), old.columns, old.rate_hz)
        new.time = old.time
        return new

    def _new_key(self) -> int:
        self._keys += 1
        return 1 << 62 | self.number << 24 | self._keys


def _follow(one: Worn, number: int) -> list[bytes]:
    """Send what comes next of both, now and then more of one."""
    sent = []
    for turn in range(1 + number % 7):
        n = _SAMPLES[(number >> 3) % 6 if number % 8 else (number + turn) % len(_SAMPLES)]
        behind = min(one.devices, key=lambda device: device.time)
        sent.append((behind if number % 11 else one.devices[number % 2]).follow(n))
    return sent


def _stray(one: Worn, number: int) -> list[bytes]:
    """Send readings out of turn, and then go on as if nothing had been."""
    device = one.devices[number % 2]
    off = (-9, -3, -1, 1, 4, 40)[number // 2 % 6]
    return [device.message(1 + number % 5, max(device.seq + off, 0), device.time + off * device.step)]


def _lose(one: Worn, number: int) -> list[bytes]:
    device = one.devices[number % 2]
    device.skip(1 + number // 2 % 30)
    return [device.follow(2)]


def _swap(one: Worn, number: int) -> list[bytes]:
    device = one.devices[number % 2]
    return [device.follow(1 + number % 4), device.follow(2)][::-1]


def _leap(one: Worn, number: int) -> list[bytes]:
    """Let the clock step, mostly ahead, while the numbers go on."""
    device = one.devices[number % 2]
    device.time += (10**8, 4 * 10**8, 10**10, 10**12, -(10**7), -(10**9))[number // 2 % 6]
    return [device.follow(3)]


def _pace(one: Worn, number: int) -> list[bytes]:
    """Deliver at another rate from now on, and for long enough that it shows."""
    device = one.devices[number % 2]
    device.step = round(device.step * (0.9, 1.02, 1.06, 1.2)[number // 2 % 4])
    return [device.follow(8) for _ in range(number // 8 % 60)]


def _restart(one: Worn, number: int) -> list[bytes]:
    before = one.devices[number % 2].message(2)
    device = one.restart(number % 2)
    return [one.describe(device), device.follow(2), *([before] if number % 3 else [])]


def _begin(one: Worn, number: int) -> list[bytes]:
    one.session += 1
    before = one.devices[0].message(2)
    one.begin()
    return [*one.describe_all(), *_follow(one, number), before]


def _end(one: Worn, number: int) -> list[bytes]:
    ends = [encode_end(device.key) for device in one.devices]
    return [*ends, one.devices[0].message(1)] if number % 2 else ends[:1]


def _damage(one: Worn, number: int) -> list[bytes]:
    frame = bytearray(one.devices[number % 2].message(1 + number % 3))
    match number % 5:
        case 0:
            frame[number // 5 % len(frame)] ^= 1 << number % 8
        case 1:
            del frame[number // 5 % len(frame) :]
        case 2:
            frame[3] ^= 3  # as if it lay on the grid
        case 3:
            frame[32 + number // 5 % 8] ^= 0x80  # a time
        case _:
            frame += bytes(4)
    return [bytes(frame)]


MOVES: dict[str, Callable[[Worn, int], list[bytes]]] = {
    "worn follow": _follow,
    "worn describe": lambda one, number: one.describe_all(),
    "worn stray": _stray,
    "worn again": lambda one, number: [one.devices[number % 2].last],
    "worn lose": _lose,
    "worn swap": _swap,
    "worn leap": _leap,
    "worn pace": _pace,
    "worn restart": _restart,
    "worn begin": _begin,
    "worn end": _end,
    "worn damage": _damage,
}
