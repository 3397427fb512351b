"""What is sent is what is read; whatever else comes is refused by name, and nothing else is raised."""

import io
import json
import struct
from contextlib import suppress

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from rich.console import Console

from kinestream.model.recordings.recording import Channel
from kinestream.screens.watch_table import table_of
from kinestream.streamer.client.activities import Activities
from kinestream.streamer.client.filling import Filling
from kinestream.streamer.client.merging import Merging
from kinestream.streamer.dashboard.board import Board
from kinestream.streamer.events.lines import LabelLines, event_line, json_line
from kinestream.streamer.events.log import EventLog
from kinestream.streamer.watch.tally import Tally
from kinestream.streamer.wire import codec
from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire.published import decode_published, encode_event, encode_label, is_acceptance
from tests.given.labels import label_of

names = st.from_regex(r"[\w.:@+-]{1,64}", fullmatch=True).filter(lambda name: len(name.encode()) <= wire.MAX_TEXT)
integers = st.integers(0, (1 << 62) - 1)
keys = st.integers(0, (1 << 64) - 1)
samples = npst.arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)))
printable = st.text(st.characters(), min_size=1, max_size=64).filter(str.isprintable)


@given(key=keys, seq=st.integers(0, (1 << 62) - 10), t=integers, x=samples, with_times=st.booleans())
def test_samples_survive_the_wire(key, seq, t, x, with_times):
    times = np.arange(len(x), dtype=np.int64) - 5 if with_times else None
    message = codec.decode(codec.encode_samples(key, seq, t, x, times))
    held = times.astype("<i8").tobytes() if with_times else b""
    assert message == wire.Readings(key, seq, t, len(x), held, x.astype("<f4").tobytes())
    np.testing.assert_array_equal(np.frombuffer(message.x, "<f4").reshape(x.shape), x)


def test_samples_are_32_bytes_and_their_readings():
    """As whoever writes them in another language reads it in the page about the wire."""
    x = np.array([[1.0, -2.0, np.nan], [0.5, 0.0, 3.0]], np.float32)
    frame = codec.encode_samples((1 << 64) - 2, 7, 1_700_000_000_000_000_000, x)
    assert frame[:4] == b"KS\x02\x01"
    assert struct.unpack("<IQQq", frame[4:32]) == (2, (1 << 64) - 2, 7, 1_700_000_000_000_000_000)
    np.testing.assert_array_equal(struct.unpack("<6f", frame[32:]), x.ravel())
    timed = codec.encode_samples(1, 0, 9, x, np.array([8, 9]))
    assert timed[:4] == b"KS\x02\x02"
    assert struct.unpack("<2q", timed[32:48]) == (8, 9)
    assert timed[48:] == frame[32:]


