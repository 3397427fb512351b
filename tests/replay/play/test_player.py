"""The player keeps its schedule, waits for a slow consumer without losing anything, and ends what it began."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import zmq

from kinestream.model.errors import EndpointError
from kinestream.replay.play.interrupts import Interrupts
from kinestream.replay.play.player import Player
from kinestream.replay.play.take import takes_of
from kinestream.streamer.wire import codec
from kinestream.streamer.wire.messages import Description, End, Readings
from tests.given.replayed import made_up

Message = Readings | Description | End


class Sink:
    """A consumer in a thread of its own; it counts what comes until a number of sessions have ended."""

    def __init__(self, sessions: int, on_message: Callable[[int], None] = lambda _: None) -> None:
        self.messages: list[Message] = []
        self._sessions = sessions
        self._on_message = on_message
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PULL)
        self._socket.set(zmq.RCVHWM, 10)
        self._socket.set(zmq.RCVTIMEO, 20_000)
        self.address = f"tcp://127.0.0.1:{self._socket.bind_to_random_port('tcp://127.0.0.1')}"
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while self._sessions:
            self.messages.append(codec.decode(self._socket.recv()))
            self._sessions -= isinstance(self.messages[-1], End)
            self._on_message(len(self.messages))
        self._context.destroy(linger=0)

    def join(self) -> list[Message]:
        self._thread.join()
        return self.messages


def described_in(messages: list[Message]) -> dict[int, Description]:
    """Return what each key stands for; every message that names one must come after its description."""
    known: dict[int, Description] = {}
    for message in messages:
        if isinstance(message, Description):
            assert known.setdefault(message.key, message) == message
        else:
            assert message.key in known
    return known


@contextmanager
def player_to(sink: Sink, takes, **options) -> Iterator[Player]:
    with Player(sink.address, takes, **{"chunk": 1, "timeout_s": 20.0, **options}) as player:
        player.describe(player.streams)  # as whoever plays does, to learn whether they are accepted
        yield player


def test_messages_carry_the_time_they_were_due_whatever_the_speed():
    takes = takes_of([made_up("a", 40), made_up("b", 30, rate_hz=25.0)], first_session=1, loop=2)
    sink = Sink(sessions=4)
    with player_to(sink, takes, chunk=3) as player:
        player.play(speed=10.0)
    every = sink.join()
    known = described_in(every)
    messages = [message for message in every if isinstance(message, Readings)]
    assert [message.t for message in messages] == sorted(message.t for message in messages)
    start = messages[0].t - round(2 / 50 / 10 * 1e9)  # the first to leave ends with sample 2 of stream a
    for message in messages:
        of = known[message.key]
        take = next(take for take in takes if (take.stream, take.session) == (of.stream, of.session))
        last = message.seq + message.samples - 1
        due_s = (take.start_s + last / take.recording.rate_hz) / 10
        assert message.t - start == pytest.approx(due_s * 1e9, abs=2)


def test_a_paced_replay_sends_nothing_before_it_is_due():
    takes = takes_of([made_up("a", 20)], first_session=1)
    sink = Sink(sessions=1)
    with player_to(sink, takes) as player:
        player.play(speed=5.0, delay_s=0.05)
    sink.join()
    playback = player.playback
    assert playback.pacing_error_ms.min() >= 0
    assert playback.samples_sent == 20
    due = playback.times_of(0)[:, 0]
    np.testing.assert_allclose(np.diff(due), 1e9 / 50 / 5, atol=2)
    assert playback.achieved_hz == pytest.approx(19 / playback.seconds)


def test_at_speed_max_a_consumer_that_pauses_holds_the_player_up_and_loses_nothing():
    recordings = [made_up(f"r{i}", 3000, channels=1000, seed=i) for i in range(3)]  # 36 MB: more than sockets hold
    takes = takes_of(recordings, first_session=1)
    goes_on = threading.Event()

    def pause(messages: int) -> None:
        if messages == 100:
            assert goes_on.wait(20)

    sink = Sink(sessions=3, on_message=pause)
    with player_to(sink, takes, chunk=2) as player:
        playing = threading.Thread(target=player.play, args=("max",))
        playing.start()
        sent = -1
        while sent < player.playback.samples_sent:  # until half a second passes without any being sent
            sent = player.playback.samples_sent
            playing.join(0.5)
        assert 0 < sent < 9000
        goes_on.set()
        playing.join()
    messages = sink.join()
    known = described_in(messages)
    for recording in recordings:
        own = [each for each in messages if isinstance(each, Readings) and known[each.key].stream == recording.id]
        assert [message.seq for message in own] == list(range(0, 3000, 2))
        received = np.frombuffer(b"".join(message.x for message in own), dtype="<f4").reshape(-1, 1000)
        np.testing.assert_array_equal(received, recording.samples)
    assert player.playback.samples_sent == 9000


def test_every_session_ends_right_after_its_last_sample():
    takes = takes_of([made_up("a", 10)], first_session=1, loop=2)
    sink = Sink(sessions=2)
    with player_to(sink, takes, chunk=5) as player:
        player.play(speed="max")
    messages = sink.join()
    known = described_in(messages)
    kinds = [(type(each), known[each.key].session) for each in messages if not isinstance(each, Description)]
    assert kinds == [(Readings, 1), (Readings, 1), (End, 1), (Readings, 2), (Readings, 2), (End, 2)]


def test_every_session_is_described_before_its_samples_under_a_key_of_its_own():
    takes = takes_of([made_up("a", 10), made_up("b", 10)], first_session=1, loop=3)
    sink = Sink(sessions=6)
    with player_to(sink, takes, chunk=5) as player:
        player.play(speed="max")
    known = described_in(sink.join())
    assert sorted((each.stream, each.session) for each in known.values()) == [(s, n) for s in "ab" for n in (1, 2, 3)]
    assert all(each.timing == "grid" and each.rate_hz == 50.0 for each in known.values())


def test_ctrl_c_ends_what_was_begun_and_tells_how_far_it_came():
    takes = takes_of([made_up("a", 5000), made_up("b", 5000), made_up("c", 2)], first_session=1)

    def interrupt(messages: int) -> None:
        if messages == 100:
            os.kill(os.getpid(), signal.SIGINT)

    sink = Sink(sessions=3, on_message=interrupt)
    with player_to(sink, takes) as player:
        player.play(speed=2.0)
    messages = sink.join()
    assert player.playback.interrupted
    samples = sum(isinstance(message, Readings) for message in messages)
    assert player.playback.samples_sent == pytest.approx(samples, abs=1)  # one may have been on its way
    assert samples < 1000
    known = described_in(messages)
    assert sorted(known[each.key].stream for each in messages if isinstance(each, End)) == ["a", "b", "c"]


def test_streams_are_described_again_while_they_are_played():
    takes = takes_of([made_up("a", 100)], first_session=1)
    sink = Sink(sessions=1)
    with player_to(sink, takes, chores_s=0.02) as player:
        player.play(speed=5.0)
    assert sum(isinstance(message, Description) for message in sink.join()) >= 5


def test_a_stream_whose_takes_have_all_ended_is_described_no_more():
    takes = takes_of([made_up("short", 5), made_up("long", 100)], first_session=1, loop=1)
    takes += takes_of([made_up("twice", 5)], first_session=1)
    takes += [replace(take, session=2, start_s=1.0) for take in takes if take.stream == "twice"]
    sink = Sink(sessions=4)
    with player_to(sink, takes, chores_s=0.02) as player:
        player.play(speed=5.0)
    messages = sink.join()
    known = described_in(messages)
    ends = {(known[m.key].stream, known[m.key].session): i for i, m in enumerate(messages) if isinstance(m, End)}
    described = [(m.stream, i) for i, m in enumerate(messages) if isinstance(m, Description)]
    assert all(i < ends["short", 1] for stream, i in described if stream == "short")
    assert any(ends["twice", 1] < i < ends["twice", 2] for stream, i in described if stream == "twice")
    assert all(i < ends["twice", 2] for stream, i in described if stream == "twice")


def test_a_streamer_that_takes_nothing_more_is_an_error_in_one_line():
    with zmq.Context() as context:
        socket = context.socket(zmq.PULL)
        socket.set(zmq.RCVHWM, 1)
        address = f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"
        takes = takes_of([made_up("a", 200_000, channels=20)], first_session=1)
        with (
            pytest.raises(EndpointError, match="has taken nothing for"),
            Player(address, takes, chunk=50, timeout_s=0.05) as player,
        ):
            player.play(speed="max")
        socket.close(linger=0)


def test_ctrl_c_waits_until_what_was_begun_is_done():
    interrupts = Interrupts()
    with interrupts:
        interrupts.hold()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.release()
        interrupts.hold()
        interrupts.release()  # once is enough
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
