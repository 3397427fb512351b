"""What senders do, well or badly, one move after the other: each writes the messages that it sends.

Both the tests and the fuzzer choose moves; what they mean stands here once. A move is a kind, whose it is, and a number
that says the rest, so that any numbers at all are moves.
"""

import struct
from collections.abc import Callable, Iterable

import numpy as np

from kinestream.model.recordings.recording import Channel
from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire.codec import encode_description, encode_end, encode_samples
from kinestream.streamer.wire.tracked import encode_tracked
from tests.given.keys import described
from tests.given.live import BUNDLE
from tests.streamer.ingest import worn

Move = tuple[str, int, int]

WEARERS = 48
"""More than the arena has lanes for at first, so that it grows in between."""
_SAMPLES = (*[1] * 20, *[2] * 12, *[4] * 6, *[3] * 3, 8, 12, 40)  # of a message; more than 8 wait for their turn
_SHIFTS = (-1, 1, -3, 2, -8, 5, -30, 40, 20_000)  # how far a number is off; past 15,000 no gap explains it
_EXTREMES = (0, 1, (1 << 31) - 1, 1 << 32, wire.MAX_INT - 2, wire.MAX_INT - 1, wire.MAX_INT, 1 << 63, (1 << 64) - 1)
_COUNTS = (0, 2, 3, 1 << 16, 1 << 30, 357_913_942, (1 << 32) - 1)  # the sixth times 12 bytes is 8 in 32 bits
_READINGS = np.random.default_rng(7).normal(size=(4096, 4)).astype(np.float32)
_READINGS[::97] = np.nan
_READINGS[::1013] = np.inf


class Wearer:
    """One wearer's device: where its session is, and the last that it sent."""

    def __init__(self, number: int) -> None:
        self.name = f"w{number}"
        self.session, self.key = 0, number << 32
        self.seq = 0
        self.keys = [self.key]
        self.last = b""
        self.numbers: dict[int, int] = {}  # of the next tracked message, by key
        self.worn = worn.Worn(number)

    def describe(self, **others: object) -> bytes:
        description = described(self.name, BUNDLE.channels, 50.0, self.session)
        return encode_description(description._replace(**{"key": self.key, **others}))

    def samples(self, seq: int, n: int, key: int | None = None, width: int = 3) -> bytes:
        first = (seq * 31 + self.session) % 4000
        x = _READINGS[first : first + n, :width]
        return encode_samples(self.key if key is None else key, seq, 1_000 + seq + n, x)

    def begin(self) -> None:
        self.session += 1
        self.key += 1
        self.keys.append(self.key)
        self.seq = 0


class Senders:
    """Many wearers."""

    def __init__(self) -> None:
        self._wearers = [Wearer(number) for number in range(WEARERS)]

    def frames(self, moves: Iterable[Move]) -> list[bytes]:
        """Return the messages of moves, in order."""
        return [frame for kind, who, number in moves for frame in MOVES[kind](self._wearers[who % WEARERS], number)]