@given(
    rows=st.integers(1, 60_000),
    width=st.sampled_from([1, 3, 1000, 16_000]),
    seq=st.integers(0, 1 << 40),
    t=st.integers(0, 1 << 60),
)
@settings(max_examples=30)
def test_what_is_more_than_a_message_may_hold_is_split_and_nothing_is_lost(rows, width, seq, t):
    rows = min(rows, 1_000_000 // width)
    x = np.arange(rows * width, dtype=np.float32).reshape(rows, width)
    following, last_t, read = seq, -1, []
    for end, frame in codec.encode_split(3, seq, t, x, 20e6):
        assert len(frame) <= wire.MAX_BYTES
        message = codec.decode(frame)
        assert (message.key, message.seq, message.seq + message.samples) == (3, following, end)
        assert message.t == max(t - (seq + rows - end) * 20_000_000, 0) >= last_t
        following, last_t = end, message.t
        read.append(message.x)
    assert (following, last_t) == (seq + rows, t)
    assert b"".join(read) == x.tobytes()


@given(
    stream=names,
    device=names,
    numbers=st.tuples(keys, integers, integers),
    rate=st.floats(1e-3, 1e6),
    channels=st.lists(printable, min_size=1, max_size=5),
    timing=st.sampled_from(["grid", "times"]),
)
def test_descriptions_survive_the_wire(stream, device, numbers, rate, channels, timing):
    key, session, origin = numbers
    named = tuple(Channel(name, "g") for name in channels)
    description = wire.Description(stream, key, session, rate, named, device, origin, timing)
    frame = codec.encode_description(description)
    read = codec.decode(frame)
    assert read._replace(fingerprint=0) == description
    assert read.fingerprint == hash(frame)


@given(key=keys)
def test_ends_survive_the_wire(key):
    assert codec.decode(codec.encode_end(key)) == wire.End(key)


@given(
    stream=names,
    numbers=st.lists(integers, min_size=9, max_size=9),
    p=st.floats(0, 1),
    probs=npst.arrays("<f4", st.integers(4, 20)),
    missing=st.dictionaries(names, st.floats(0, 1), max_size=3),
)
def test_labels_survive_the_wire(stream, numbers, p, probs, missing):
    session, window, first, last, *times = numbers
    label = wire.Label(stream, session, window, first, last, "Walk", 3, p, probs.tobytes(), missing, "m", *times)
    topic, body = encode_label(label)
    assert topic == f"label/{stream}/".encode()
    read = decode_published([topic, body])
    assert read == label
    np.testing.assert_array_equal(read.probabilities, probs)
    assert set(msgpack.unpackb(body)) == {
        *("v", "kind", "stream", "session", "window", "first_seq", "last_seq", "label", "class", "p", "probs"),
        *("missing", "model", "t_source", "t_received", "t_ready", "t_inferred", "t_published"),
    }


def test_events_survive_the_wire():
    event = wire.Event("gap", "a", 7, {"first_seq": 3, "last_seq": 4})
    assert decode_published(list(encode_event(event))) == event


@given(key=keys, stream=names, accepted=st.booleans(), more=st.dictionaries(st.text(max_size=9), st.integers(-9, 9)))
def test_answers_survive_the_wire(key, stream, accepted, more):
    details = {name: value for name, value in more.items() if name not in ("v", "kind", "key", "stream")}
    answer = wire.Answer(accepted, key, stream, details | ({} if accepted else {"reason": "another rate"}))
    assert codec.decode_answer(codec.encode_answer(answer)) == answer


def test_no_detail_of_an_answer_hides_whose_it_is():
    details = {"key": 1, "stream": "b", "kind": "refused", "v": 9, "bundle": "m"}
    read = codec.decode_answer(codec.encode_answer(wire.Answer(True, 2, "a", details)))
    assert read == wire.Answer(True, 2, "a", {"bundle": "m"})


ANSWER = {"v": 2, "kind": "refused", "key": 1, "stream": "a", "reason": "another rate"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"v": 1}, "version"),
        ({"kind": "describe"}, "kind"),
        ({"kind": None}, "kind"),
        ({"key": -1}, "key"),
        ({"key": 1 << 63, "stream": ""}, "stream"),
        ({"reason": 3}, "reason"),
        ({"reason": None}, "reason"),
        ({b"more": 1}, "keys"),
    ],
)
def test_an_answer_of_wrong_types_is_refused(change, reason):
    with pytest.raises(wire.MalformedMessage, match=f"^{reason}$"):
        codec.decode_answer(msgpack.packb(ANSWER | change))


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_and_nothing_else_is_raised(frame):
    with pytest.raises(wire.MalformedMessage):
        codec.decode(frame)
    with pytest.raises(wire.MalformedMessage):
        codec.decode_answer(frame)


@given(begin=st.sampled_from([wire.ON_GRID, wire.WITH_TIMES, b"KS"]), rest=st.binary(max_size=200))
def test_what_begins_like_samples_is_read_or_refused(begin, rest):
    with suppress(wire.MalformedMessage):
        message = codec.decode(begin + rest)
        assert 0 < message.samples
        assert len(message.x) % (4 * message.samples) == 0
        assert len(message.times) == (8 * message.samples if begin == wire.WITH_TIMES else 0)
        assert message.times + message.x == (begin + rest)[32:]
        assert 0 <= message.seq < message.seq + message.samples < wire.MAX_INT
        assert 0 <= message.t < wire.MAX_INT


END = {"v": 2, "kind": "end", "key": 1}
REMARK = {"v": 2, "kind": "annotation", "key": 1, "activity": "walk", "begin": 1, "end": 2}
DESCRIPTION = {
    "v": 2, "kind": "describe", "stream": "a", "device": "wrist", "key": 1, "session": 0, "origin": 0,
    "rate_hz": 50, "timing": "grid", "channels": [{"name": "x", "unit": ""}],
}  # fmt: skip
anything = st.one_of(
    st.none(), st.booleans(), st.integers(-(1 << 63), (1 << 64) - 1), st.floats(), st.text(), st.binary(), st.just([])
)


