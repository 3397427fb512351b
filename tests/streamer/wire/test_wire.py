"""What is sent is what is read; whatever else comes is refused by name, and nothing else is raised."""

import io
import json
from contextlib import suppress

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from rich.console import Console

from kinestream.model.recordings.recording import Channel
from kinestream.screens.watch_table import table_of
from kinestream.streamer.events.lines import LabelLines, event_line, json_line
from kinestream.streamer.events.log import EventLog
from kinestream.streamer.watch.tally import Tally
from kinestream.streamer.wire import codec
from kinestream.streamer.wire import messages as wire

names = st.from_regex(r"[\w.:@+-]{1,64}", fullmatch=True).filter(lambda name: len(name.encode()) <= wire.MAX_TEXT)
integers = st.integers(0, (1 << 62) - 1)
samples = npst.arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)))


@given(stream=names, session=integers, seq=integers, t=integers, x=samples)
def test_samples_survive_the_wire(stream, session, seq, t, x):
    message = codec.decode(codec.encode_samples(stream, session, seq, t, x))
    assert message == wire.Samples(stream, session, seq, t, x.astype("<f4").tobytes())
    np.testing.assert_array_equal(np.frombuffer(message.x, "<f4").reshape(x.shape), x)


printable = st.text(st.characters(), min_size=1, max_size=64).filter(str.isprintable)


@given(stream=names, rate=st.floats(1e-3, 1e6), channels=st.lists(printable, min_size=1, max_size=5))
def test_descriptions_survive_the_wire(stream, rate, channels):
    description = wire.StreamDescription(stream, rate, tuple(Channel(name, "g") for name in channels))
    frame = codec.encode_description(description)
    read = codec.decode(frame)
    assert read._replace(fingerprint=0) == description
    assert codec.is_description(frame)
    assert read.fingerprint == hash(frame)


@given(stream=names, session=integers)
def test_ends_survive_the_wire(stream, session):
    assert codec.decode(codec.encode_end(stream, session)) == wire.End(stream, session)


@given(stream=names, numbers=st.lists(integers, min_size=9, max_size=9), p=st.floats(0, 1))
def test_labels_survive_the_wire(stream, numbers, p):
    session, window, first, last, *times = numbers
    label = wire.Label(stream, session, window, first, last, "Walk", 3, p, "m", *times)
    topic, body = codec.encode_label(label)
    assert topic == f"label/{stream}/".encode()
    assert codec.decode_published([topic, body]) == label
    assert set(msgpack.unpackb(body)) == {
        *("v", "kind", "stream", "session", "window", "first_seq", "last_seq", "label", "class", "p", "model"),
        *("t_source", "t_received", "t_ready", "t_inferred", "t_published"),
    }


def test_events_survive_the_wire():
    event = wire.Event("gap", "a", 7, {"first_seq": 3, "last_seq": 4})
    assert codec.decode_published(list(codec.encode_event(event))) == event


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_and_nothing_else_is_raised(frame):
    with pytest.raises(wire.MalformedMessage):
        codec.decode(frame)


VALID = {"v": 1, "kind": "samples", "stream": "a", "session": 0, "seq": 0, "t": 0, "x": b"\0\0\0\0"}
anything = st.one_of(
    st.none(), st.booleans(), st.integers(-(1 << 63), (1 << 64) - 1), st.floats(), st.text(), st.binary(), st.just([])
)


@given(key=st.sampled_from(sorted(VALID)), value=anything, kind=st.sampled_from(["samples", "stream", "end"]))
def test_a_message_with_one_odd_field_is_read_or_refused(key, value, kind):
    frame = msgpack.packb({**VALID, "kind": kind, "rate_hz": 50, "channels": [{"name": "x"}], key: value})
    with suppress(wire.MalformedMessage):
        codec.decode(frame)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"v": 2}, "version"),
        ({"v": True}, "version"),
        ({"kind": "sample"}, "kind"),
        ({"x": b"\0\0\0"}, "samples"),
        ({"x": b""}, "samples"),
        ({"x": "abcd"}, "samples"),
        ({"seq": -1}, "samples"),
        ({"seq": 1.0}, "samples"),
        ({"session": True}, "samples"),
        ({"stream": 3}, "samples"),
        ({"kind": "end", "stream": "a/b"}, "stream"),
        ({"kind": "end", "session": None}, "session"),
        ({"kind": "stream", "rate_hz": float("nan"), "channels": [{"name": "x"}]}, "rate_hz"),
        ({"kind": "stream", "rate_hz": 0, "channels": [{"name": "x"}]}, "rate_hz"),
        ({"kind": "stream", "rate_hz": 50, "channels": []}, "channels"),
        ({"kind": "stream", "rate_hz": 50, "channels": [{"name": 3}]}, "channels"),
        ({"kind": "stream", "rate_hz": 50, "channels": ["x"]}, "channels"),
    ],
)
def test_what_is_wrong_is_named(change, reason):
    with pytest.raises(wire.MalformedMessage, match=f"^{reason}$"):
        codec.decode(msgpack.packb({**VALID, **change}))


