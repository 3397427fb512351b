"""What people say of activities: published as it was said, bounded, and never part of a label."""

import asyncio

import msgpack
import numpy as np
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from kinestream import Annotation, AsyncLabelSubscriber, Event, Label, LabelSubscriber, SampleSender
from kinestream.streamer.wire import codec
from kinestream.streamer.wire.messages import MAX_INT, MalformedMessage, Remark
from kinestream.streamer.wire.published import decode_published, encode_annotation
from tests.given.bundles import random_bundle
from tests.given.hostile import until
from tests.given.keys import key_of
from tests.given.streamers import running_streamer

WAIT_S = 30.0
BUNDLE = random_bundle(channels=3, length=8, stride=4)
activities = st.text(st.characters(), min_size=1, max_size=255).filter(str.isprintable)
moments = st.tuples(st.integers(0, MAX_INT - 1), st.integers(0, MAX_INT - 1)).map(sorted)
REMARK = {"v": 2, "kind": "annotation", "key": 1, "activity": "walk", "begin": 3, "end": 3}


@given(key=st.integers(0, (1 << 64) - 1), activity=activities, lasting=moments)
def test_annotations_survive_the_wire(key, activity, lasting):
    assert codec.decode(codec.encode_remark(Remark(key, activity, *lasting))) == Remark(key, activity, *lasting)
    annotation = Annotation("anna", 7, activity, *lasting)
    topic, body = encode_annotation(annotation)
    assert topic == b"annotation/anna/"
    assert decode_published([topic, body]) == annotation


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"v": 1}, "version"),
        ({"more": 1}, "keys"),
        ({"key": -1}, "key"),
        ({"begin": -1}, "begin"),
        ({"end": 1 << 62}, "end"),
        ({"end": 2}, "annotation"),
        ({"activity": ""}, "annotation"),
        ({"activity": "x" * 256}, "annotation"),
        ({"activity": "a\nb"}, "annotation"),
        ({"activity": b"walk"}, "annotation"),
        ({"activity": None}, "annotation"),
        ({"begin": 3.0}, "begin"),
    ],
)
def test_what_is_no_annotation_is_refused(change, reason):
    codec.decode(msgpack.packb(REMARK))
    with pytest.raises(MalformedMessage, match=f"^{reason}$"):
        codec.decode(msgpack.packb(REMARK | change))


@pytest.mark.parametrize(
    "change",
    [{"more": 1}, {"session": -1}, {"stream": "a/b"}, {"stream": 3}, {"end": 1}, {"activity": 3}, {"begin": "now"}],
)
def test_what_no_streamer_publishes_is_passed_over(change):
    published = {"v": 2, "kind": "annotation", "stream": "a", "session": 1, "activity": "walk", "begin": 3, "end": 4}
    decode_published([b"annotation/a/", msgpack.packb(published)])
    with pytest.raises(MalformedMessage):
        decode_published([b"annotation/a/", msgpack.packb(published | change)])


def test_who_asks_hears_what_was_said_and_labels_are_the_same():
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    with (
        running_streamer(BUNDLE) as streamer,
        LabelSubscriber(streamer.labels, streams=["anna"], events=True, annotations=True) as all_of_it,
        LabelSubscriber(streamer.labels, streams=["anna"], events=True) as without,
        SampleSender("anna", BUNDLE.channels, 50, endpoint=streamer.ingest, control=streamer.control) as sender,
    ):
        until(lambda: sender.wait_accepted()["subscribers"] == 2)
        for subscriber in (all_of_it, without):
            until(lambda subscriber=subscriber: sender.describe() or subscriber.receive(0.1))
        sender.annotate("[walk]", 10, 20)
        sender.send(x, seq=0)
        sender.annotate("sit", 20, 20)
        with pytest.raises(ValueError, match="give 1 to 255 printable characters"):
            sender.annotate("sit\n", 20, 30)
        with pytest.raises(ValueError, match="an end that is not before the begin"):
            sender.annotate("sit", 20, 19)
        session = sender.session
        sender.end()
        heard: dict[int, list[Label | Event | Annotation]] = {0: [], 1: []}
        for place, subscriber in enumerate((all_of_it, without)):
            while not (heard[place] and isinstance(heard[place][-1], Event) and heard[place][-1].event == "end"):
                heard[place].append(subscriber.receive(WAIT_S))
                assert heard[place][-1] is not None
    said = [each for each in heard[0] if isinstance(each, Annotation)]
    assert said == [Annotation("anna", session, "[walk]", 10, 20), Annotation("anna", session, "sit", 20, 20)]
    assert not [each for each in heard[1] if isinstance(each, Annotation)]
    labels = [[each for each in part if isinstance(each, Label)] for part in heard.values()]
    assert labels[0] == labels[1]
    assert len(labels[0]) == 9


