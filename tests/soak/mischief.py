"""Structured nonsense: what senders do wrong, by mistake or because they mean it, drawn from a seed."""

import random
import time
from collections.abc import Callable, Iterator

import numpy as np
import zmq

from kinestream.model.recordings.recording import Channel
from tests.soak.encoder import Encoder

FAR = (1, 7, 1000, 10**6, 10**12, 2**31, 2**32, 2**53, 2**61, 2**62 - 1)
NAMES = 40


class Mischief:
    """One sender of nonsense.

    Parameters
    ----------
    encoder : Encoder
        Writes what is then spoilt.
    channels : tuple of Channel
        What the streamer's bundle reads.
    rate_hz : float
        At which rate.
    seed : int
        Of everything.
    """

    def __init__(self, encoder: Encoder, channels: tuple[Channel, ...], rate_hz: float, seed: int) -> None:
        self._encoder, self._channels, self._rate = encoder, channels, rate_hz
        self._random = random.Random(seed)
        self._rows = np.random.default_rng(seed).normal(size=(4096, len(channels))).astype(np.float32)
        self._seed = seed
        self._sessions: dict[str, int] = {}
        self._seqs: dict[str, int] = {}
        self._kinds: list[Callable[[], Iterator[bytes]]] = [
            self._go_on,
            self._go_on,
            self._go_on,
            self._jump,
            self._step_back,
            self._repeat,
            self._reorder,
            self._upload,
            self._new_session,
            self._old_session,
            self._end,
            self._describe,
            self._describe_wrongly,
            self._undescribed,
            self._spoil,
            self._noise,
            self._wrong_width,
            self._extreme,
        ]

    def messages(self) -> Iterator[bytes]:
        """Yield messages without end."""
        for i in range(NAMES):
            yield self._encoder.describe(self._name(i), 1, self._rate, self._channels)
        while True:
            yield from self._random.choice(self._kinds)()

    def _name(self, i: int | None = None) -> str:
        return f"mischief-{self._seed}-{self._random.randrange(NAMES) if i is None else i}"

    def _samples(self, name: str, count: int, seq: int | None = None, session: int | None = None) -> bytes:
        at = self._seqs.get(name, 0) if seq is None else seq
        first = self._random.randrange(len(self._rows) - count)
        number = self._sessions.setdefault(name, 1) if session is None else session
        if session is None:
            self._seqs[name] = min(at + count, 2**62 - 2)
        return self._encoder.samples(name, number, at, time.time_ns(), self._rows[first : first + count])

    def _go_on(self) -> Iterator[bytes]:
        name = self._name()
        for _ in range(self._random.randrange(1, 12)):
            yield self._samples(name, self._random.choice((1, 1, 1, 2, 5, 12, 50, 100)))

    def _jump(self) -> Iterator[bytes]:
        name = self._name()
        yield self._samples(name, 3, seq=min(self._seqs.get(name, 0) + self._random.choice(FAR), 2**62 - 4))

    def _step_back(self) -> Iterator[bytes]:
        name = self._name()
        yield self._samples(name, 3, seq=max(self._seqs.get(name, 0) - self._random.choice(FAR), 0))

    def _repeat(self) -> Iterator[bytes]:
        message = self._samples(self._name(), 5)
        yield from [message] * 3

    def _reorder(self) -> Iterator[bytes]:
        name = self._name()
        messages = [self._samples(name, self._random.randrange(1, 9)) for _ in range(6)]
        self._random.shuffle(messages)
        yield from messages

    def _upload(self) -> Iterator[bytes]:
        name = self._name()
        for _ in range(4):
            yield self._samples(name, min(1000, 65_000 // (4 * len(self._channels))))

    def _new_session(self) -> Iterator[bytes]:
        name = self._name()
        self._sessions[name] = min(self._sessions.get(name, 0) + self._random.choice(FAR), 2**62 - 1)
        self._seqs[name] = self._random.choice((0, 0, *FAR[:-1]))
        messages = [
            self._encoder.describe(name, self._sessions[name], self._rate, self._channels),
            self._samples(name, 20),
        ]
        if not self._random.randrange(4):  # samples may come first, over another connection
            messages.reverse()
        yield from messages

    def _old_session(self) -> Iterator[bytes]:
        name = self._name()
        old = max(self._sessions.get(name, 0) - self._random.choice(FAR), 0)
        yield self._encoder.describe(name, old, self._rate, self._channels)
        yield self._samples(name, 20, seq=0, session=old)

    def _end(self) -> Iterator[bytes]:
        name = self._name()
        yield self._encoder.end(name, self._sessions.get(name, 1) - self._random.choice((0, 0, 0, 1)))

    def _describe(self) -> Iterator[bytes]:
        channels, name = list(self._channels), self._name()
        self._random.shuffle(channels)  # at times of a key that has been described otherwise
        yield self._encoder.describe(name, self._sessions.get(name, 1), self._rate, tuple(channels))

    def _describe_wrongly(self) -> Iterator[bytes]:
        name, rate, channels = self._name(), self._rate, self._channels
        match self._random.randrange(6):
            case 0:
                rate *= 2
            case 1:
                channels = channels[:-1]
            case 2:
                channels = tuple(Channel(each.name, "furlong") for each in channels)
            case 3:
                channels = tuple(Channel(f"c{i}", "") for i in range(1024))
            case 4:
                name = f"stranger-{self._random.randrange(10**9)}"
                channels = tuple(Channel(f"\x1b[2J{each.name}", each.unit) for each in channels)
            case 5:
                name = f"stranger-{self._random.randrange(10**9)}"
                channels = channels[:1]
        yield self._encoder.describe(name, self._random.choice((1, 2, self._random.choice(FAR))), rate, channels)

    def _undescribed(self) -> Iterator[bytes]:
        yield self._samples(f"stranger-{self._random.randrange(10**9)}", 1, seq=0, session=1)

    def _spoil(self) -> Iterator[bytes]:
        """Yield a good message of which some bytes were changed, cut out or put in."""
        name = self._name()
        good = bytearray(
            self._random.choice(
                (
                    self._samples(name, 2),
                    self._encoder.describe(name, 1, self._rate, self._channels),
                    self._encoder.end(name, 1),
                )
            )
        )
        for _ in range(self._random.randrange(1, 5)):
            at = self._random.randrange(len(good) + 1)
            match self._random.randrange(4):
                case 0 if at < len(good):
                    good[at] = self._random.randrange(256)
                case 1:
                    good[at:at] = self._random.randbytes(self._random.randrange(1, 9))
                case 2:
                    del good[at : at + self._random.randrange(1, 9)]
                case 3:
                    del good[at:]
        yield bytes(good)

    def _noise(self) -> Iterator[bytes]:
        yield self._random.randbytes(self._random.choice((0, 1, 2, 40, 1000, 30_000)))

    def _wrong_width(self) -> Iterator[bytes]:
        """Yield samples of one channel more than the stream has."""
        x = np.zeros((self._random.choice((1, 500)), len(self._channels) + 1), dtype=np.float32)
        yield self._encoder.samples(self._name(), 1, 0, time.time_ns(), x)

    def _extreme(self) -> Iterator[bytes]:
        """Yield readings as no sensor gives them."""
        name = self._name()
        x = np.full(
            (30, len(self._channels)),
            self._random.choice((np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, 0.0)),
            dtype=np.float32,
        )
        self._seqs[name] = self._seqs.get(name, 0) + 30
        yield self._encoder.samples(name, self._sessions.setdefault(name, 1), self._seqs[name] - 30, 0, x)


def misbehave(mischief: Mischief, address: str, seconds: float, per_s: float, kind: int = zmq.PUSH) -> dict[str, int]:
    """Send nonsense at a rate, now and then over a new connection; where there are answers, none is read."""
    rng = random.Random(per_s)
    begin, sent, connections = time.monotonic(), 0, 0
    messages = mischief.messages()
    with zmq.Context() as context:
        socket = None
        while (passed := time.monotonic() - begin) < seconds:
            if socket is None:
                socket = context.socket(kind)
                socket.set(zmq.LINGER, 0)
                socket.set(zmq.SNDTIMEO, 100)
                socket.connect(address)
                connections += 1
            for _ in range(max(int(passed * per_s) - sent, 0)):
                try:
                    socket.send(next(messages))
                except zmq.Again:
                    break
                sent += 1
            if rng.random() < 0.002:
                socket.close()
                socket = None
            time.sleep(0.005)
        if socket is not None:
            socket.close()
    return {"messages": sent, "connections": connections}


def pester(labels: str, seconds: float, seed: int) -> dict[str, int]:
    """Subscribe to nonsense, send other things than subscriptions, come and go, and read little of what comes."""
    rng = random.Random(seed)
    until, visits = time.monotonic() + seconds, 0
    with zmq.Context() as context:
        while time.monotonic() < until:
            with context.socket(zmq.XSUB) as socket:
                socket.set(zmq.LINGER, 0)
                socket.set(zmq.RCVHWM, 10)
                socket.set(zmq.SNDTIMEO, 100)
                socket.connect(labels)
                visits += 1
                leave = time.monotonic() + rng.uniform(0.1, 5)
                while time.monotonic() < min(leave, until):
                    length = rng.choice((0, 3, 20, 100, 250, 400))
                    topic = rng.choice((b"label/", b"event/", b"", rng.randbytes(length)))
                    try:
                        socket.send(rng.choice((b"\x01", b"\x00", b"\x02")) + topic)
                    except zmq.Again:
                        pass
                    time.sleep(0.02)
    return {"visits": visits}
