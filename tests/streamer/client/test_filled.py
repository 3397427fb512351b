"""What a subscriber missed it has from the streamer's history: real streamers, and connections that lose labels."""

import logging
import time
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
import zmq

from kinestream.streamer.client import AsyncLabelSubscriber, Event, Label, LabelSubscriber, SampleSender
from kinestream.streamer.client.fleetreception import FleetReception
from kinestream.streamer.directory.table import Addresses, Slot, Table
from kinestream.streamer.server.history import History
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire.history import decode_history_request, encode_history_answer
from kinestream.streamer.wire.messages import Published
from kinestream.streamer.wire.published import decode_published, encode_published
from tests.given.bundles import random_bundle
from tests.given.hostile import until
from tests.given.labels import label_of
from tests.given.lossy import losing
from tests.given.streamers import free_addresses, running_streamer

BUNDLE = random_bundle(channels=3, classes=4, length=8, stride=4)
X = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
WAIT_S = 20.0


@pytest.fixture
def streamer() -> Iterator[Streamer]:
    with running_streamer(BUNDLE, history=60) as streamer:
        yield streamer


def sender_to(streamer: Streamer, stream: str = "anna", session: int = 1) -> SampleSender:
    return SampleSender(
        stream, BUNDLE.channels, 50.0, session=session, endpoint=streamer.ingest, control=streamer.control
    )


def windows_of(messages: list[Published]) -> list[int]:
    return [message.window for message in messages if isinstance(message, Label)]


def until_end(subscriber: LabelSubscriber) -> list[Published]:
    """Return what comes up to the end of a session."""
    messages: list[Published] = []
    while not (messages and isinstance(messages[-1], Event) and messages[-1].event == "end"):
        message = subscriber.receive(WAIT_S)
        assert message is not None, windows_of(messages)
        messages.append(message)
    return messages


def of_windows(*lost: int):
    """Return what loses the labels of these windows, and all events if -1 is among them."""

    def is_lost(frames: list[bytes]) -> bool:
        message = decode_published(frames)
        if isinstance(message, Event):
            return -1 in lost and message.event != "accepted"
        return isinstance(message, Label) and message.window in lost

    return is_lost


def publish_all(streamer: Streamer, *, subscribers: int, samples: int = 80, session: int = 1) -> None:
    """Send a session's samples as soon as so many listen."""
    with sender_to(streamer, session=session) as sender:
        until(lambda: sender.wait_accepted()["subscribers"] >= subscribers)
        sender.send(X[:samples])


def test_what_is_lost_is_had_once_and_in_order(streamer):
    with (
        losing(streamer.labels, of_windows(0, 3, 4, 5, 11, 18)) as address,
        LabelSubscriber(address, control=streamer.control, streams=["anna"], events=True) as subscriber,
    ):
        publish_all(streamer, subscribers=1)
        messages = until_end(subscriber)
        assert windows_of(messages) == list(range(19))
        assert subscriber.missed == 0
        assert subscriber.filled >= 6


def test_without_filling_what_is_lost_stays_lost(streamer):
    with (
        losing(streamer.labels, of_windows(3, 4)) as address,
        LabelSubscriber(address, streams=["anna"], events=True) as subscriber,
    ):
        assert subscriber.control is None
        publish_all(streamer, subscribers=1)
        assert windows_of(until_end(subscriber)) == [0, 1, 2, *range(5, 19)]
        assert (subscriber.filled, subscriber.missed) == (0, 0)


def test_a_stream_of_which_nothing_more_comes_is_had_to_its_end(streamer):
    with (
        losing(streamer.labels, of_windows(-1, *range(9, 19))) as address,
        LabelSubscriber(address, control=streamer.control, events=True) as subscriber,
    ):
        publish_all(streamer, subscribers=1)
        assert windows_of(until_end(subscriber)) == list(range(19))


async def test_the_asyncio_subscriber_does_the_same(streamer):
    with losing(streamer.labels, of_windows(3, 4, 18)) as address:
        async with AsyncLabelSubscriber(address, control=streamer.control, log=False) as subscriber:
            publish_all(streamer, subscribers=1)
            labels = [await subscriber.receive(WAIT_S) for _ in range(19)]
            assert windows_of(labels) == list(range(19))
            assert (subscriber.missed, subscriber.malformed) == (0, 0)
            assert subscriber.filled >= 3
            assert await subscriber.receive(0.0) is None