@given(base=st.sampled_from([END, REMARK, DESCRIPTION]), data=st.data(), value=anything)
def test_a_message_with_one_odd_field_is_read_or_refused(base, data, value):
    with suppress(wire.MalformedMessage):
        codec.decode(msgpack.packb({**base, data.draw(st.sampled_from(sorted(DESCRIPTION | REMARK))): value}))


@pytest.mark.parametrize(
    ("base", "change", "reason"),
    [
        (END, {"v": 1}, "version"),
        (END, {"v": 3}, "version"),
        (END, {"v": True}, "version"),
        (END, {"v": 2.0}, "version"),
        (END, {"kind": "samples"}, "kind"),
        (END, {"kind": "stream"}, "kind"),
        (END, {"kind": None}, "kind"),
        (END, {"key": None}, "key"),
        (END, {"key": -1}, "key"),
        (END, {"key": True}, "key"),
        (END, {"key": 1.0}, "key"),
        (END, {"session": 1}, "keys"),
        (DESCRIPTION, {"more": 1}, "keys"),
        (DESCRIPTION, {b"stream": "a"}, "keys"),
        (DESCRIPTION, {"stream": 3}, "stream"),
        (DESCRIPTION, {"stream": "a/b"}, "stream"),
        (DESCRIPTION, {"stream": ""}, "stream"),
        (DESCRIPTION, {"stream": "a" * 65}, "stream"),
        (DESCRIPTION, {"device": "left/wrist"}, "device"),
        (DESCRIPTION, {"device": None}, "device"),
        (DESCRIPTION, {"key": -1}, "key"),
        (DESCRIPTION, {"session": 1 << 62}, "session"),
        (DESCRIPTION, {"session": None}, "session"),
        (DESCRIPTION, {"origin": 1.5}, "origin"),
        (DESCRIPTION, {"timing": "Grid"}, "timing"),
        (DESCRIPTION, {"timing": []}, "timing"),
        (DESCRIPTION, {"rate_hz": float("nan")}, "rate_hz"),
        (DESCRIPTION, {"rate_hz": float("inf")}, "rate_hz"),
        (DESCRIPTION, {"rate_hz": 0}, "rate_hz"),
        (DESCRIPTION, {"rate_hz": True}, "rate_hz"),
        (DESCRIPTION, {"rate_hz": "50"}, "rate_hz"),
        (DESCRIPTION, {"channels": []}, "channels"),
        (DESCRIPTION, {"channels": [{"name": 3, "unit": ""}]}, "channels"),
        (DESCRIPTION, {"channels": [{"name": "x"}]}, "channels"),
        (DESCRIPTION, {"channels": [{"name": "x", "unit": "", "more": 1}]}, "channels"),
        (DESCRIPTION, {"channels": [{"name": "\x1b", "unit": ""}]}, "channels"),
        (DESCRIPTION, {"channels": ["x"]}, "channels"),
        (DESCRIPTION, {"channels": {"name": "x"}}, "channels"),
    ],
)
def test_what_is_wrong_is_named(base, change, reason):
    with pytest.raises(wire.MalformedMessage, match=f"^{reason}$"):
        codec.decode(msgpack.packb({**base, **change}))


@pytest.mark.parametrize("base", [END, DESCRIPTION])
def test_a_key_that_lacks_is_malformed(base):
    for key in base.keys() - {"v", "kind"}:
        with pytest.raises(wire.MalformedMessage, match=r"^keys$"):
            codec.decode(msgpack.packb({name: value for name, value in base.items() if name != key}))


