"""Tracked messages and what acknowledges them: written, read, and refused where anything is wrong."""

import re
from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinestream.streamer.wire.codec import encode_end
from kinestream.streamer.wire.messages import MAX_BYTES, MAX_INT, MAX_KEY, MalformedMessage
from kinestream.streamer.wire.requests import decode_request
from kinestream.streamer.wire.tracked import (
    EVERYTHING,
    MAX_KEYS,
    MAX_TRACKED,
    UNKNOWN,
    Acknowledgement,
    AcknowledgeRequest,
    Tracked,
    decode_acknowledged,
    decode_tracked,
    encode_acknowledge,
    encode_acknowledged,
    encode_tracked,
    is_acknowledged,
    is_tracked,
    mark_of,
)

keys = st.integers(0, MAX_KEY - 1)
numbers = st.integers(0, MAX_INT - 1)


@given(keys, st.tuples(numbers, numbers).map(sorted), st.binary(min_size=1, max_size=100), st.none() | keys)
def test_a_tracked_message_is_read_as_it_was_written(key, order, message, earlier):
    oldest, number = order
    after = 0 if earlier is None else mark_of(earlier)
    assert bool(after) == (earlier is not None)
    frame = encode_tracked(key, number, oldest, message, after)
    assert is_tracked(frame)
    assert decode_tracked(frame) == Tracked(key, number, oldest, message, after)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (encode_tracked(1, 2, 0, b""), "tracked"),
        (encode_tracked(1, 2, 3, b"x"), "tracked"),
        (encode_tracked(1, MAX_INT, 0, b"x"), "tracked"),
        (encode_tracked(1, 2, 0, b"x").replace(b"KR\x02", b"KR\x03"), "version"),
        (encode_tracked(1, 2, 0, b"x").replace(b"KR\x02\x01", b"KR\x02\x02"), "kind"),
        (encode_tracked(1, 2, 0, bytes(MAX_TRACKED + 1)), "size"),
        (b"KR", "tracked"),
    ],
)
def test_a_wrong_one_is_refused(frame, reason):
    with pytest.raises(MalformedMessage, match=f"^{reason}$"):
        decode_tracked(frame)


def test_the_largest_fits():
    assert len(encode_tracked(1, 0, 0, bytes(MAX_TRACKED))) == MAX_BYTES


@given(st.lists(keys, max_size=MAX_KEYS))
def test_a_request_is_read_as_it_was_written(asked):
    assert decode_request(encode_acknowledge(AcknowledgeRequest(tuple(asked)))) == AcknowledgeRequest(tuple(asked))


@pytest.mark.parametrize("asked", [["x"], [-1], [1.0], [True], list(range(MAX_KEYS + 1)), 5, {"a": 1}])
def test_a_wrong_request_is_refused(asked):
    with pytest.raises(MalformedMessage):
        decode_request(msgpack.packb({"v": 2, "kind": "acknowledge", "keys": asked}))


@given(st.lists(st.builds(Acknowledgement, keys, st.integers(UNKNOWN, MAX_INT - 1), numbers, numbers, st.booleans())))
def test_an_acknowledgement_is_read_as_it_was_written(said):
    frame = encode_acknowledged(said[:MAX_KEYS])
    assert is_acknowledged(frame)
    assert decode_acknowledged(frame) == said[:MAX_KEYS]


@pytest.mark.parametrize("entry", [5, [], [1, 2, 3, 4], [1, -2, 0, 0, False], [1, 0, 0, 0, 1], ["1", 0, 0, 0, False]])
def test_a_wrong_acknowledgement_is_refused(entry):
    with pytest.raises(MalformedMessage):
        decode_acknowledged(msgpack.packb({"v": 2, "kind": "acknowledged", "keys": [entry]}))


def test_the_example_in_bytes_is_what_is_written():
    """The page about the wire shows each byte, in hexadecimal or, of words, as a letter."""
    page = (Path(__file__).parents[3] / "docs" / "wire.md").read_text(encoding="utf-8")
    example = page.partition("### An example in bytes")[2].partition("\n## ")[0]
    shown = [
        b"".join(bytes.fromhex(each) if re.fullmatch("[0-9A-F]{2}", each) else each.encode() for each in block.split())
        for block in re.findall(r"```\n(.*?)```", example, re.DOTALL)
    ]
    key = 0x0102030405060708
    assert shown == [
        encode_tracked(key, 3, 1, encode_end(key)),
        encode_acknowledge(AcknowledgeRequest((key,))),
        encode_acknowledged([Acknowledgement(key, received=4, number=3, needed=64)]),
        encode_acknowledged([Acknowledgement(key, received=4, number=4, needed=EVERYTHING)]),
    ]
