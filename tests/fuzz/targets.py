"""Everything that reads what strangers send, and one good message of each kind to begin with.

What a decoder may do with any bytes at all: return something, or raise MalformedMessage; within a bounded time. What it
returns is read the same once more from what it is written as.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from kinestream.model.recordings.recording import Channel
from kinestream.streamer.wire import codec, history, published, requests, tracked
from kinestream.streamer.wire.annotate import Annotated, AnnotateRequest
from kinestream.streamer.wire.messages import Annotation, Answer, Description, Event, Label, MalformedMessage, Remark
from kinestream.streamer.wire.signals import Signal, encode_signal
from kinestream.streamer.wire.status import StreamsStatus, StreamStatus, encode_streams
from kinestream.streamer.wire.watched import decode_watched

LONGEST_NS = 50_000_000
"""What one message may take: a description of 1,024 channels takes some milliseconds."""

_DESCRIPTION = Description("anna", 11, 5, 50.0, (Channel("ax", "m/s2"), Channel("ay", "g")), "watch", 7, "times")
_X = np.arange(6, dtype=np.float32).reshape(3, 2)
_LABEL = Label("anna", 1, 2, 3, 4, "WALK", 1, 0.5, bytes(8), {"watch": 0.1}, "b-1", 5, 6, 7, 8, 9)

Target = Callable[[bytes], Any]


def _published(frame: bytes) -> Any:
    return published.decode_published([b"label/anna/", frame])


def _watched(frame: bytes) -> Any:
    return decode_watched([b"signal/anna/", frame])


TARGETS: dict[str, tuple[Target, list[bytes]]] = {
    "sender": (
        codec.decode,
        [
            codec.encode_description(_DESCRIPTION),
            codec.encode_samples(11, 5, 100, _X),
            codec.encode_samples(11, 5, 100, _X, np.arange(3)),
            codec.encode_end(11),
            codec.encode_remark(Remark(11, "walking", 1, 2)),
        ],
    ),
    "tracked": (tracked.decode_tracked, [tracked.encode_tracked(11, 5, 3, codec.encode_end(11))]),
    "request": (
        requests.decode_request,
        [
            requests.encode_request(requests.HealthRequest()),
            requests.encode_request(requests.ReloadRequest("bundle")),
            requests.encode_request(requests.ForgetRequest("anna")),
            requests.encode_request(AnnotateRequest("anna", "walking", 1, 2)),
            tracked.encode_acknowledge(tracked.AcknowledgeRequest((1, 2, 1 << 63))),
        ],
    ),
    "answer": (
        codec.decode_answer,
        [
            codec.encode_answer(Answer(True, 11, "anna", {"bundle": "b", "window": {"length": 3}})),
            codec.encode_answer(Answer(False, 11, "anna", {"reason": "no"})),
        ],
    ),
    "reply": (
        requests.decode_reply,
        [
            requests.encode_reply(requests.Health("1", True, "ready", "b", "kernel", 1.0, 3, {"samples_used": 5})),
            requests.encode_reply(requests.Reloaded("a", "b")),
            requests.encode_reply(requests.Refused("no")),
            requests.encode_reply(requests.Forgotten("anna", {"streams": 1})),
            requests.encode_reply(Annotated("anna", 1)),
        ],
    ),
    "acknowledged": (
        tracked.decode_acknowledged,
        [tracked.encode_acknowledged([tracked.Acknowledgement(11, 5, 3, 100, True), tracked.Acknowledgement(2, -1)])],
    ),
    "history request": (
        history.decode_history_request,
        [history.encode_history_request(history.HistoryRequest(5, "anna", 1, 2, 0))],
    ),
    "history": (
        history.decode_history_answer,
        [
            history.encode_history_answer(history.HistoryAnswer(5, "anna", 9, True, False, 3, [b"label"], [])),
            history.encode_history_answer(
                history.HistoryAnswer(5, "", 9, True, False, 3, [], [history.Kept("anna", 1, 2)])
            ),
        ],
    ),
    "watched": (
        _watched,
        [
            encode_signal(
                Signal("anna", 1, "watch", 0, 0, 9, 0, 50.0, "grid", 2, bytes(8), b"", (Channel("ax"), Channel("ay")))
            )[1],
            encode_streams(
                StreamsStatus(
                    1, 1, 0, 1, (StreamStatus("anna", 1, 50.0, 50.0, 0.0, "WALK", 0.5, 1, 2, {"gap": 1}, ()),)
                )
            )[1],
        ],
    ),
    "published": (
        _published,
        [
            published.encode_label(_LABEL)[1],
            published.encode_event(Event("gap", "anna", 1, {"first_seq": 1, "last_seq": 2}))[1],
            published.encode_annotation(Annotation("anna", 1, "walking", 1, 2))[1],
        ],
    ),
}


def feed(target: Target, frame: bytes) -> bool:
    """Give a decoder a message; tell whether it was taken for a good one."""
    try:
        target(frame)
    except MalformedMessage:
        return False
    return True


def quickest(target: Target, frame: bytes) -> int:
    """Return how long a decoder takes for a message, ns: the least of five, since on a busy machine each may wait."""
    tries = []
    for _ in range(5):
        began = time.perf_counter_ns()
        feed(target, frame)
        tries.append(time.perf_counter_ns() - began)
    return min(tries)
