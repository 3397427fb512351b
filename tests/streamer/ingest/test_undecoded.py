"""A message of samples taken by its bytes leaves exactly what unpacking it would have left."""

import time

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinestream.model.engine.load import load_engine
from kinestream.streamer.ingest.undecoded import form_of, head_of
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.wire.codec import decode, encode_description, encode_end, encode_samples, is_description
from kinestream.streamer.wire.messages import MAX_INT, MalformedMessage, StreamDescription
from tests.given.bundles import random_bundle

BUNDLE = random_bundle(channels=3, classes=4, length=8, stride=4)
ENGINE = load_engine(BUNDLE, "cpu")
ROW_BYTES = 12
SESSION = time.time_ns()
MOST = 12
NAMES = ("a", "wearer-00001", "n" * 31, "n" * 32, "n" * 64)


def samples(stream="a", session=SESSION, seq=0, t=1 << 60, n=1, channels=3):
    rows = np.full((n, channels), seq, dtype=np.float32)
    return encode_samples(stream, session, seq, t, rows)


def read(frame, form):
    """Read a message by itself and among others of its length; both must say the same."""
    try:
        layout = form.layouts[len(frame)]
    except KeyError:
        return None
    alone, among = layout.read(frame), layout.read_all([frame, bytes(len(frame)), frame])
    seq = among.seq.tolist()
    assert seq[1] == -1
    assert seq[0] == seq[2]
    if alone is None:
        assert seq[0] < 0
        return None
    assert (seq[0], among.t[0], among.rows[0].tobytes()) == alone
    return alone


@pytest.mark.parametrize("stream", NAMES)
@pytest.mark.parametrize("seq", [0, 1, 127, 128, 255, 256, 65535, 65536, (1 << 32) - 1, 1 << 32, MAX_INT - 1])
def test_the_number_is_read_however_long_it_is_from_128_on(stream, seq):
    form = form_of(stream, SESSION, ROW_BYTES, MOST)
    assert (form is None) == (len(stream) > 31)
    if form is not None:
        frame = samples(stream, seq=seq)
        assert head_of(frame) == form.head
        message = decode(frame)
        assert read(frame, form) == ((seq, message.t, message.x) if seq >= 128 else None)


@pytest.mark.parametrize("session", [0, 5, (1 << 32) - 1])
def test_a_session_whose_number_is_written_short_is_unpacked(session):
    assert form_of("a", session, ROW_BYTES, MOST) is None


@pytest.mark.parametrize("n", [1, 2, 5, MOST])
@pytest.mark.parametrize("width", [1, 2, 5, 10, 63, 64, 113, 1024])
def test_rows_of_any_width_and_number(width, n):
    form = form_of("a", SESSION, 4 * width, MOST)
    frame = samples(channels=width, seq=300, n=n)
    assert head_of(frame) == form.head
    assert read(frame, form) == (300, 1 << 60, decode(frame).x)
    assert form.layouts[len(frame)].samples == n


def test_what_the_wire_refuses_is_not_taken():
    form = form_of("a", SESSION, 4400, 300)
    assert read(samples(seq=300, n=14, channels=1100), form) is not None
    assert read(samples(seq=300, n=15, channels=1100), form) is None  # more than a message may hold
    form = form_of("a", SESSION, ROW_BYTES, MOST)
    frame = samples(seq=MAX_INT - 1)
    assert read(frame, form) is not None
    assert read(frame.replace((MAX_INT - 1).to_bytes(8, "big"), MAX_INT.to_bytes(8, "big")), form) is None


def test_more_samples_than_fit_are_unpacked():
    form = form_of("a", SESSION, ROW_BYTES, MOST)
    assert read(samples(seq=300, n=MOST + 1), form) is None


def test_where_a_length_fits_two_layouts_no_message_is_misread():
    """A number of four bytes more and a sample of four bytes less are as long."""
    shorter, longer = samples(seq=1 << 20, n=3, channels=1), samples(seq=1 << 40, n=2, channels=1)
    assert len(shorter) == len(longer)
    form = form_of("a", SESSION, 4, MOST)
    assert read(shorter, form) == (1 << 20, 1 << 60, decode(shorter).x)
    assert read(longer, form) is None


def test_numbers_written_in_full_are_read_too():
    frame = samples(seq=MAX_INT - 1).replace((MAX_INT - 1).to_bytes(8, "big"), (7).to_bytes(8, "big"))
    assert decode(frame).seq == 7
    assert read(frame, form_of("a", SESSION, ROW_BYTES, MOST))[0] == 7


def test_the_quick_way_is_taken():
    live, decoded = Recognizer(BUNDLE, ENGINE), []
    live.take(decode(encode_description(StreamDescription("a", 50.0, BUNDLE.channels))), 1)

    def otherwise(frame):
        decoded.append(frame)
        live.take(decode(frame), 1)

    for seq in range(200, 220):
        live.take_frames([samples(seq=seq)], 1, otherwise)
    assert len(decoded) == 1  # the first
    for seq in range(220, 236, 4):
        live.take_frames([samples(seq=seq, n=4)], 1, otherwise)
    assert len(decoded) == 1
    live.take_frames([samples(seq=236, n=5)], 1, otherwise)
    assert len(decoded) == 2  # a window ends within it
    live.take(decode(encode_end("a", SESSION)), 1)
    decoded.clear()
    live.take_frames([samples(seq=241)], 1, otherwise)
    assert len(decoded) == 1


