"""What a sender learns of its stream: accepted, refused and why, or that nobody answers."""

import logging
import time

import pytest
import zmq

from kinestream.model.errors import ChannelMismatch, EndpointError
from kinestream.streamer.client import Event, Label, LabelSubscriber, SampleSender
from kinestream.streamer.wire import codec
from kinestream.streamer.wire.messages import Answer, Description, Readings
from tests.given.bundles import random_bundle
from tests.given.hostile import until
from tests.given.streamers import ANY_PORT, free_addresses, running_streamer

BUNDLE = random_bundle(channels=3, classes=4, length=8, stride=4)
SOON_S = 0.3


def sender_to(ingest: str, control: str | None, *, channels: int = 3, **options: object) -> SampleSender:
    return SampleSender("anna", [f"c{i}" for i in range(channels)], 50.0, endpoint=ingest, control=control, **options)


def abandon(sender: SampleSender) -> None:
    """Close a sender that nobody serves without waiting for anybody."""
    sender._connection._link.socket.linger = 0
    sender.close()


class Answering:
    """Where a sender sends and asks, and answers as a test likes."""

    def __init__(self, context: zmq.Context) -> None:
        self.samples, self.control = context.socket(zmq.PULL), context.socket(zmq.ROUTER)
        self.addresses = []
        for socket in (self.samples, self.control):
            socket.linger = 0
            socket.rcvtimeo = 20_000
            socket.bind(ANY_PORT)
            self.addresses.append(socket.last_endpoint.decode())

    def asked(self) -> tuple[bytes, Description]:
        who, frame = self.control.recv_multipart()
        return who, codec.decode(frame)

    def answer(self, accepted: bool, **details: object) -> None:
        """Answer the next question."""
        who, description = self.asked()
        answer = Answer(accepted, description.key, description.stream, details)
        self.control.send_multipart([who, codec.encode_answer(answer)])


@pytest.fixture
def answering():
    with zmq.Context() as context:
        answering = Answering(context)
        yield answering
        context.destroy(linger=0)


def test_who_is_accepted_learns_what_the_bundle_says():
    with running_streamer(BUNDLE) as streamer, sender_to(streamer.ingest, streamer.control) as sender:
        assert sender.accepted is None
        told = sender.wait_accepted()
        assert (told["bundle"], told["rate_hz"], told["classes"]) == (BUNDLE.id, 50.0, list(BUNDLE.description.classes))
        assert sender.accepted is True
        sender.new_session()
        assert sender.accepted is None  # of this session nothing has been said
        sender.wait_accepted()
        assert sender.accepted is True


def test_the_first_sample_of_who_was_accepted_counts():
    """And labels come, though nothing but the control endpoint may have seen a description."""
    with (
        running_streamer(BUNDLE) as streamer,
        LabelSubscriber(streamer.labels, streams=["anna"], events=True) as subscriber,
        sender_to(streamer.ingest, streamer.control) as sender,
    ):
        until(lambda: sender.wait_accepted()["subscribers"] == 1)
        for _ in range(8):
            sender.send([1.0, 2.0, 3.0])
        messages = []
        until(lambda: isinstance(messages.append(subscriber.receive(0.1)) or messages[-1], Label))
    assert messages[-1].window == 0
    # As whoever asks is answered, subscribers are told once and not at each repetition.
    assert len([each for each in messages if isinstance(each, Event) and each.event == "accepted"]) <= 2


def test_who_is_refused_learns_why(caplog):
    with (
        running_streamer(BUNDLE) as streamer,
        caplog.at_level(logging.WARNING, "kinestream.sender"),
        sender_to(streamer.ingest, streamer.control, channels=2) as sender,
    ):
        with pytest.raises(ChannelMismatch, match=r"refuses stream anna: .*c2") as raised:
            sender.wait_accepted()
        assert "\n" not in str(raised.value)
        assert sender.accepted is False
        for _ in range(3):
            sender.describe()
            until(lambda: sender.accepted is False)
    [warning] = [record for record in caplog.records if "the streamer refuses it" in record.message]
    assert warning.name == "kinestream.sender"
    assert "c2" in warning.message


