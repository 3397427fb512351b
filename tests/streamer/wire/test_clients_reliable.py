"""The sender in C with --reliable: no label is lost to a streamer that is killed, or to connections that are cut."""

import fcntl
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

import msgpack
import pytest
import zmq

from kinestream import LabelSubscriber
from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.engine.load import load_engine
from kinestream.replay.demo import BUNDLE
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.wire.codec import decode, encode_answer
from kinestream.streamer.wire.messages import Answer, Description, End, Event, Label, MalformedMessage, Readings
from kinestream.streamer.wire.published import encode_event
from kinestream.streamer.wire.tracked import (
    EVERYTHING,
    UNKNOWN,
    Acknowledgement,
    Tracked,
    decode_tracked,
    encode_acknowledged,
    is_tracked,
)
from tests.given.clients import PATIENCE_S, SANITIZED, Command, arguments, compiled, named, of, printed, run, same
from tests.given.peers import cutting, false_streamer, nonsense
from tests.given.served import kill, served_at
from tests.given.streamers import free_addresses, running_streamer

WIDTH = 12
SLOTS = 20  # messages that the small one keeps
PIPE_BYTES = 4096  # some thirty rows
PIPES = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """One that keeps little, and waits two seconds at the end."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler, cc")
    room = f"-DKEEP={SLOTS * (53 + 32 + 4 * WIDTH)}"
    return [compiled(tmp_path_factory.mktemp("small"), *SANITIZED, room, "-DCLOSE_MS=2000")]


def test_labels_are_those_of_an_undisturbed_run_though_the_streamer_is_killed(
    in_sanitized_c, recording, rows, expected
):
    addresses = free_addresses(3)
    command = arguments(in_sanitized_c, addresses, "ben", recording, "--reliable")
    half = len(rows) // 2
    with subprocess.Popen(command, text=True, bufsize=1, **PIPES) as process:
        fcntl.fcntl(process.stdin, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        with served_at(BUNDLE, addresses) as streamer:
            before = []
            for row in rows[:half]:
                process.stdin.write(f"{row}\n")
                time.sleep(0.01)  # twice the true rate: meanwhile what came first is acknowledged
            while len(before) < 1 + (half - 64) // 16:  # all: communicate() knows of none that were read ahead
                before.append(printed(process.stdout.readline()))
            kill(streamer)
        # Nobody is there, and yet it reads: the pipe would not hold them.
        for row in rows[half:]:
            process.stdin.write(f"{row}\n")
        with served_at(BUNDLE, addresses):
            after, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    assert "lost the streamer: connecting again" in errors
    assert "may have been missed" not in errors
    assert same([*before, *(printed(line) for line in after.splitlines())], expected)


@pytest.fixture
def recognizer() -> Recognizer:
    bundle = read_bundle(BUNDLE)
    return Recognizer(bundle, load_engine(bundle, "cpu"))


def test_connections_that_are_cut_lose_no_sample(in_c, recognizer, recording, rows, expected):
    """The streamer lives on: it says itself what it was sent."""
    answers = []
    with running_streamer(recognizer) as streamer, LabelSubscriber(streamer.labels, events=True) as labels:
        ingest, *others = of(streamer)
        with cutting(ingest, after=[2_500, 9_001, 20_202]) as (address, passed):
            done = run(arguments(in_c, [address, *others], "ben", recording, "-r"), "\n".join(rows))
        while not isinstance(message := labels.receive(PATIENCE_S), Event) or message.event != "end":
            assert message is not None
            if isinstance(message, Label):
                answers.append(named(message))
    assert passed[:3] == [2_500, 9_001, 20_202]
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("lost the streamer: connecting again") == 3
    assert same(answers, expected)


def test_whoever_has_no_room_for_a_window_says_so(small, streamer, recording, rows):
    done = run(arguments(small, of(streamer), "small", recording, "-r"), "\n".join(rows))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"sender: {SLOTS} rows may be kept, and a window has 64: compile with -DKEEP="), (
        done.stderr
    )


class Talk:
    """What a sender and a streamer that is told what to say have said."""

    def __init__(
        self, samples: zmq.Socket[bytes], control: zmq.Socket[bytes], labels: zmq.Socket[bytes], length: int = 8
    ) -> None:
        self.said: list[Description | Tracked] = []
        self.asked = 0
        self.about: Description | None = None
        self.acknowledgement = (0, 0, 0)
        self._samples, self._control, self._labels = samples, control, labels
        self._details = {"window": {"length": length, "stride": 4, "max_missing": 0.5}, "classes": ["a", "b"]}
        self._peer = b""

    def until(self, holds: Callable[[], object]) -> None:
        """Hear and answer until something holds."""
        until = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < until, self.said[-3:]
            for socket in (self._control, self._samples):
                while socket.poll(5):
                    (self._take_request if socket is self._control else self._take_sample)(socket)

    def say(self, received: int, number: int = 0, needed: int = 0, again: bool = False) -> None:
        """Acknowledge, now and whenever it is asked."""
        self.acknowledgement = (received, number, needed)
        self.send(self.words(*self.acknowledgement, again))

    def words(self, received: int, number: int = 0, needed: int = 0, again: bool = False) -> bytes:
        assert self.about is not None
        other = Acknowledgement(self.about.key ^ 1, 1, 1, EVERYTHING)
        return encode_acknowledged([other, Acknowledgement(self.about.key, received, number, needed, again)])

    def send(self, message: bytes) -> None:
        self._control.send_multipart([self._peer, message])

    @property
    def numbers(self) -> list[int]:
        """Of the messages that have come."""
        return [each.number for each in self.said if isinstance(each, Tracked)]

    @property
    def last(self) -> Tracked:
        return next(each for each in reversed(self.said) if isinstance(each, Tracked))

    def _take_request(self, socket: zmq.Socket[bytes]) -> None:
        self._peer, message = socket.recv_multipart()
        with suppress(MalformedMessage):  # what acknowledges is asked for by no sender's message
            about = decode(message)
            assert isinstance(about, Description)
            self.about = about
            self.send(encode_answer(Answer(True, about.key, "ben", self._details)))
            self._labels.send_multipart(encode_event(Event("accepted", "ben", -1, {})))
            return
        assert self.about is not None
        assert msgpack.unpackb(message) == {"v": 2, "kind": "acknowledge", "keys": [self.about.key]}
        self.asked += 1
        self.send(self.words(*self.acknowledgement))

    def _take_sample(self, socket: zmq.Socket[bytes]) -> None:
        frame = socket.recv()
        said = decode_tracked(frame) if is_tracked(frame) else decode(frame)
        assert isinstance(said, Tracked | Description)
        self.said.append(said)


@pytest.fixture
def talk(small, recording, rows):
    """A talk of the small one, which is given 30 rows and the end."""
    with false_streamer() as (addresses, samples, control, labels):
        command = arguments(small, addresses, "ben", recording, "-r")
        with subprocess.Popen(command, text=True, **PIPES) as process:
            process.stdin.write("\n".join(rows[:30]))
            process.stdin.close()
            process.stdin = None
            talk = Talk(samples, control, labels)
            talk.process = process
            yield talk
            process.kill()


def test_a_full_ring_waits_and_what_is_needed_no_more_makes_room(talk):
    talk.until(lambda: talk.numbers == list(range(SLOTS)))
    assert [decode(each.message).seq for each in talk.said if isinstance(each, Tracked)] == list(range(SLOTS))
    assert talk.last.oldest == 0
    talk.say(received=SLOTS)  # all have come, and all are needed
    asked = talk.asked
    talk.until(lambda: talk.asked >= asked + 2)
    assert talk.numbers == list(range(SLOTS))
    talk.say(SLOTS, number=SLOTS, needed=5)
    talk.until(lambda: len(talk.numbers) == SLOTS + 5)
    assert talk.last.oldest == 5
    talk.say(SLOTS, number=7, needed=EVERYTHING)  # those after 7 came later than what this is about
    talk.until(lambda: len(talk.numbers) == SLOTS + 7)
    assert talk.last.oldest == 7
    talk.say(SLOTS + 7, number=SLOTS + 7, needed=25)
    talk.until(lambda: len(talk.numbers) == 31)
    assert talk.numbers == list(range(31))
    assert isinstance(decode(talk.last.message), End)
    talk.say(31, 31, EVERYTHING)
    out, errors = talk.process.communicate(timeout=PATIENCE_S)
    assert (talk.process.returncode, out) == (0, ""), errors
    assert errors == "sender: the event end has not come: labels may have been missed\n"


def test_what_came_before_its_turn_is_sent_again_from_what_lacks(talk):
    talk.until(lambda: len(talk.numbers) == SLOTS)
    asked = talk.asked
    talk.say(12, again=True)
    talk.until(lambda: len(talk.numbers) == SLOTS + 8)
    assert talk.asked <= asked + 1  # at once, not because nothing new was received for long
    assert talk.numbers[SLOTS:] == list(range(12, SLOTS))


def test_a_streamer_that_knows_nothing_is_told_what_the_key_is_and_sent_all_that_is_kept(talk):
    talk.until(lambda: len(talk.numbers) == SLOTS)
    talk.say(SLOTS, number=SLOTS, needed=5)
    talk.until(lambda: len(talk.numbers) == SLOTS + 5)
    described = time.monotonic()
    talk.until(lambda: time.monotonic() > described + 0.6)  # not at once again
    count = len(talk.said)
    talk.say(UNKNOWN)
    talk.until(lambda: len(talk.numbers) >= 2 * SLOTS + 5)
    again = talk.said[count:]
    assert [each.number for each in again if isinstance(each, Tracked)][:SLOTS] == list(range(5, SLOTS + 5))
    assert isinstance(again[0], Description)
    assert again[0] == talk.about


def test_what_never_comes_is_sent_again_after_a_while(talk):
    talk.until(lambda: len(talk.numbers) == SLOTS)
    talk.say(0)
    talk.until(lambda: len(talk.numbers) >= 2 * SLOTS)
    assert talk.numbers[SLOTS : 2 * SLOTS] == list(range(SLOTS))


def test_more_than_was_ever_sent_and_nonsense_are_passed_over(talk):
    talk.until(lambda: len(talk.numbers) == SLOTS)
    talk.say(SLOTS)
    for each in (talk.words(31, 31, EVERYTHING), talk.words(SLOTS, 31, EVERYTHING), talk.words(0, 0, EVERYTHING)):
        talk.send(each)
    talk.say(SLOTS, number=SLOTS, needed=1)
    talk.until(lambda: len(talk.numbers) == SLOTS + 1)
    assert talk.last.oldest == 1
    for each in nonsense(talk.words(SLOTS, 2, 2)):
        talk.send(each)

    def all_is_acknowledged() -> bool:
        count = max(talk.numbers) + 1  # whatever of that could be read, it goes on
        talk.say(count, count, EVERYTHING)
        return talk.process.poll() is not None

    talk.until(all_is_acknowledged)
    _, errors = talk.process.communicate()
    assert talk.process.returncode == 0, errors


def test_how_many_messages_were_not_acknowledged_is_said(small, recording, rows):
    with false_streamer() as (addresses, samples, control, labels):
        command = arguments(small, addresses, "ben", recording, "-r")
        with subprocess.Popen(command, text=True, **PIPES) as process:
            process.stdin.write("\n".join(rows[:5]))
            process.stdin.close()
            process.stdin = None
            talk = Talk(samples, control, labels)
            talk.until(lambda: talk.about is not None)
            talk.say(6, number=2, needed=2)
            talk.until(lambda: process.poll() is not None)
            out, errors = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert errors == "sender: 4 of 6 messages were not acknowledged within 2 s of the end\n"
    first = next(each for each in talk.said if isinstance(each, Tracked))
    assert isinstance(decode(first.message), Readings)