@pytest.mark.parametrize("streams", [None, ["anna"]])
def test_whoever_comes_late_begins_with_what_is_kept(streamer, streams):
    publish_all(streamer, subscribers=0)
    until(lambda: streamer.totals()["history_messages"] >= 20)
    with LabelSubscriber(streamer.labels, control=streamer.control, streams=streams, events=True) as subscriber:
        assert windows_of(until_end(subscriber)) == list(range(19))
        publish_all(streamer, subscribers=1, session=2)
        assert windows_of(until_end(subscriber)) == list(range(19))
        assert subscriber.filled >= 20


def test_whoever_wants_nothing_of_the_past_gets_none(streamer):
    publish_all(streamer, subscribers=0)
    until(lambda: streamer.totals()["history_messages"] >= 20)
    with (
        losing(streamer.labels, of_windows(7, 8)) as address,
        LabelSubscriber(address, control=streamer.control, streams=["anna"], events=True, past=False) as subscriber,
    ):
        publish_all(streamer, subscribers=1, session=2)
        messages = until_end(subscriber)
        assert windows_of(messages) == list(range(19))
        assert {message.session for message in messages if isinstance(message, Label)} == {2}


def test_a_streamer_that_keeps_nothing_lets_its_subscribers_know(caplog):
    with (
        running_streamer(BUNDLE, history=0) as streamer,
        losing(streamer.labels, of_windows(3, 4)) as address,
        LabelSubscriber(address, control=streamer.control, streams=["anna"], events=True) as subscriber,
    ):
        publish_all(streamer, subscribers=1)
        messages = until_end(subscriber)
        told = [message for message in messages if isinstance(message, Event) and message.event == "missed"]
        assert windows_of(messages) == [0, 1, 2, *range(5, 19)]
        assert [(each.details["first_window"], each.details["last_window"]) for each in told] == [(3, 4)]
        assert subscriber.missed == 2
        assert streamer.totals()["history_messages"] == 0
    assert not caplog.text


def test_where_nobody_answers_labels_are_held_up_once_and_a_line_says_why(streamer, caplog):
    [nobody] = free_addresses(1)
    with (
        losing(streamer.labels, of_windows(3, 4, 9)) as address,
        LabelSubscriber(address, control=nobody, streams=["anna"]) as subscriber,
        sender_to(streamer) as sender,
    ):
        until(lambda: sender.wait_accepted()["subscribers"] >= 1)
        sender.send(X)
        labels = [subscriber.receive(WAIT_S) for _ in range(16)]
        assert windows_of(labels) == [0, 1, 2, *range(5, 9), *range(10, 19)]
        assert subscriber.missed == 3
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [line for line in said if "cannot be asked for" in line and nobody in line] == said[:1]
    assert said[1:] == ["stream anna: missed windows 3 to 4: no streamer has answered where they are asked for"]


def test_a_streamer_that_is_started_again_repeats_nothing_and_leaves_nothing_out():
    addresses = dict(zip(("ingest", "labels", "control"), free_addresses(3), strict=True))
    with LabelSubscriber(addresses["labels"], control=addresses["control"], streams=["anna"]) as subscriber:
        labels: list[Published] = []
        for samples, subscribers in ((40, 1), (80, 0)):  # who keeps what was not acknowledged sends it again
            with running_streamer(BUNDLE, history=60, **addresses) as streamer:
                publish_all(streamer, subscribers=subscribers, samples=samples)
                while len(labels) < (samples - 8) // 4 + 1:
                    labels.append(subscriber.receive(WAIT_S))
                    assert labels[-1] is not None
        assert windows_of(labels) == list(range(19))
        assert subscriber.receive(0.1) is None
        assert subscriber.missed == 0


def test_the_control_address_follows_from_the_usual_one():
    for endpoint, control in (
        (wire.LABELS, wire.CONTROL),
        ("tcp://192.0.2.7:5571", "tcp://192.0.2.7:5572"),
        ("tcp://[::1]:5571", "tcp://[::1]:5572"),
        ("tcp://127.0.0.1:6000", None),
        ("ipc:///tmp/labels:5571", None),
    ):
        with LabelSubscriber(endpoint) as subscriber:
            assert subscriber.control == control
        with LabelSubscriber(endpoint, fill=False) as subscriber:
            assert subscriber.control is None