def test_a_refusal_is_logged_though_nobody_waits_for_it(caplog):
    with running_streamer(BUNDLE) as streamer, sender_to(streamer.ingest, streamer.control, channels=2) as sender:
        sender.send([1.0, 2.0])
        until(lambda: sender.accepted is False)
    assert "anna: the streamer refuses it: " in caplog.text


def test_a_refusal_for_another_reason_is_logged_again(answering, caplog):
    with sender_to(*answering.addresses) as sender:
        for reason in ("too many", "too many", "too wide"):
            sender.describe()
            answering.answer(False, reason=reason)
            until(lambda: sender._connection._link.inquiry._unanswered_since is None or sender.accepted)
    assert [caplog.text.count(reason) for reason in ("too many", "too wide")] == [1, 1]


@pytest.mark.parametrize("patience_s", [0.0, SOON_S])
def test_who_is_not_heard_gives_up_in_time(patience_s):
    [ingest, control] = free_addresses()
    sender = sender_to(ingest, control)
    began = time.monotonic()
    with pytest.raises(EndpointError, match=f"no streamer answered at {control} within"):
        sender.wait_accepted(patience_s)
    assert patience_s <= time.monotonic() - began < patience_s + 5
    abandon(sender)


def test_who_waits_to_be_accepted_does_not_fill_what_is_to_be_sent(monkeypatch):
    """A streamer that takes no samples would else keep it from giving up."""
    monkeypatch.setattr("kinestream.streamer.client.connection.HIGH_WATER", 1)
    monkeypatch.setattr("kinestream.streamer.client.inquiry._ASK_AGAIN_S", 0.01)
    [ingest, control] = free_addresses()
    sender = sender_to(ingest, control)
    with pytest.raises(EndpointError, match="no streamer answered"):
        sender.wait_accepted(SOON_S)
    abandon(sender)


def test_an_answer_from_before_counts_for_nothing(answering):
    with sender_to(*answering.addresses) as sender:
        sender.describe()
        answering.answer(True)
        until(lambda: sender.accepted)
        with pytest.raises(EndpointError, match="no streamer answered"):
            sender.wait_accepted(SOON_S)


def test_who_knows_no_control_endpoint_cannot_wait():
    [ingest] = free_addresses(1)
    sender = sender_to(ingest, None, timeout_s=0.0)
    with pytest.raises(EndpointError, match="give control="):
        sender.wait_accepted()
    assert sender.accepted is None
    abandon(sender)


def test_that_nobody_answers_is_logged_once(answering, monkeypatch, caplog):
    monkeypatch.setattr("kinestream.streamer.client.inquiry._UNHEARD_S", 0.0)
    with sender_to(*answering.addresses) as sender:
        sender.describe()
        assert "no streamer answers" not in caplog.text
        for _ in range(20):  # more than may wait
            time.sleep(0.001)
            sender.describe()
        assert sender.accepted is None
    assert caplog.text.count(f"anna: no streamer answers at {answering.addresses[1]}") == 1


def test_answers_that_mean_nothing_are_passed_over(answering):
    with sender_to(*answering.addresses) as sender:
        sender.describe()
        who, description = answering.asked()
        wrong = [b"", b"junk", b"\x80", bytes(1000), codec.encode_end(1)]
        wrong.append(codec.encode_answer(Answer(False, description.key, "anna", {})))  # no reason
        wrong.append(codec.encode_answer(Answer(False, 1, "anna", {"reason": "of another key"})))
        for frame in wrong:
            answering.control.send_multipart([who, frame])
        inquiry = sender._connection._link.inquiry
        until(lambda: sender.accepted is not None or inquiry._unanswered_since is None)
        assert sender.accepted is None
        sender.describe()
        until(lambda: answering.answer(True) or sender.accepted or sender.describe())


def test_what_is_asked_is_what_is_sent(answering):
    with sender_to(*answering.addresses) as sender:
        sender.send([1.0, 2.0, 3.0])
        _, asked = answering.asked()
        described, samples = (codec.decode(answering.samples.recv()) for _ in range(2))
        assert asked == described
        assert isinstance(samples, Readings)
        assert samples.key == described.key
