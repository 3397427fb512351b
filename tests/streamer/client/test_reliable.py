"""Senders that keep what they sent: a streamer is killed, connections are cut, a sender is killed that had a spool."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kinestream import Label, LabelSubscriber, Recognizer, Reliable, SampleConnection, SampleSender
from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.engine.load import load_engine
from kinestream.model.errors import ChannelMismatch, EndpointError
from kinestream.replay.demo import BUNDLE
from kinestream.streamer.client.delivery import Delivery
from kinestream.streamer.client.spool import Spool
from kinestream.streamer.client.spoollog import MARK
from kinestream.streamer.wire.tracked import UNKNOWN, Acknowledgement
from tests.given.hostile import until
from tests.given.long import long_form
from tests.given.peers import cutting
from tests.given.served import kill, served_at
from tests.given.streamers import free_addresses, running_streamer, unserved_addresses

PATIENCE_S = 60.0
RATE_HZ = 50.0
X = np.random.default_rng(4).normal(size=(400, 12)).astype(np.float32)
CHANNELS = read_bundle(BUNDLE).channels

LEAVES_A_SPOOL = """
import sys, time
import numpy as np
from kinestream import Reliable, SampleSender
from kinestream.model.bundle.bundle import read_bundle
from kinestream.replay.demo import BUNDLE

ingest, control, spool, samples = sys.argv[1:]
settings = Reliable(spool=spool)
sender = SampleSender(
    "anna", read_bundle(BUNDLE).channels, 50.0, session=1, endpoint=ingest, control=control, reliable=settings
)
for row in np.load(samples):
    sender.send(row, seq=sender.seq)