def test_size_is_checked_before_unpacking():
    with pytest.raises(wire.MalformedMessage, match=r"^size$"):
        codec.decode(b"\xc0" * (wire.MAX_BYTES + 1))


def test_nesting_does_not_exhaust_the_stack():
    with pytest.raises(wire.MalformedMessage, match=r"^msgpack$"):
        codec.decode(b"\x91" * 60_000 + b"\x01")


LABEL = wire.Label("a", 1, 2, 3, 10, "walk", 0, 0.5, "m-1", 1, 2, 3, 4, 5)
EVENTS = [
    wire.Event("gap", "a", 1, {"first_seq": 3, "last_seq": 4}),
    wire.Event("skipped", "a", 1, {"first_window": 3, "last_window": 4, "reason": "missing"}),
    wire.Event("late", "a", 1, {"count": 3, "next_seq": 9}),
    wire.Event("refused", "a", -1, {"reason": "channels missing"}),
    wire.Event("end", "a", 1, {"reason": "end", "windows": {"labelled": 3}}),
    wire.Event("accepted", "a", -1, {"subscribers": 1}),
    wire.Event("of a later version", "a", 1, {"why": [1, 2.5, None]}),
]
published = st.sampled_from([codec.encode_label(LABEL), *map(codec.encode_event, EVENTS)])


@given(frames=published, data=st.data(), value=anything | st.dictionaries(st.text(max_size=3), anything, max_size=2))
def test_what_a_publisher_makes_up_is_refused_or_does_no_harm_to_those_who_read_it(frames, data, value):
    content = msgpack.unpackb(frames[1])
    content[data.draw(st.sampled_from(sorted(content)) | st.text(max_size=5))] = value
    with suppress(wire.MalformedMessage):
        message = codec.decode_published([frames[0], msgpack.packb(content)])
        tally, log = Tally(), EventLog()
        tally.add(message, 0, 0)
        tally.in_order()
        json.loads(json_line(message, 0))
        assert "\n" not in json_line(message, 0)
        Console(file=io.StringIO(), width=120).print(table_of(tally, 0, 10, 120, ""))
        if isinstance(message, wire.Label):
            LabelLines().line(message, 0)
        else:
            event_line(message)
            log.add(message)


@pytest.mark.parametrize(
    "change",
    [
        {"p": "0.9"},
        {"p": float("nan")},
        {"p": 2.0},
        {"label": 7},
        {"window": "0"},
        {"window": -1},
        {"class": True},
        {"t_source": 1e18},
        {"t_published": 1 << 63},
        {"stream": "a/b"},
        {"stream": "\x1b[2J"},
        {"model": None},
    ],
)
def test_a_label_of_wrong_types_is_refused(change):
    topic, body = codec.encode_label(LABEL)
    with pytest.raises(wire.MalformedMessage, match=r"^label$"):
        codec.decode_published([topic, msgpack.packb(msgpack.unpackb(body) | change)])


@pytest.mark.parametrize(
    ("event", "change"),
    [
        (0, {"first_seq": "3"}),
        (0, {"last_seq": 2}),
        (1, {"last_window": None}),
        (1, {"reason": 3}),
        (2, {"count": []}),
        (3, {"session": 1.0}),
        (3, {"reason": b"x"}),
        (4, {"event": ["end"]}),
        (4, {"stream": None}),
    ],
)
def test_an_event_of_wrong_types_is_refused(event, change):
    topic, body = codec.encode_event(EVENTS[event])
    with pytest.raises(wire.MalformedMessage):
        codec.decode_published([topic, msgpack.packb(msgpack.unpackb(body) | change)])


def test_keys_that_are_no_words_are_refused():
    topic, body = codec.encode_event(EVENTS[0])
    with pytest.raises(wire.MalformedMessage):
        codec.decode_published([topic, msgpack.packb(msgpack.unpackb(body) | {b"more": 1})])


def test_an_acceptance_is_told_unread():
    assert [codec.is_acceptance(list(codec.encode_event(event))) for event in EVENTS] == [
        event.event == "accepted" for event in EVENTS
    ]
    assert not codec.is_acceptance(list(codec.encode_label(LABEL)))


def test_a_description_is_told_whatever_map_it_is_written_as():
    """What takes long to read shares its time: a key more must not hide it."""
    content = msgpack.unpackb(codec.encode_description(wire.StreamDescription("a", 50.0, (Channel("x" * 60),) * 20)))
    assert codec.is_description(msgpack.packb({**content, "more": 1}))
    assert not codec.is_description(codec.encode_samples("a", 1 << 60, 0, 1 << 60, np.zeros((200, 3), np.float32)))
    assert not codec.is_description(codec.encode_end("a" * 64, 1 << 60))


@pytest.mark.parametrize(
    "value", [[msgpack.ExtType(5, b"x")], [0] * 2000, dict.fromkeys(map(str, range(5000))), msgpack.Timestamp(1)]
)
def test_no_more_is_unpacked_than_a_message_may_hold(value):
    with pytest.raises(wire.MalformedMessage, match=r"^msgpack$"):
        codec.decode(msgpack.packb({**VALID, "more": value}))
