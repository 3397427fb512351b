"""What is sent is what is read; whatever else comes is refused by name, and nothing else is raised."""

from contextlib import suppress

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from model.recording import Channel
from streamer import wire

names = st.from_regex(r"[\w.:@+-]{1,64}", fullmatch=True)
integers = st.integers(0, (1 << 62) - 1)
samples = npst.arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)))


@given(stream=names, session=integers, seq=integers, t=integers, x=samples)
def test_samples_survive_the_wire(stream, session, seq, t, x):
    message = wire.decode(wire.encode_samples(stream, session, seq, t, x))
    assert message == wire.Samples(stream, session, seq, t, x.astype("<f4").tobytes())
    np.testing.assert_array_equal(np.frombuffer(message.x, "<f4").reshape(x.shape), x)


printable = st.text(st.characters(), min_size=1, max_size=64).filter(str.isprintable)


@given(stream=names, rate=st.floats(1e-3, 1e6), channels=st.lists(printable, min_size=1, max_size=5))
def test_descriptions_survive_the_wire(stream, rate, channels):
    description = wire.StreamDescription(stream, rate, tuple(Channel(name, "g") for name in channels))
    frame = wire.encode_description(description)
    read = wire.decode(frame)
    assert read._replace(fingerprint=0) == description
    assert wire.is_description(frame)
    assert read.fingerprint == hash(frame)


@given(stream=names, session=integers)
def test_ends_survive_the_wire(stream, session):
    assert wire.decode(wire.encode_end(stream, session)) == wire.End(stream, session)


@given(stream=names, numbers=st.lists(integers, min_size=9, max_size=9), p=st.floats(0, 1))
def test_labels_survive_the_wire(stream, numbers, p):
    session, window, first, last, *times = numbers
    label = wire.Label(stream, session, window, first, last, "Walk", 3, p, "m", *times)
    topic, body = wire.encode_label(label)
    assert topic == f"label/{stream}/".encode()
    assert wire.decode_published([topic, body]) == label
    assert set(msgpack.unpackb(body)) == {
        *("v", "kind", "stream", "session", "window", "first_seq", "last_seq", "label", "class", "p", "model"),
        *("t_source", "t_received", "t_ready", "t_inferred", "t_published"),
    }


def test_events_survive_the_wire():
    event = wire.Event("gap", "a", 7, {"first_seq": 3, "last_seq": 4})
    assert wire.decode_published(list(wire.encode_event(event))) == event


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_and_nothing_else_is_raised(frame):
    with pytest.raises(wire.MalformedMessage):
        wire.decode(frame)


VALID = {"v": 1, "kind": "samples", "stream": "a", "session": 0, "seq": 0, "t": 0, "x": b"\0\0\0\0"}
anything = st.one_of(
    st.none(), st.booleans(), st.integers(-(1 << 63), (1 << 64) - 1), st.floats(), st.text(), st.binary(), st.just([])
)


@given(key=st.sampled_from(sorted(VALID)), value=anything, kind=st.sampled_from(["samples", "stream", "end"]))
def test_a_message_with_one_odd_field_is_read_or_refused(key, value, kind):
    frame = msgpack.packb({**VALID, "kind": kind, "rate_hz": 50, "channels": [{"name": "x"}], key: value})
    with suppress(wire.MalformedMessage):
        wire.decode(frame)


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
        wire.decode(msgpack.packb({**VALID, **change}))


def test_size_is_checked_before_unpacking():
    with pytest.raises(wire.MalformedMessage, match=r"^size$"):
        wire.decode(b"\xc0" * (wire.MAX_BYTES + 1))


def test_nesting_does_not_exhaust_the_stack():
    with pytest.raises(wire.MalformedMessage, match=r"^msgpack$"):
        wire.decode(b"\x91" * 60_000 + b"\x01")