class Publisher:
    """What publishes labels and answers for what it keeps, as far as it is asked to: a streamer's sockets alone."""

    def __init__(self, labels: str, control: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._labels, self._control = self._context.socket(zmq.XPUB), self._context.socket(zmq.ROUTER)
        self._history = History(60)
        self._address = labels
        self._control.bind(control)

    def listen(self) -> None:
        """Publish from now on: it takes a streamer a moment until all of its addresses are there."""
        self._labels.bind(self._address)

    def is_heard(self) -> bool:
        return bool(self._labels.poll(0)) and self._labels.recv().startswith(b"\1label/")

    def publish(self, *windows: int, lost: bool = False) -> None:
        for window in windows:
            frames = encode_published(label_of("anna", window), 1)
            self._history.add("anna", frames[1])
            if not lost:
                self._labels.send_multipart(frames)

    def answers(self) -> list[list[bytes]]:
        """Return the answers to what has been asked, each with who asked it."""
        answers = []
        while self._control.poll(0):
            who, question = self._control.recv_multipart()
            asked = decode_history_request(question)
            answers.append([who, encode_history_answer(self._history.answer(asked))])
        return answers

    def send(self, *answers: list[bytes]) -> None:
        for answer in answers:
            self._control.send_multipart(answer)

    def answer(self) -> None:
        self.send(*self.answers())

    def close(self) -> None:
        self._context.destroy(linger=0)


def test_what_a_new_streamer_answers_to_a_question_of_before_says_nothing_of_what_it_makes_again():
    """The question waits until somebody is there; whoever comes has nothing yet, and makes all of it again."""
    labels, control = free_addresses(2)
    killed = Publisher(labels, control)
    killed.listen()
    came: list[Published] = []
    with LabelSubscriber(labels, control=control, events=True) as subscriber:

        def take(publisher: Publisher, seconds: float) -> None:
            for _ in range(round(seconds / 0.02)):
                if (message := subscriber.receive(0.02)) is not None:
                    came.append(message)
                publisher.answer()

        until(lambda: subscriber.receive(0.02) or killed.is_heard())
        killed.publish(0, 1, 2)
        take(killed, 3.0)
        assert windows_of(came) == [0, 1, 2]
        killed.publish(3, 4, lost=True)
        killed.publish(5, 6)
        time.sleep(0.5)  # we are held up: the labels wait in our queue
        killed.close()
        started = Publisher(labels, control)
        take(started, 1.0)
        started.listen()
        until(lambda: subscriber.receive(0.02) or started.is_heard())
        started.publish(*range(1, 9))
        take(started, 3.0)
        started.close()
    assert windows_of(came) == list(range(9))
    assert subscriber.missed == 0


@pytest.mark.parametrize(("after_s", "times"), [(1.5, 1), (0.0, 2)])
def test_an_answer_that_nobody_waits_for_keeps_nobody_busy(after_s, times):
    """It was given up before it came, or comes twice since it was asked for twice."""
    labels, control = free_addresses(2)
    publisher = Publisher(labels, control)
    publisher.listen()
    waiting: list[tuple[float, list[bytes]]] = []
    with closing(publisher), LabelSubscriber(labels, control=control) as subscriber:
        busy_s, until_s = 0.0, time.monotonic() + 3.0
        while (begun := time.monotonic()) < until_s:
            waiting += [(begun + after_s, answer) for answer in publisher.answers()]
            while waiting and waiting[0][0] <= begun:
                publisher.send(*times * [waiting.pop(0)[1]])
            busy_s -= time.process_time()
            assert subscriber.receive(0.1) is None
            busy_s += time.process_time()
            assert time.monotonic() - begun < 1.0
        assert busy_s < 0.5


def test_what_waits_of_a_streamer_that_leaves_its_fleet_and_returns_is_taken_first():
    labels, control, nobody = free_addresses(3)
    at = Addresses(nobody, control, labels, nobody)
    publisher = Publisher(labels, control)
    publisher.listen()
    fleet = FleetReception(nobody, None, events=False, annotations=False, log=False, fill=False, past=True, keys=None)
    with closing(publisher), closing(fleet):

        def follow(*slots: Slot) -> None:
            fleet.following.table = Table("wards", 1, slots)
            fleet._follow(time.monotonic())

        follow(Slot("streamer-0", "serving", at))
        until(publisher.is_heard)
        publisher.publish(*range(500))
        time.sleep(0.5)  # we are held up: the labels wait in our queue
        follow(Slot("streamer-0", "away"))
        follow(Slot("streamer-0", "serving", at))
        came = []
        while (message := fleet.ready()) is not None:
            came.append(message)
        assert windows_of(came) == list(range(500))