frames = st.one_of(
    st.builds(
        samples,
        stream=st.sampled_from(["a", "b", "stranger"]),
        session=st.sampled_from([SESSION, SESSION + 1, 3]),
        seq=st.integers(120, 150),
        t=st.sampled_from([0, 1 << 60, MAX_INT - 1]),
        n=st.sampled_from([1, 1, 1, 2]),
        channels=st.sampled_from([3, 3, 3, 4]),
    ),
    st.builds(encode_end, st.sampled_from(["a", "b"]), st.just(SESSION)),
    st.builds(lambda wide: describe("a", wide), st.booleans()),
)
runs = st.builds(
    lambda stream, first, n, chunk: [samples(stream, seq=seq, n=chunk) for seq in range(first, first + n, chunk)],
    st.sampled_from(["a", "b"]),
    st.integers(120, 130),
    st.integers(0, 30),
    st.integers(1, 5),
)


def describe(stream, wide=False):
    channels = BUNDLE.channels
    if wide:
        channels = (channels[0]._replace(name="more") if hasattr(channels[0], "_replace") else channels[0], *channels)
    return encode_description(StreamDescription(stream, 50.0, channels))


@st.composite
def damaged(draw):
    """Return a message with one byte changed, added or gone."""
    frame = bytearray(samples(seq=draw(st.integers(0, 300)), t=draw(st.sampled_from([1 << 60, MAX_INT - 1]))))
    place = draw(st.integers(0, len(frame) - 1))
    how = draw(st.sampled_from(["changed", "added", "gone"]))
    if how == "changed":
        frame[place] = draw(st.integers(0, 255))
    elif how == "added":
        frame.insert(place, draw(st.integers(0, 255)))
    else:
        del frame[place]
    return bytes(frame)


def give(live, frames, quick):
    """Give messages to a recognizer; return what was wrong with those that could not be used."""
    wrong = []

    def otherwise(frame):
        if is_description(frame) and live.introduce_again(hash(frame), lambda name: 0):
            return
        try:
            live.take(decode(frame), 1)
        except MalformedMessage as reason:
            wrong.append(str(reason))

    if quick:
        live.take_frames(frames, 1, otherwise)
    else:
        for frame in frames:
            otherwise(frame)
    return sorted(wrong)


def by_stream(outcomes):
    """Return what came of each stream in its order; a description that is known may be answered a little earlier."""
    found = {}
    for outcome in outcomes:
        answers = getattr(outcome, "event", None) == "accepted"
        kept = found.setdefault((outcome.stream, answers), [])
        kept.append(outcome[:7] if hasattr(outcome, "window") else outcome)
    return found


@given(
    st.lists(st.one_of(frames.map(lambda frame: [frame]), runs, damaged().map(lambda frame: [frame])), max_size=12),
    st.lists(st.integers(1, 40), min_size=1),
)
@settings(deadline=None, max_examples=300)
def test_it_makes_no_difference(parts, sizes):
    quick, slow = Recognizer(BUNDLE, ENGINE), Recognizer(BUNDLE, ENGINE)
    check_same(quick, slow, [describe("a"), describe("b"), *(frame for part in parts for frame in part)], sizes)


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 29), st.sampled_from([0] * 12 + [1, -1, 2])), max_size=60), max_size=12),
    st.dictionaries(st.integers(0, 300), st.one_of(frames, damaged(), st.sampled_from(["end", "wide", "again"]))),
    st.lists(st.integers(1, 200), min_size=1),
    st.lists(st.sampled_from([1, 1, 2, 3, 4, 9]), min_size=1, max_size=6),
)
@settings(deadline=None, max_examples=200)
def test_it_makes_no_difference_with_many_streams(rounds, between, sizes, chunks):
    """Streams mostly send the samples that come next; other messages come between."""
    names = [f"w{i}" for i in range(30)]  # of two lengths
    following, sent = dict.fromkeys(names, 200), [describe(name) for name in names]
    for turn in [[(i, 0) for i in range(30)]] * 3 + rounds:
        for i, off in turn:
            name = names[i]
            other = between.get(len(sent))
            if isinstance(other, bytes):
                sent.append(other)
            elif other is not None:
                make = {"end": lambda n: encode_end(n, SESSION), "wide": lambda n: describe(n, True), "again": describe}
                sent.append(make[other](name))
            n = chunks[i % len(chunks)]
            sent.append(samples(name, seq=following[name] + off, n=n))
            following[name] += n
    check_same(Recognizer(BUNDLE, ENGINE), Recognizer(BUNDLE, ENGINE), sent, sizes)


def check_same(quick, slow, sent, sizes):
    first, k = 0, 0
    while first < len(sent):
        part = sent[first : first + sizes[k % len(sizes)]]
        assert give(quick, part, quick=True) == give(slow, part, quick=False), part
        first, k = first + len(part), k + 1
    assert by_stream(quick.infer()) == by_stream(slow.infer())
    assert quick.totals() == slow.totals()


@given(st.integers(0, 300), st.data())
@settings(deadline=None, max_examples=300)
def test_a_damaged_message_is_never_taken_for_more_than_it_is(seq, data):
    frame = data.draw(damaged())
    form = form_of("a", SESSION, ROW_BYTES, MOST)
    found = read(frame, form) if head_of(frame) == form.head else None
    if found is not None:
        message = decode(frame)
        assert (message.stream, message.session) == ("a", SESSION)
        assert (message.seq, message.t, message.x) == found


def test_the_map_may_be_written_in_any_order():
    live = Recognizer(BUNDLE, ENGINE)
    live.take(decode(describe("a")), 1)
    for seq in range(8):
        content = msgpack.unpackb(samples(seq=seq))
        turned = msgpack.packb(dict(reversed(content.items())))
        live.take_frames([turned], 1, lambda frame: live.take(decode(frame), 1))
    assert [label.window for label in live.infer() if hasattr(label, "window")] == [0]
