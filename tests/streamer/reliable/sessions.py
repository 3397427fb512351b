"""Sessions that follow one another while streamers are killed: what ships on both sides, and chance in between.

The sender's `Deliveries` and the streamer's `Recognizer` are the ones that ship. Around them are a clock that chance
moves on, and a connection in which messages wait: what has not left it when a streamer is killed comes to the next one,
all but as many of the first as were with the kernel already. A label counts as delivered once a streamer has remembered
it for as long as it remembers any, and lived on: before that nobody may have received it. A streamer may be full for
a while, and refuse what it does not know yet. In the end nothing more goes wrong, and every label of every session must
have been delivered, as an undisturbed run gives it.

By hand, for as many runs as you like::

    python -m tests.streamer.reliable.sessions --runs 5000
"""

import argparse
import random
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from unittest import mock

import numpy as np

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.engine.engine import Engine
from kinestream.model.engine.load import load_engine
from kinestream.streamer.client import deliveries
from kinestream.streamer.client.deliveries import Deliveries
from kinestream.streamer.client.reliable import Reliable
from kinestream.streamer.recognizer import tracking
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.streams import sessions
from kinestream.streamer.wire.codec import decode, encode_description, encode_end, encode_samples
from kinestream.streamer.wire.messages import Answer, Description, Label
from kinestream.streamer.wire.tracked import Acknowledgement
from tests.given.bundles import random_bundle

HISTORY_S = 2.0
_WAITING = 40  # messages that the connection holds
_STEPS, _MOST_STEPS = 400, 4000
Named = dict[tuple[int, int], tuple[str, bytes]]
"""By session and window: the activity, and every class's probability."""


class World:
    """One run.

    Parameters
    ----------
    bundle, engine : Bundle, Engine
        What names the windows.
    seed : int
        What chance does.
    """

    def __init__(self, bundle: Bundle, engine: Engine, seed: int) -> None:
        self._bundle, self._engine, self._rng = bundle, engine, random.Random(seed)
        self.now = time.monotonic()  # from here on as chance moves it
        self._waiting: deque[bytes] = deque()
        self._asked: deque[list[int]] = deque()
        self._inquired: deque[bytes] = deque()
        self._answers: deque[list[Acknowledgement] | Answer] = deque()
        self._is_full = False
        self._remembered: list[tuple[float, Label]] = []
        self.delivered: Named = {}
        self.due: Named = {}
        self.kills = 0
        self._sender = Deliveries(Reliable(), self._post, self._asked.append, self._listen, self._inquire)
        self._recognizer = self._started()
        self._session, self._key, self._sent = 0, 0, 0
        self._samples = np.empty((0, len(bundle.channels)), np.float32)
        self._about: bytes = b""

    def run(self) -> None:
        """Do what chance says for a while, then without any more harm until all is acknowledged.

        Raises
        ------
        AssertionError
            Where a label is another one than it has to be, or does not come.
        """
        steps = (
            [self._send] * 6 + [self._take] * 6 + [self._name] * 4 + [self._pass] * 4 + [self._answer] * 3
            + [self._describe, self._kill, self._fill]
        )  # fmt: skip
        for _ in range(_STEPS):
            self._rng.choice(steps)()
        while self._sent < len(self._samples):
            self._send()
        if self._key:
            self._end()
        self._is_full = False
        for _ in range(_MOST_STEPS):
            if not self._sender.unacknowledged:
                break
            for step in (self._take, self._name, self._answer, self._pass):
                step()
        assert not self._sender.unacknowledged, "nothing more is done"
        self._remember(self.now + 2 * HISTORY_S)
        missing = sorted(self.due.keys() - self.delivered.keys())
        assert not missing, f"not delivered: {missing[:20]}"
        assert self.delivered == self.due

    # The sender

    def _send(self) -> None:
        if not self._key or self._sent >= len(self._samples):
            if self._key:
                self._end()
            self._begin()
            return
        end = min(self._sent + self._rng.randint(1, 9), len(self._samples))
        message = encode_samples(self._key, self._sent, end * 20_000_000, self._samples[self._sent : end])
        self._sent = end
        self._sender.add(self._key, message, end)

    def _begin(self) -> None:
        self._session += 1
        self._key, self._sent = self._rng.getrandbits(64), 0
        count = self._rng.randint(1, 60)
        self._samples = np.random.default_rng(self._key).normal(size=(count, self._samples.shape[1])).astype(np.float32)
        about = Description("anna", self._key, self._session, 50.0, self._bundle.channels)
        self._about = encode_description(about)
        for label in Recognizer(self._bundle, self._engine).push("anna", self._samples):
            self.due[self._session, label.window] = label.label, label.probs
        self._sender.open(about, self._about)
        self._describe()

    def _end(self) -> None:
        self._sender.add(self._key, encode_end(self._key), self._sent)
        self._sender.finish(self._key)
        self._key = 0

    def _describe(self) -> None:
        if self._key and not self._sender.comes_after(self._key):
            self._post(self._key, self._about)
            self._inquired.append(self._about)

    def _inquire(self, description: bytes, key: int, stream: str) -> None:
        self._inquired.append(description)

    def _post(self, key: int, frame: bytes) -> bool:
        if len(self._waiting) >= _WAITING:
            return False
        self._waiting.append(frame)
        return True

    def _listen(self) -> None:
        while self._answers:
            answer = self._answers.popleft()
            if isinstance(answer, Answer):
                self._sender.answered(answer.key, answer.accepted)
            else:
                self._sender.acknowledged(answer)

    def _pass(self) -> None:
        self.now += self._rng.choice((0.01, 0.1, 0.5, 1.0))
        self._sender.service()
        self._recognizer.tracking.look(int(self.now * 1e9))
        self._remember(self.now)

    # The streamer

    def _started(self) -> Recognizer:
        recognizer = Recognizer(self._bundle, self._engine)
        recognizer.tracking.history_ns = int(HISTORY_S * 1e9)
        return recognizer

    def _take(self) -> None:
        for _ in range(self._rng.randint(1, 8)):
            if not self._waiting:
                return
            frame = self._waiting.popleft()
            if frame.startswith(b"KR"):
                self._recognizer.take_frames([frame], 1, lambda each: self._recognizer.tracking.take(each, 1))
            else:
                self._introduce(frame)

    def _introduce(self, description: bytes) -> Answer:
        about = decode(description)
        assert isinstance(about, Description)
        self._recognizer._registry.closed = "full" if self._is_full else ""
        return self._recognizer.introduce(about)

    def _fill(self) -> None:
        """Have no room for what is not known yet, or have it again."""
        self._is_full = self._rng.random() < 0.5

    def _name(self) -> None:
        for message in self._recognizer.infer():
            if isinstance(message, Label):
                self._remembered.append((self.now, message))

    def _answer(self) -> None:
        """Answer what was asked, in parts: of what is urgent sooner."""
        while self._inquired:
            self._answers.append(self._introduce(self._inquired.popleft()))
        followed = self._recognizer.tracking
        urgent, followed.urgent = followed.urgent, set()
        keys = [key for asked in self._asked for key in asked]
        self._asked.clear()
        for part in (sorted(urgent), keys):
            if part and self._rng.random() < 0.9:
                self._answers.append([followed.acknowledgement(key) for key in part])

    def _remember(self, now: float) -> None:
        kept = []
        for at, label in self._remembered:
            if now - at <= HISTORY_S:
                kept.append((at, label))
                continue
            named = label.label, label.probs
            assert self.delivered.setdefault((label.session, label.window), named) == named
        self._remembered = kept

    def _kill(self) -> None:
        if self._rng.random() < 0.5:
            return
        self.kills += 1
        self._remembered.clear()
        for _ in range(self._rng.choice((0, 0, 1, 5))):
            if self._waiting:
                self._waiting.popleft()
        if self._rng.random() < 0.5:
            self._asked.clear()
            self._inquired.clear()
            self._answers.clear()
        self._recognizer = self._started()


