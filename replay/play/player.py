"""Sends takes on an absolute schedule, or as fast as the streamer takes them."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Self

import zmq

from kinestream.model.clock import monotonic_ns, wall_clock
from kinestream.model.errors import EndpointError
from kinestream.model.system import yield_processor
from kinestream.replay.play.acknowledged import Acknowledged
from kinestream.replay.play.infleet import InFleet
from kinestream.replay.play.interrupts import Interrupts
from kinestream.replay.play.keys import TakeKeys
from kinestream.replay.play.playback import Playback
from kinestream.replay.play.take import Departure, Take, schedule
from kinestream.replay.play.truth import Truth
from kinestream.streamer.client import Reliable
from kinestream.streamer.client.link import HIGH_WATER
from kinestream.streamer.client.sender import DESCRIBE_EVERY_S
from kinestream.streamer.keys.curve import present
from kinestream.streamer.keys.keyfile import ClientKeys, found_keys
from kinestream.streamer.transport.handshakes import Handshakes
from kinestream.streamer.transport.sockets import connect
from kinestream.streamer.wire import codec
from kinestream.streamer.wire import messages as wire

Speed = float | Literal["max"]
"""How many times as fast as it was recorded, or as fast as the streamer takes it."""

_WAKE_NS = 500_000  # an idle processor wakes up 0.1 to 0.4 ms late (measured), so the end of a pause is not slept
_SLACK_NS = 10_000_000  # drawing a progress bar takes up to 3 ms


class Player:
    """Sends takes to a streamer through one socket, so that messages arrive in the order of their schedule.

    Parameters
    ----------
    endpoint : str
        Where the streamer takes samples.
    takes : sequence of Take
        What is played.
    chunk : int
        Samples in a message.
    timeout_s : float
        How long to wait for a streamer that takes no more.
    keys : str, Path or ClientKeys, optional
        As for `kinestream.streamer.client.SampleConnection`.
    truth : bool
        Whether what the recordings say the activity was is sent as annotations.
    draw : callable
        Called every `chores_s` seconds or so with what was sent so far, between two messages that are far enough apart
        if any are.
    chores_s : float
        How often; the streams that go on are described again as often, so that a streamer that was restarted learns of
        them.

    control : str, optional
        Where the streamer acknowledges.
    reliable : Reliable, optional
        How what is sent is kept until it is acknowledged; without it, nothing is.
    fleet : str, optional
        Where a fleet's directory answers, in place of `endpoint` and `control`.

    Attributes
    ----------
    unacknowledged : int
        Messages that were not acknowledged in the end.
    playback : Playback
        What was sent so far.
    streams : tuple of str
        Names of the streams, in order.

    Raises
    ------
    ConfigError
        If a stream or its channels cannot be called what they are called.
    EndpointError
        If the address cannot be used.
    """

    def __init__(
        self,
        endpoint: str,
        takes: Sequence[Take],
        *,
        chunk: int,
        timeout_s: float,
        keys: str | Path | ClientKeys | None = None,
        truth: bool = False,
        draw: Callable[[Playback], None] = lambda _: None,
        chores_s: float = DESCRIBE_EVERY_S,
        control: str | None = None,
        reliable: Reliable | None = None,
        fleet: str | None = None,
    ) -> None:
        self.playback = Playback(takes, chunk)
        self._keys = [TakeKeys(take, chunk) for take in takes]
        self._truth = [Truth(take) for take in takes] if truth else None
        self._unfinished = Counter(take.stream for take in takes)  # takes of each stream that have not ended
        # The take of each stream that is being played, or will be first.
        self._current = {takes[index].stream: index for index in reversed(range(len(takes)))}
        self.streams = tuple(dict.fromkeys(take.stream for take in takes))
        self._described = {index for index in self._current.values() if takes[index].delivery is None}
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._draw = draw
        self._chores_ns = round(chores_s * 1e9)
        self._chores_at = 0
        self.unacknowledged = 0
        self._interrupts = Interrupts()
        self._acknowledged: Acknowledged | None = None
        self._fleet = None if fleet is None else InFleet(fleet, timeout_s, reliable, keys)
        self._context = zmq.Context()
        if self._fleet is not None:
            return
        self._socket = self._context.socket(zmq.PUSH)
        self._socket.set(zmq.SNDHWM, HIGH_WATER)
        who = found_keys(keys)
        present(self._socket, who, wire.MAX_BYTES)  # of what comes in, whatever answers there
        self._socket.set(zmq.SNDTIMEO, round(1000 * timeout_s))
        self._handshakes = Handshakes(self._socket, "samples", None if who is None else who.client)
        try:
            connect(self._socket, endpoint)
            if reliable is not None and control is not None:
                self._acknowledged = Acknowledged(self._context, control, reliable, self._try_post, who)
        except EndpointError:
            self._handshakes.close()
            self._context.destroy(linger=0)
            raise

    def describe(self, streams: Iterable[str]) -> None:
        """Tell the streamer what the samples of streams will be.

        Raises
        ------
        AccessError
            If it does not accept the keys, or the lack of them.
        """
        if self._fleet is not None:
            for stream in streams:
                self._fleet.describe(self._keys[self._current[stream]].descriptions)
            return
        self._handshakes.check_keys(self._endpoint)
        for stream in streams:
            for message in self._keys[self._current[stream]].descriptions:
                (self._post if self._acknowledged is None else self._try_post)(message)

    def descriptions_of(self, stream: str) -> int:
        """Return how many descriptions a stream has: one for each of its devices."""
        return len(self._keys[self._current[stream]].descriptions)

    def play(self, speed: Speed, delay_s: float = 0.0) -> None:
        """Send everything, each session's end included; Ctrl-C ends it early.

        A message leaves at start + (index of its last sample) / (rate * speed), however late the one before it was, and
        carries that time as its `t`. At speed ``max`` nothing but the streamer's taking holds a message up, and `t` is
        when it leaves. The schedule is kept by the monotonic clock: where the wall clock steps, `t` changes and nothing
        else.

        Devices send the times that were recorded, shifted so that a take's sample 0 lies where it is due: at other
        speeds than the true one they then run ahead of the clock, or fall behind.

        Raises
        ------
        EndpointError
            If the streamer takes no more.
        """
        start = monotonic_ns() + round(delay_s * 1e9)
        self._chores_at = start + self._chores_ns
        try:
            with self._interrupts:
                self._play(start, speed)
            if (waits := self._acknowledged or self._fleet) is not None:
                self.unacknowledged = waits.wait()
        except KeyboardInterrupt:
            self.playback.interrupted = True
            self._end_unfinished()
        self._draw(self.playback)

    def _play(self, start: int, speed: Speed) -> None:
        pace = 1.0 if speed == "max" else speed
        for keys in self._keys:
            keys.begin_at(start + round(keys.take.start_s * 1e9 / pace) + wall_clock.offset_ns())
        for departure in schedule(self.playback.takes, self.playback.chunk):
            due = monotonic_ns() if speed == "max" else start + round(departure.due_s * 1e9 / speed)
            offset = wall_clock.offset_ns()
            messages = self._messages(departure, due + offset, speed)  # made before they are due
            self._wait_until(due)
            if (stepped := wall_clock.offset_ns()) != offset and self.playback.takes[departure.take].delivery is None:
                messages = self._messages(departure, due + stepped, speed)
            self._send(departure, due, messages)
            if self._truth is not None:
                for message in self._annotations(self._truth[departure.take], departure, start, due, speed):
                    self._deliver(departure, message)
            self._end_if_last(departure)

    def _annotations(self, truth: Truth, departure: Departure, start: int, due: int, speed: Speed) -> Iterator[bytes]:
        """Yield what is said of the samples that have just left."""
        keys, offset = self._keys[departure.take], wall_clock.offset_ns()
        key, pace = keys.numbers[departure.device], 1.0 if speed == "max" else speed
        if keys.origin is not None:
            return truth.planned(departure, keys.origin, 1.0, key)  # devices send the times that were recorded
        if speed == "max":
            return truth.passed(departure, due + offset, key)
        return truth.planned(departure, start + round(keys.take.start_s * 1e9 / pace) + offset, pace, key)

    @property
    def deserted(self) -> bool:
        """Whether a streamer took what was sent and has gone since; in a fleet, others take its place."""
        if self._fleet is not None:
            return False
        self._handshakes.update()
        return self._handshakes.left

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._fleet is not None:
            self._fleet.close(waits=kind is None)
            self._context.term()
            return
        if self._acknowledged is not None:
            self._acknowledged.close()
        # What the socket still holds has the timeout to leave, unless something went wrong or nobody is there.
        waits = kind is None and not self.deserted
        self._handshakes.close()
        self._context.destroy(linger=round(1000 * self._timeout_s) if waits else 0)

    def _wait_until(self, due: int) -> None:
        while (slack := due - monotonic_ns()) > self._chores_ns or monotonic_ns() >= self._chores_at:
            overdue = monotonic_ns() - self._chores_at
            if slack < _SLACK_NS and overdue < self._chores_ns:
                break  # there will be a longer pause soon
            # In the middle of the pause: the label of the last message is out, the next message is not due yet.
            time.sleep(min(max(slack, 0) / 2, self._chores_ns) / 1e9)
            self.describe(stream for stream, takes in self._unfinished.items() if takes)
            if (serviced := self._acknowledged or self._fleet) is not None:
                serviced.service()
            self._draw(self.playback)
            self._chores_at = monotonic_ns() + self._chores_ns
        if (asleep := due - _WAKE_NS - monotonic_ns()) > 0:  # even to sleep for nothing takes 50 µs
            time.sleep(asleep / 1e9)
        while monotonic_ns() < due:
            yield_processor()  # lets the thread that listens for labels run

    def _messages(self, departure: Departure, t: int, speed: Speed) -> list[bytes]:
        """Return a chunk's message, or several where one does not hold so much."""
        take = self.playback.takes[departure.take]
        keys = self._keys[departure.take]
        if take.delivery is not None:
            return keys.messages(departure.device, departure.first, departure.end)
        x = take.recording.samples[departure.first : departure.end]
        period_ns = 0.0 if speed == "max" else 1e9 / (take.recording.rate_hz * speed)
        parts = codec.encode_split(keys.numbers[0], departure.first, t, x, period_ns)
        return [message for _, message in parts]

    def _send(self, departure: Departure, due: int, messages: Sequence[bytes]) -> None:
        if departure.take not in self._described:
            stream = self.playback.takes[departure.take].stream
            self._described.add(departure.take)
            self._current[stream] = departure.take
            self.describe([stream])
        sent = monotonic_ns()
        self._interrupts.hold()  # what was sent is counted
        try:
            for message in messages:
                self._deliver(departure, message)
            self.playback.add(departure.take, due, sent)
        finally:
            self._interrupts.release()

    def _end_if_last(self, departure: Departure) -> None:
        """End a device's session with its last message: nothing may be sent of it any more."""
        take, keys = self.playback.takes[departure.take], self._keys[departure.take]
        if keys.note(departure.device):
            self._deliver(departure, codec.encode_end(keys.numbers[departure.device]), last=True)
            self._unfinished[take.stream] -= not keys.unended

    def _end_unfinished(self) -> None:
        for index in self.playback.begun.values():
            for number in self._keys[index].unended:
                if self._fleet is None:
                    self._post(codec.encode_end(number))
                elif self._fleet.knows(number):
                    self._fleet.deliver(number, codec.encode_end(number))

    def _deliver(self, departure: Departure, message: bytes, *, last: bool = False) -> None:
        """Send a message of a device, the last of which ends its session."""
        key = self._keys[departure.take].numbers[departure.device]
        if self._fleet is not None:
            if not self._fleet.knows(key):
                self._fleet.describe(self._keys[departure.take].descriptions)
            self._fleet.deliver(key, message)
            if last:
                self._fleet.finish(key)
            return
        if self._acknowledged is None:
            self._post(message)
            return
        if not self._acknowledged.knows(key):
            self._acknowledged.open(self._keys[departure.take].descriptions)
        self._acknowledged.deliver(key, message, waits=self._wait_for_room)
        if last:
            self._acknowledged.finish(key)

    def _wait_for_room(self) -> None:
        """Let Ctrl-C end the waiting for acknowledgements."""
        if self._interrupts.is_held:
            self._interrupts.release()
            self._interrupts.hold()

    def _try_post(self, message: bytes) -> bool:
        try:
            self._socket.send(message, zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    def _post(self, message: bytes) -> None:
        try:
            self._socket.send(message, zmq.DONTWAIT)
        except zmq.Again:
            self._post_later(message)

    def _post_later(self, message: bytes) -> None:
        """Send a message as soon as there is room for it; Ctrl-C ends the waiting."""
        held = self._interrupts.is_held
        self._interrupts.release()
        deadline = monotonic_ns() + round(1e9 * self._timeout_s)
        while self._socket.poll(max(deadline - monotonic_ns(), 0) // 1_000_000, zmq.POLLOUT):
            if held:
                self._interrupts.hold()
            try:
                self._socket.send(message, zmq.DONTWAIT)
            except zmq.Again:  # whoever had room has gone since
                self._interrupts.release()
            else:
                return
        self._handshakes.check_keys(self._endpoint)
        raise EndpointError(
            f"the streamer at {self._endpoint} has taken nothing for {self._timeout_s:g} s: is it still running?"
        )