def test_the_asyncio_subscriber_hears_them_too():
    async def listen(address: str, sender: SampleSender) -> Annotation:
        async with AsyncLabelSubscriber(address, annotations=True, log=False) as subscriber:
            while True:
                sender.annotate("walk", 1, 2)
                message = await subscriber.receive(0.05)
                if isinstance(message, Annotation):
                    return message

    with (
        running_streamer(BUNDLE) as streamer,
        SampleSender("anna", BUNDLE.channels, 50, endpoint=streamer.ingest) as sender,
    ):
        assert asyncio.run(listen(streamer.labels, sender)) == Annotation("anna", sender.session, "walk", 1, 2)


def test_of_a_stream_so_many_are_taken_and_others_have_room_of_their_own(caplog):
    with (
        running_streamer(BUNDLE) as streamer,
        SampleSender("greedy", BUNDLE.channels, 50, endpoint=streamer.ingest) as greedy,
        SampleSender("anna", BUNDLE.channels, 50, endpoint=streamer.ingest) as anna,
    ):
        for _ in range(3000):
            greedy.annotate("walk", 1, 2)
        until(lambda: streamer.totals()["messages_received"] >= 3001)
        left_out = streamer.totals()["messages_too_many_annotations"]
        assert left_out > 1000
        with LabelSubscriber(streamer.labels, streams=["anna"], annotations=True) as subscriber:
            until(lambda: anna.annotate("sit", 1, 2) or isinstance(subscriber.receive(0.05), Annotation))
        totals = streamer.totals()
        assert totals["messages_too_many_annotations"] == left_out
        became = sum(count for name, count in totals.items() if name.startswith("messages_"))
        assert became == 2 * totals["messages_received"]
    assert caplog.text.count("annotations so far were left out, the latest of stream greedy") == 1


def test_one_that_comes_before_its_description_waits_and_nobody_may_annotate_another_ones_stream():
    with (
        running_streamer(BUNDLE) as streamer,
        LabelSubscriber(streamer.labels, annotations=True) as subscriber,
        zmq.Context() as context,
    ):
        push = context.socket(zmq.PUSH)
        push.linger = 0
        push.connect(streamer.ingest)
        with SampleSender("anna", BUNDLE.channels, 50, endpoint=streamer.ingest, session=1) as sender:
            until(lambda: sender.annotate("sit", 1, 2) or isinstance(subscriber.receive(0.05), Annotation))
            push.send(codec.encode_remark(Remark(key_of("ben"), "fly", 1, 2)))
            push.send(codec.encode_remark(Remark(key_of("carl"), "walk", 1, 2)))
            until(lambda: streamer.totals()["messages_waiting"] == 2)
            about = codec.decode(sender._description)._replace(stream="carl", key=key_of("carl"))
            push.send(codec.encode_description(about))
            heard = []
            while not heard or heard[-1].stream == "anna":
                heard.append(subscriber.receive(WAIT_S))
        assert heard[-1] == Annotation("carl", 1, "walk", 1, 2)
        push.close()