print("sent", flush=True)
time.sleep(600)
"""


def undisturbed(x: np.ndarray) -> list[Label]:
    return Recognizer.load(BUNDLE).push("anna", x)


def same(labels: list[Label], expected: list[Label]) -> bool:
    """Assert that labels are those, one for one."""
    assert [label.window for label in labels] == [label.window for label in expected]
    for label, wanted in zip(labels, expected, strict=True):
        assert (label.label, label.first_seq) == (wanted.label, wanted.first_seq)
        np.testing.assert_allclose(label.probabilities, wanted.probabilities, atol=1e-6)
    return True


class Received:
    """The labels that have come, by session and window; what comes again must be identical."""

    def __init__(self, subscriber: LabelSubscriber) -> None:
        self._subscriber = subscriber
        self._labels: dict[tuple[int, int], Label] = {}

    def attach(self, sender: SampleSender) -> None:
        """Wait until the streamer knows that we listen: from then on no label is missed."""
        while not sender.wait_accepted(PATIENCE_S)["subscribers"]:
            self._take(0.02)  # a subscription is sent again by whoever listens

    def wait(self, count: int) -> None:
        """Wait for so many windows in all."""
        while len(self._labels) < count:
            assert self._take(PATIENCE_S), f"no label comes after {len(self._labels)}"

    def take(self, timeout_s: float) -> int:
        """Take what comes in that time; return how many windows have come in all."""
        self._take(timeout_s)
        return len(self._labels)

    def of(self, session: int) -> list[Label]:
        return [label for key, label in sorted(self._labels.items()) if key[0] == session]

    def _take(self, timeout_s: float) -> bool:
        message = self._subscriber.receive(timeout_s)
        if not isinstance(message, Label):
            return False
        before = self._labels.setdefault((message.session, message.window), message)
        assert (before.label, before.probs) == (message.label, message.probs)
        return True


def test_labels_are_those_of_an_undisturbed_run_though_the_streamer_is_killed():
    addresses = ingest, control, published = free_addresses(3)
    expected = undisturbed(X)
    with (
        LabelSubscriber(published, streams=["anna"]) as subscriber,
        SampleConnection(ingest, control=control, reliable=True) as connection,
    ):
        sender = SampleSender("anna", CHANNELS, RATE_HZ, connection=connection)
        labels = Received(subscriber)
        with served_at(BUNDLE, addresses) as streamer:
            labels.attach(sender)
            for first in range(0, 200, 10):
                sender.send(X[first : first + 10], seq=first)
            labels.wait(9)
            until(lambda: connection.service() or connection.unacknowledged < 20)  # of the first, nothing is needed
            kill(streamer)
        with served_at(BUNDLE, addresses):
            labels.attach(sender)
            sender.send(X[200:], seq=200)
            sender.end()
            connection.close()
        labels.wait(len(expected))
    assert connection.unacknowledged == 0
    assert same(labels.of(sender.session), expected)


def test_a_session_that_was_received_is_made_again_before_the_next_that_was_on_its_way_to_a_killed_streamer():
    """What is sent while nobody is there comes to the next one first, which has had nothing of the session before."""
    addresses = ingest, control, published = free_addresses(3)
    with SampleConnection(ingest, control=control, reliable=True) as connection:
        sender = SampleSender("anna", CHANNELS, RATE_HZ, session=1, connection=connection)
        with served_at(BUNDLE, addresses) as streamer:
            sender.wait_accepted(PATIENCE_S)
            for first in range(0, 200, 10):
                sender.send(X[first : first + 10], seq=first)
            sender.new_session(2)
            until(lambda: connection.service() or all(each.outbox.is_received for each in kept_of(connection)))
            assert connection.unacknowledged, "its labels may still be asked for"
            kill(streamer)
        sender.send(X[:50], seq=0)
        with (
            LabelSubscriber(published, control=control, streams=["anna"]) as subscriber,  # nothing came of the first
            served_at(BUNDLE, addresses),
        ):
            labels, expected = Received(subscriber), (undisturbed(X[:200]), undisturbed(X))
            sender.send(X[50:], seq=50)
            sender.end()
            until(lambda: connection.service() or labels.take(0.02) >= sum(map(len, expected)))
            connection.close()
    assert connection.unacknowledged == 0
    assert all(same(labels.of(session), each) for session, each in enumerate(expected, 1))


def kept_of(connection: SampleConnection) -> list[Delivery]:
    assert connection._deliveries is not None
    return list(connection._deliveries._of.values())


@pytest.fixture
def recognizer() -> Recognizer:
    return Recognizer(read_bundle(BUNDLE), load_engine(read_bundle(BUNDLE), "cpu"))


@long_form
def test_a_connection_that_is_cut_within_messages_loses_no_sample(recognizer):
    expected = undisturbed(X)
    with running_streamer(recognizer) as streamer, LabelSubscriber(streamer.labels, streams=["anna"]) as subscriber:
        labels = Received(subscriber)
        with cutting(streamer.ingest, after=[3_001, 7_777]) as (address, passed):
            with SampleConnection(address, control=streamer.control, reliable=True) as connection:
                sender = SampleSender("anna", CHANNELS, RATE_HZ, connection=connection)
                labels.attach(sender)
                for first in range(0, len(X), 4):
                    sender.send(X[first : first + 4], seq=first)
                sender.end()
        labels.wait(len(expected))
    assert passed[:2] == [3_001, 7_777]
    assert connection.unacknowledged == 0
    assert same(labels.of(sender.session), expected)


def test_what_a_sender_had_sent_that_was_killed_is_delivered_by_the_next(recognizer, tmp_path: Path):
    """It had sent all of it to nobody; the next one goes on with another session."""
    ingest, control, published = free_addresses(3)
    before, after = undisturbed(X[:200]), undisturbed(X[200:])
    spool, samples = tmp_path / "spool", tmp_path / "x.npy"
    np.save(samples, X[:200])
    command = [sys.executable, "-P", "-c", LEAVES_A_SPOOL, ingest, control, spool, samples]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "sent\n"
        process.send_signal(signal.SIGKILL)
    with (
        running_streamer(recognizer, ingest=ingest, control=control, labels=published),
        LabelSubscriber(published, streams=["anna"]) as subscriber,
        SampleSender(
            "anna", CHANNELS, RATE_HZ, session=2, endpoint=ingest, control=control, reliable=Reliable(spool=spool)
        ) as sender,
    ):
        labels = Received(subscriber)
        labels.attach(sender)
        sender.send(X[200:], seq=0)
        sender.end()
        sender.close()
        labels.wait(len(before) + len(after))
    assert same(labels.of(1), before)
    assert same(labels.of(2), after)
    left = Spool(spool)
    assert left.left_over == []
    left.close()


def send_for_ever(sender: SampleSender) -> None:
    while True:
        sender.send(X, seq=sender.seq)


def test_a_full_ring_that_may_not_wait_says_what_it_is_full_of():
    with unserved_addresses() as (ingest, control):
        settings = Reliable(keep_bytes=1 << 20, close_s=0)
        sender = SampleSender(
            "anna", CHANNELS, RATE_HZ, endpoint=ingest, control=control, reliable=settings, timeout_s=0.1
        )
        with pytest.raises(EndpointError, match=f"^1 MB are kept that no streamer has acknowledged at {control}: "):
            send_for_ever(sender)
        sender.close()


def test_how_many_messages_were_given_up_is_said_at_once_and_in_the_end(caplog):
    with unserved_addresses() as (ingest, control):
        settings = Reliable(keep_bytes=1 << 20, close_s=0, when_full="drop")
        with SampleConnection(ingest, control=control, reliable=settings) as connection:
            sender = SampleSender("anna", CHANNELS, RATE_HZ, connection=connection)
            for _ in range(100):
                sender.send(X, seq=sender.seq)
            lost = connection._deliveries.lost
    told = [record.getMessage() for record in caplog.records if "given up" in record.getMessage()]
    assert [each.partition(" so far")[0] for each in told] == ["1 message", f"{lost} messages"]


def test_a_session_of_which_a_power_cut_took_the_end_from_the_spool_holds_up_nothing(recognizer, tmp_path: Path):
    """The streamer, which lives on, has received more of it than the sender knows of."""
    before, cut = tmp_path / "before", tmp_path / "cut"
    expected = undisturbed(X)
    with running_streamer(recognizer) as streamer, LabelSubscriber(streamer.labels, streams=["anna"]) as subscriber:
        addresses = {"endpoint": streamer.ingest, "control": streamer.control}
        with SampleConnection(
            streamer.ingest, control=streamer.control, reliable=Reliable(spool=before, close_s=0)
        ) as connection:
            sender = SampleSender("anna", CHANNELS, RATE_HZ, session=1, connection=connection)
            for row in X[:20]:
                sender.send(row, seq=sender.seq)
            until(lambda: connection.service() or all(each.outbox.is_received for each in kept_of(connection)))
            keep_fewer(before, cut, 3)
        with SampleSender(
            "anna", CHANNELS, RATE_HZ, session=2, **addresses, reliable=Reliable(spool=cut), timeout_s=PATIENCE_S
        ) as sender:
            labels = Received(subscriber)
            for first in range(0, len(X), 10):
                sender.send(X[first : first + 10], seq=first)
            sender.end()
            sender._connection.close()
        assert sender._connection.unacknowledged == 0
        labels.wait(len(expected))
    assert same(labels.of(2), expected)


def keep_fewer(spool: Path, copy: Path, count: int) -> None:
    """Copy a spool without so many of the messages that were written last."""
    copy.mkdir()
    (file,) = spool.glob("*.log")
    content = file.read_bytes()
    records, at = [], len(MARK)
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "little")
        records.append(content[at : at + 8 + length])
        at += 8 + length
    (copy / file.name).write_bytes(MARK + b"".join(records[:-count]))


def test_sessions_that_a_full_streamer_refused_are_both_taken_by_the_next(recognizer):
    ingest, control, published = free_addresses(3)
    x, y = X[:200], X[200:300]
    full = Recognizer(read_bundle(BUNDLE), load_engine(read_bundle(BUNDLE), "cpu"), most_streams=1)
    with SampleConnection(ingest, control=control, reliable=Reliable(close_s=PATIENCE_S)) as connection:
        with (
            running_streamer(full, ingest=ingest, control=control, labels=published),
            SampleSender("ben", CHANNELS, RATE_HZ, endpoint=ingest, control=control) as other,
        ):
            other.wait_accepted(PATIENCE_S)
            sender = SampleSender("anna", CHANNELS, RATE_HZ, session=1, connection=connection)
            with pytest.raises(ChannelMismatch, match="1 streams are served already"):
                sender.wait_accepted(PATIENCE_S)
            for row in x:
                sender.send(row, seq=sender.seq)
            sender.new_session(2)
            for row in y:
                sender.send(row, seq=sender.seq)
            with pytest.raises(ChannelMismatch, match="1 streams are served already"):
                sender.wait_accepted(PATIENCE_S)
            sender.end()
            sender.close()
        # The last answers come when it has gone, and what is sent upon them waits for the next one.
        connection._deliveries.acknowledged([Acknowledgement(each.about.key, UNKNOWN) for each in kept_of(connection)])
        for _ in range(20):
            connection.service()
        with (
            running_streamer(recognizer, ingest=ingest, control=control, labels=published),
            LabelSubscriber(published, control=control, streams=["anna"]) as subscriber,
        ):
            labels, expected = Received(subscriber), (undisturbed(x), undisturbed(y))
            until(lambda: connection.service() or labels.take(0.02) >= sum(map(len, expected)))
            until(lambda: connection.service() or not connection.unacknowledged)
    assert all(same(labels.of(session), each) for session, each in enumerate(expected, 1))