def _follow(one: Wearer, number: int) -> list[bytes]:
    """Send the samples that come next, in a message or a few."""
    n, sent = _SAMPLES[number % len(_SAMPLES)], []
    for _ in range(1 + number // len(_SAMPLES) % 4):
        one.last = one.samples(one.seq, n)
        one.seq += n
        sent.append(one.last)
    return sent


def _shift(one: Wearer, number: int) -> list[bytes]:
    """Send samples that are not the next ones; those after them follow."""
    seq = max(one.seq + _SHIFTS[number % len(_SHIFTS)], 0)
    one.seq = seq + 2
    return [one.samples(seq, 2)]


def _stray(one: Wearer, number: int) -> list[bytes]:
    """Send samples out of turn, and then go on as if nothing had been."""
    return [one.samples(max(one.seq + _SHIFTS[number % len(_SHIFTS)], 0), 1 + number % 3)]


def _extreme(one: Wearer, number: int) -> list[bytes]:
    """Write a number at the edge of what there may be over one of the head."""
    frame = bytearray(one.samples(one.seq, 1))
    value, place = _EXTREMES[number % len(_EXTREMES)], number // len(_EXTREMES) % 4
    if place == 3:
        struct.pack_into("<I", frame, 4, _COUNTS[number % len(_COUNTS)])
    else:
        struct.pack_into("<Q", frame, (8, 16, 24)[place], value)
    return [bytes(frame)]


def _damage(one: Wearer, number: int) -> list[bytes]:
    """Change a byte of the next samples, add one or leave one out; mostly of the head."""
    frame = bytearray(one.samples(one.seq, 1 + number % 2))
    place = number // 6 % len(frame)
    match number % 3:
        case 0:
            frame[place] ^= 1 << number % 8
        case 1:
            frame.insert(place, number % 256)
        case _:
            del frame[place]
    return [bytes(frame)]


def _cut(one: Wearer, number: int) -> list[bytes]:
    frame = one.samples(one.seq, 2)
    return [frame[: number % len(frame)]]


def _describe_otherwise(one: Wearer, number: int) -> list[bytes]:
    """Describe anew: under the same key, of another order, or what cannot be accepted."""
    one_more = (*BUNDLE.channels, Channel("more"))
    others: list[dict[str, object]] = [
        {"channels": tuple(reversed(BUNDLE.channels))},
        {"channels": one_more, "key": one.key + 1000},
        {"channels": BUNDLE.channels[:2], "key": one.key + 2000},
        {"rate_hz": 51.0, "key": one.key + 3000},
        {"timing": "times", "key": one.key + 4000},
        {"device": "ankle", "key": one.key + 5000},
        {"channels": tuple(reversed(BUNDLE.channels)), "key": one.key + 6000},
    ]
    return [one.describe(**others[number % len(others)]), *(_send_otherwise(one, number // 7) if number % 2 else ())]


def _send_otherwise(one: Wearer, number: int) -> list[bytes]:
    """Send the next samples under a key that stands for other columns."""
    key = one.key + 1000 * (1 + number % 6)
    frame = one.samples(one.seq, 1, key, width=4 if number % 6 == 0 else 3)
    one.seq += 1
    return [frame]


def _begin(one: Wearer, number: int) -> list[bytes]:
    """Begin another session: described before its samples, after them, or never."""
    one.begin()
    followed = _follow(one, number)
    return [[one.describe(), *followed], [*followed, one.describe()], followed][(0, 0, 0, 0, 1, 1, 2)[number % 7]]


def _send_times(one: Wearer, number: int) -> list[bytes]:
    n = 1 + number % 3
    return [encode_samples(one.key, one.seq, 5, _READINGS[:n, :3], np.arange(n))]


def _send_junk(one: Wearer, number: int) -> list[bytes]:
    begin = (b"", b"KS", b"KS\x02\x01", b"KS\x02\x02", b"\x8a", b"\x83")[number % 6]
    return [begin + np.random.default_rng(number).bytes(number % 61)]


def _tracked(move: Callable[[Wearer, int], list[bytes]]) -> Callable[[Wearer, int], list[bytes]]:
    """Return a move whose messages of samples are numbered, by their key."""

    def numbered(one: Wearer, number: int) -> list[bytes]:
        return [_numbered(one, frame, number % 4) if frame[:2] == b"KS" else frame for frame in move(one, number)]

    return numbered


def _numbered(one: Wearer, frame: bytes, kept: int) -> bytes:
    key = int.from_bytes(frame[8:16], "little")
    number = one.numbers.get(key, 0)
    one.numbers[key] = number + 1
    return encode_tracked(key, number, max(number - kept, 0), frame)


def _renumber(one: Wearer, number: int) -> list[bytes]:
    """Number what follows anew: back, as what is sent again, or ahead, as what follows something lost."""
    for key in one.numbers:
        one.numbers[key] = max(one.numbers[key] + (-3, -1, 1, 2, -40, 1 << 40)[number % 6], 0)
    return []


def _track_otherwise(one: Wearer, number: int) -> list[bytes]:
    """Put into a tracked message what does not belong there, or change its head."""
    held = (encode_end(one.key), one.samples(one.seq, 2, one.key + 1), one.describe(), b"x", one.last, b"")[number % 6]
    frame = bytearray(encode_tracked(one.key, one.numbers.get(one.key, 0), 0, held))
    if number % 4 == 0:
        struct.pack_into("<Q", frame, (8, 16, 24)[number // 4 % 3], _EXTREMES[number % len(_EXTREMES)])
    elif number % 4 == 1:
        frame[number // 4 % 32] ^= 1 << number % 8
    return [bytes(frame)]


MOVES: dict[str, Callable[[Wearer, int], list[bytes]]] = {
    "follow": _follow,
    "tracked": _tracked(_follow),
    "tracked again": _tracked(_stray),
    "worn tracked": _tracked(lambda one, number: worn.MOVES["worn follow"](one.worn, number)),
    "renumber": _renumber,
    "track otherwise": _track_otherwise,
    "describe": lambda one, number: [one.describe()],
    "shift": _shift,
    "stray": _stray,
    "again": lambda one, number: [one.last] * (1 + number % 2),
    "back": lambda one, number: [one.samples(one.seq, 1, one.keys[number % len(one.keys)])],
    "end": lambda one, number: [encode_end(one.keys[-1 - number % 2 % len(one.keys)])],
    "begin": _begin,
    "extreme": _extreme,
    "damage": _damage,
    "cut": _cut,
    "wide": lambda one, number: [one.samples(one.seq, 1 + number % 3, width=4)],
    "stranger": lambda one, number: [one.samples(number % 5, 1, key=number)],
    "describe otherwise": _describe_otherwise,
    "send otherwise": _send_otherwise,
    "times": _send_times,
    "junk": _send_junk,
    **{kind: lambda one, number, move=move: move(one.worn, number) for kind, move in worn.MOVES.items()},
}
"""Every kind of move, and the messages that it sends."""
