"""What is published to those who watch survives the wire, and what is none of it is refused."""

import itertools

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinestream.model.recordings.recording import Channel
from kinestream.streamer.wire.gathered import PIECE_BYTES, Gathered, encode_gathered, in_pieces
from kinestream.streamer.wire.messages import MAX_INT, MalformedMessage
from kinestream.streamer.wire.signals import Signal, SignalWriter, encode_signal
from kinestream.streamer.wire.status import (
    LATENCY_BOUNDS_NS,
    STAGES,
    DeviceStatus,
    Latencies,
    Status,
    StreamsStatus,
    StreamStatus,
    encode_status,
    encode_streams,
)
from kinestream.streamer.wire.watched import MAX_WATCHED, decode_watched
from tests.given.peers import nonsense

numbers = st.integers(0, MAX_INT - 1)
names = st.text(st.sampled_from("abz09_.:@+-"), min_size=1, max_size=64)


@st.composite
def signals(draw):
    width, count = draw(st.integers(1, 5)), draw(st.integers(1, 9))
    timing = draw(st.sampled_from(["grid", "times"]))
    times = np.arange(count, dtype="<i8").tobytes() if timing == "times" else b""
    channels = tuple(Channel(f"c{i}", draw(st.sampled_from(["", "m/s2"]))) for i in range(width))
    values = np.arange(count * width, dtype="<f4").tobytes()
    rate = draw(st.floats(0, 1e5))
    who = draw(names), draw(numbers), draw(names)
    return Signal(
        *who, draw(numbers), draw(numbers), draw(numbers), draw(numbers), rate, timing, width, values, times, channels
    )


@given(signals())
def test_signals_survive_the_wire(signal):
    topic, message = encode_signal(signal)
    assert topic == f"signal/{signal.stream}/".encode()
    read = decode_watched([topic, message])
    assert read == signal
    assert read.readings.shape == (read.size, signal.width)
    assert len(read.moments) in (0, read.size)


def test_channels_are_told_only_where_that_is_asked_for_and_a_signal_says_how_wide_it_is():
    writer = SignalWriter("anna", 1, "phone", 0, 50.0, "grid", [Channel("a"), Channel("b")])
    untold = decode_watched([*writer.frames(3, 7, 9, np.zeros((2, 2), "<f4").tobytes(), channels=False)])
    assert (untold.channels, untold.width, untold.size, untold.message) == (None, 2, 2, 3)


def test_the_largest_description_there_may_be_fits_into_a_signal():
    channels = [Channel(f"{i:04d}" + "x" * 40, "m/s2") for i in range(1024)]
    writer = SignalWriter("s" * 64, MAX_INT - 1, "d" * 64, MAX_INT - 1, 50.0, "times", channels)
    frames = writer.frames(0, 0, 0, bytes(4 * 1024), bytes(8), channels=True)
    assert len(frames[1]) < MAX_WATCHED
    assert len(decode_watched([*frames]).channels) == 1024


def status() -> Status:
    latency = {stage: Latencies([1] * (len(LATENCY_BOUNDS_NS) + 1), 0.5) for stage in STAGES}
    counts = {"a": 1}
    about = ("0.2", "b-1", "kernel", 50.0, 128, 25, ("walk", "sit"), "")
    return Status(5, *about, 2.5, 3, counts, counts, counts, 1.5, 1 << 20, counts, latency)


def streams() -> StreamsStatus:
    device = DeviceStatus("phone", 50.0, 49.9, 0.25, silent=True, frozen=False)
    row = StreamStatus("anna", -1, 50.0, -1.0, 0.5, "walk", 0.75, 3, 4, {"gap": 2}, (device, device))
    return StreamsStatus(5, 1, 0, 2, (row, row))


ENCODED = encode_status(status()), encode_streams(streams()), encode_gathered(Gathered(1, (b"a", b"b")))


def test_figures_survive_the_wire():
    assert decode_watched([*encode_status(status())]) == status()
    assert decode_watched([*encode_streams(streams())]) == streams()


@given(st.lists(st.binary(max_size=5000), max_size=20))
def test_what_is_gathered_survives_the_wire_in_pieces(frames):
    pieces = in_pieces(frames)
    assert [frame for piece in pieces for frame in piece] == frames
    for number, piece in enumerate(pieces):
        topic, message = encode_gathered(Gathered(number, piece))
        assert decode_watched([topic, message]) == Gathered(number, piece)
        assert len(piece) == 1 or len(message) <= PIECE_BYTES + 64
    for piece, following in itertools.pairwise(pieces):  # none is smaller than it need be
        assert sum(map(len, (*piece, following[0]))) + 5 * (len(piece) + 1) > PIECE_BYTES


@pytest.mark.parametrize(
    "change", [{"message": -1}, {"message": 1 << 62}, {"message": True}, {"frames": [b"", "a"]}, {"frames": 5}]
)
def test_what_is_not_gathered_is_refused(change):
    topic, message = encode_gathered(Gathered(1, (b"a",)))
    with pytest.raises(MalformedMessage, match=r"^published$"):
        decode_watched([topic, msgpack.packb(msgpack.unpackb(message) | change)])


def test_keys_that_are_not_known_are_passed_over():
    for topic, message in ENCODED:
        more = msgpack.packb(msgpack.unpackb(message) | {"more": [1]})
        assert decode_watched([topic, more]) == decode_watched([topic, message])


@pytest.mark.parametrize(
    "change",
    [
        {"stream": "a/b"},
        {"session": -1},
        {"first_seq": 1 << 62},
        {"rate_hz": 50},
        {"timing": "none"},
        {"width": 0},
        {"width": 3},
        {"values": b""},
        {"values": b"123"},
        {"times": b"12345678"},
        {"channels": [["a", ""]]},
        {"channels": [["a", ""], ["b"]]},
        {"channels": [["a", ""], [1, ""]]},
        {"channels": 5},
        {"message": None},
    ],
)
def test_what_is_no_signal_is_refused(change):
    writer = SignalWriter("anna", 1, "phone", 0, 50.0, "grid", [Channel("a"), Channel("b")])
    topic, message = writer.frames(0, 0, 0, bytes(16), channels=True)
    content = msgpack.unpackb(message)
    decode_watched([topic, msgpack.packb(content)])
    with pytest.raises(MalformedMessage, match=r"^signal$"):
        decode_watched([topic, msgpack.packb(content | change)])


@pytest.mark.parametrize("encoded", ENCODED)
def test_what_makes_no_sense_is_refused_and_nothing_else_is_raised(encoded):
    topic, message = encoded
    for each in nonsense(message):
        try:
            decode_watched([topic, each])
        except MalformedMessage:
            pass