@contextmanager
def clock_of(world: World) -> Iterator[None]:
    """Have both sides go by a run's clock."""
    clock = SimpleNamespace(monotonic=lambda: world.now, sleep=lambda seconds: None)

    def monotonic_ns() -> int:
        return int(world.now * 1e9)

    with (
        mock.patch.object(deliveries, "time", clock),
        mock.patch.object(tracking, "monotonic_ns", monotonic_ns),
        mock.patch.object(sessions, "monotonic_ns", monotonic_ns),
    ):
        yield


def run(first: int, count: int) -> tuple[int, int]:
    """Do so many runs from a seed on; return how many labels there were, and how many streamers were killed.

    Raises
    ------
    AssertionError
        With the seed.
    """
    bundle = random_bundle(channels=2, classes=3, length=8, stride=4)
    engine, labels, kills = load_engine(bundle, "cpu"), 0, 0
    for seed in range(first, first + count):
        world = World(bundle, engine, seed)
        with clock_of(world):
            try:
                world.run()
            except AssertionError as wrong:
                raise AssertionError(f"run {seed}: {wrong}") from None
        labels, kills = labels + len(world.due), kills + world.kills
    return labels, kills


def main() -> None:
    """Do some runs, and say what there was."""
    parser = argparse.ArgumentParser(prog="python -m tests.streamer.reliable.sessions", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    asked, began = parser.parse_args(), time.perf_counter()
    labels, kills = run(asked.first, asked.runs)
    took = time.perf_counter() - began
    print(f"{asked.runs:,} runs, {labels:,} labels, {kills:,} kills: none lost, {took:.0f} s")


if __name__ == "__main__":
    main()