def head(mark=wire.ON_GRID, count=1, key=1, seq=0, t=0, rest=bytes(4)):
    return wire.HEAD.pack(mark, count, key, seq, t) + rest


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (head(mark=b"KS\x01\x01"), "version"),
        (head(mark=b"KS\x03\x01"), "version"),
        (head(mark=b"KS\x02\x00"), "kind"),
        (head(mark=b"KS\x02\x03"), "kind"),
        (head()[:31], "samples"),
        (head(rest=b""), "samples"),
        (head(rest=bytes(3)), "samples"),
        (head(count=0), "samples"),
        (head(count=0, rest=bytes(0)), "samples"),
        (head(count=2), "samples"),
        (head(count=2, rest=bytes(12)), "samples"),
        (head(count=(1 << 32) - 1), "samples"),
        (head(count=1 << 30, rest=bytes(8)), "samples"),
        (head(mark=wire.WITH_TIMES), "samples"),
        (head(mark=wire.WITH_TIMES, rest=bytes(8)), "samples"),
        (head(mark=wire.WITH_TIMES, count=2, rest=bytes(20)), "samples"),
        (head(seq=wire.MAX_INT), "samples"),
        (head(seq=wire.MAX_INT - 1), "samples"),
        (head(seq=(1 << 64) - 1), "samples"),
        (head(t=-1), "samples"),
        (head(t=wire.MAX_INT), "samples"),
        (b"KS", "samples"),
        (head(rest=bytes(wire.MAX_BYTES - 31)), "size"),
    ],
)
def test_what_is_wrong_with_samples_is_named(frame, reason):
    with pytest.raises(wire.MalformedMessage, match=f"^{reason}$"):
        codec.decode(frame)


def test_samples_at_the_edge_of_what_is_allowed_are_read():
    assert codec.decode(head(seq=wire.MAX_INT - 2, t=wire.MAX_INT - 1, key=wire.MAX_KEY - 1)).samples == 1
    assert len(codec.decode(head(rest=bytes(wire.MAX_BYTES - 32))).x) == wire.MAX_BYTES - 32
    assert codec.decode(head(mark=wire.WITH_TIMES, rest=bytes(12))).times == bytes(8)


def test_size_is_checked_before_unpacking():
    with pytest.raises(wire.MalformedMessage, match=r"^size$"):
        codec.decode(b"\xc0" * (wire.MAX_BYTES + 1))


def test_nesting_does_not_exhaust_the_stack():
    with pytest.raises(wire.MalformedMessage, match=r"^msgpack$"):
        codec.decode(b"\x91" * 60_000 + b"\x01")


LABEL = label_of("a")
ABOUT = {"bundle": "m-1", "rate_hz": 50.0, "window": {"length": 8, "stride": 4}, "classes": ["walk", "sit"]}
EVENTS = [
    wire.Event("gap", "a", 1, {"first_seq": 3, "last_seq": 4}),
    wire.Event("skipped", "a", 1, {"first_window": 3, "last_window": 4, "reason": "missing"}),
    wire.Event("late", "a", 1, {"count": 3, "next_seq": 9}),
    wire.Event("refused", "a", -1, {"reason": "channels missing"}),
    wire.Event("end", "a", 1, {"reason": "end", "windows": {"labelled": 3}}),
    wire.Event("missed", "a", 1, {"first_window": 3, "last_window": 4, "reason": "gone"}),
    wire.Event("quota", "a", 1, {"count": 3, "reason": "too many"}),
    wire.Event("device", "a", 1, {"device": "wrist", "silent": True, "since": 3}),
    wire.Event("device", "a", 1, {"device": "wrist", "frozen": True, "since": 3}),
    wire.Event("rate", "a", 1, {"device": "wrist", "declared_hz": 50.0, "measured_hz": 49.0}),
    wire.Event("unusual", "a", 1, {"sensor": "wrist", "unusual": True, "reason": "upside down"}),
    wire.Event("seam", "a", 1, {"last_seq": 3, "first_seq": 900, "last_window": 0, "next_window": 100}),
    wire.Event("seam", "a", 1, {"device": "wrist", "before": 3, "after": 1}),
    wire.Event("reset", "a", 1, {"previous": 0}),
    wire.Event("model", "a", 1, {"old": "m-1", "new": "m-2", "classes": ["walk", "sit"], "activities": {}}),
    wire.Event("accepted", "a", -1, {"subscribers": 1, "undelivered": ["x"]}),
    wire.Event("accepted", "a", -1, ABOUT | {"classes": ["sit", "walk"]}),
    wire.Event("of a later version", "a", 1, {"why": [1, 2.5, None]}),
]


