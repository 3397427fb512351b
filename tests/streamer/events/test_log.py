"""Who reads labels alone learns from the log why none come: once, and never as a flood."""

import logging

import pytest
import zmq

from kinestream.streamer.client import AsyncLabelSubscriber, LabelSubscriber
from kinestream.streamer.events.log import EventLog
from kinestream.streamer.wire import published
from kinestream.streamer.wire.messages import Event
from tests.given.labels import label_of

WAIT_S = 20.0
REFUSED = Event("refused", "anna", -1, {"reason": "channels do not match"})
LABEL = label_of("anna")


@pytest.fixture
def publisher():
    """A socket that publishes to subscribers, and its address."""
    context = zmq.Context()
    socket = context.socket(zmq.XPUB)
    socket.set(zmq.RCVTIMEO, round(1000 * WAIT_S))
    yield socket, f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"
    context.destroy(linger=0)


def publish(publisher: zmq.Socket) -> None:
    """Publish a refusal, an acceptance and the like of other streams, then a label."""
    while publisher.recv() != b"\x01event/anna/":
        pass
    for event in (REFUSED, REFUSED, Event("accepted", "anna", -1, {}), REFUSED._replace(stream="bert")):
        publisher.send_multipart(published.encode_event(event))
    publisher.send_multipart(published.encode_label(LABEL))


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_subscriber_logs_what_it_does_not_return(publisher, caplog):
    with LabelSubscriber(publisher[1], streams=["anna"]) as subscriber:
        publish(publisher[0])
        assert subscriber.receive(WAIT_S) == LABEL
    assert lines(caplog) == ["stream anna: refused: channels do not match"]
    assert caplog.records[0].levelno == logging.WARNING


async def test_so_does_the_asyncio_subscriber(publisher, caplog):
    async with AsyncLabelSubscriber(publisher[1], streams=["anna"]) as subscriber:
        publish(publisher[0])
        assert await subscriber.receive(WAIT_S) == LABEL
    assert lines(caplog) == ["stream anna: refused: channels do not match"]


@pytest.mark.parametrize("options", [{"log": False}, {"events": True}])
def test_a_subscriber_that_is_told_not_to_logs_nothing(options, publisher, caplog):
    with LabelSubscriber(publisher[1], streams=["anna"], **options) as subscriber:
        topics = [publisher[0].recv() for _ in range(1 + subscriber_has_events(options))]
        assert (b"\x01event/anna/" in topics) == subscriber_has_events(options)
        publisher[0].send_multipart(published.encode_event(REFUSED))
        publisher[0].send_multipart(published.encode_label(LABEL))
        received = [subscriber.receive(WAIT_S) for _ in range(1 + subscriber_has_events(options))]
    assert received == [REFUSED, LABEL][-len(received) :]
    assert lines(caplog) == []


def subscriber_has_events(options: dict[str, bool]) -> bool:
    return options.get("events", False)


def test_events_alone_do_not_keep_receive_from_returning_in_time(publisher):
    with LabelSubscriber(publisher[1], streams=["anna"]) as subscriber:
        publish(publisher[0])
        assert subscriber.receive(WAIT_S) == LABEL
        for _ in range(10_000):
            publisher[0].send_multipart(published.encode_event(REFUSED))
        assert subscriber.receive(0.0) is None


def test_a_refusal_is_said_again_only_with_another_reason_or_after_an_acceptance(caplog):
    log = EventLog()
    other = REFUSED._replace(details={"reason": "another rate"})
    for event in (REFUSED, REFUSED, other, other, Event("accepted", "anna", -1, {}), other):
        log.add(event)
    assert lines(caplog) == [f"stream anna: refused: {why}" for why in ("channels do not match", *["another rate"] * 2)]


def test_gaps_of_one_stream_are_one_line_and_thousands_of_streams_are_twenty(caplog):
    log = EventLog()
    for number in range(5000):
        for _ in range(2):
            log.add(Event("gap", f"s{number}", 1, {"first_seq": 3, "last_seq": 4}))
    assert len(lines(caplog)) == 20
    assert len(set(lines(caplog))) == 20


def test_what_happens_to_every_session_is_no_warning(caplog):
    EventLog().add(Event("end", "anna", 1, {"reason": "end"}))
    assert lines(caplog) == []