def read_in_its_place(message: wire.Published, frame: bytes) -> None:
    """Have all that follow a stream take a message amid others of it."""
    accepted = wire.Event("accepted", "a", -1, ABOUT)
    before = [accepted, *(label_of("a", window, t_source=window) for window in range(2))]
    behind = [label_of("a", window, t_source=window) for window in (2, 4)]
    activities, board, filling, merging = Activities(), Board(0), Filling(), Merging()
    for now, each in enumerate((*before, message, *behind)):
        activities.add(each)
        board.add(each, now, now)
        board.look(board.rows[each.stream], now)
        filling.take(each, frame)
        merging.take(each, 1)
    activities.finish()


published = st.sampled_from([encode_label(LABEL), *map(encode_event, EVENTS)])


@given(frames=published, data=st.data(), value=anything | st.dictionaries(st.text(max_size=3), anything, max_size=2))
def test_what_a_publisher_makes_up_is_refused_or_does_no_harm_to_those_who_read_it(frames, data, value):
    content = msgpack.unpackb(frames[1])
    content[data.draw(st.sampled_from(sorted(content)) | st.text(max_size=5))] = value
    with suppress(wire.MalformedMessage):
        message = decode_published([frames[0], msgpack.packb(content)])
        tally, log = Tally(), EventLog()
        tally.add(message, 0, 0)
        tally.in_order()
        json.loads(json_line(message, 0))
        assert "\n" not in json_line(message, 0)
        Console(file=io.StringIO(), width=120).print(table_of(tally, 0, 10, 120, ""))
        read_in_its_place(message, frames[1])
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
        {"probs": None},
        {"probs": b""},
        {"probs": bytes(9)},
        {"probs": [0.75, 0.25]},
        {"class": 2},
        {"missing": None},
        {"missing": {"wrist": 1}},
        {"missing": {"wrist": 1.5}},
        {"missing": {"wrist": float("nan")}},
        {"missing": {b"wrist": 0.5}},
        {"more": 1},
    ],
)
def test_a_label_of_wrong_types_is_refused(change):
    topic, body = encode_label(LABEL)
    with pytest.raises(wire.MalformedMessage, match=r"^label$"):
        decode_published([topic, msgpack.packb(msgpack.unpackb(body) | change)])


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
        (5, {"first_window": "3"}),
        (5, {"last_window": 2}),
        (6, {"count": "many"}),
    ],
)
def test_an_event_of_wrong_types_is_refused(event, change):
    topic, body = encode_event(EVENTS[event])
    with pytest.raises(wire.MalformedMessage):
        decode_published([topic, msgpack.packb(msgpack.unpackb(body) | change)])


def test_keys_that_are_no_words_are_refused():
    topic, body = encode_event(EVENTS[0])
    with pytest.raises(wire.MalformedMessage):
        decode_published([topic, msgpack.packb(msgpack.unpackb(body) | {b"more": 1})])


def test_an_acceptance_is_told_unread():
    assert [is_acceptance(list(encode_event(event))) for event in EVENTS] == [
        event.event == "accepted" for event in EVENTS
    ]
    assert not is_acceptance(list(encode_label(LABEL)))


def test_samples_are_told_from_every_map_by_how_they_begin():
    """What takes long to read shares its time: nothing that msgpack reads as a map must pass for samples."""
    content = msgpack.unpackb(codec.encode_description(wire.Description("a", 1, 0, 50.0, (Channel("x" * 60),) * 20)))
    maps = [content, {**content, "more": 1}, {"KS": 1}, {}, dict.fromkeys(range(99), 1)]
    for pack in (msgpack.packb, msgpack.Packer(use_single_float=True, use_bin_type=False).pack):
        assert not any(codec.is_samples(pack(each)) for each in maps)
    assert type(msgpack.unpackb(b"K")) is int
    assert codec.is_samples(codec.encode_samples(1, 0, 1 << 60, np.zeros((200, 3), np.float32)))
    assert not codec.is_samples(codec.encode_end(1))


@pytest.mark.parametrize(
    "value", [[msgpack.ExtType(5, b"x")], [0] * 2000, dict.fromkeys(map(str, range(5000))), msgpack.Timestamp(1)]
)
def test_no_more_is_unpacked_than_a_message_may_hold(value):
    with pytest.raises(wire.MalformedMessage, match=r"^msgpack$"):
        codec.decode(msgpack.packb({**END, "more": value}))
