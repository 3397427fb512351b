"""Somebody who is not a stream's sender says what its wearer does, by the stream's name."""

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator

import msgpack
import numpy as np
import pytest

from kinestream import Annotation, LabelSubscriber, SampleSender
from kinestream.model.errors import BundleError, KinestreamError
from kinestream.streamer.client.keeper import annotate, forget, reload
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.streams import stream as streams
from kinestream.streamer.wire.annotate import AnnotateRequest
from kinestream.streamer.wire.messages import MalformedMessage
from kinestream.streamer.wire.requests import decode_request, encode_request
from tests.given.bundles import random_bundle
from tests.given.hostile import PATIENCE_S, until
from tests.given.streamers import running_streamer, unserved_addresses

BUNDLE = random_bundle(channels=3, classes=4, length=8, stride=4)
RUN = [sys.executable, "-P", "-m", "kinestream", "annotate"]
REQUEST = {"v": 2, "kind": "annotate", "stream": "anna", "activity": "walk", "begin": 3, "end": 4}


@pytest.fixture
def streamer() -> Iterator[Streamer]:
    with running_streamer(BUNDLE) as streamer:
        yield streamer


@pytest.fixture
def sender(streamer) -> Iterator[SampleSender]:
    with SampleSender("anna", BUNDLE.channels, 50, endpoint=streamer.ingest, control=streamer.control) as sender:
        sender.wait_accepted()
        sender.send(np.zeros((8, 3)))
        until(lambda: streamer.recognizer.known["anna"].session is not None)
        yield sender


@pytest.fixture
def heard(streamer) -> Iterator[LabelSubscriber]:
    with LabelSubscriber(streamer.labels, annotations=True) as subscriber:
        until(lambda: streamer.ports.subscriptions.matching(b"annotation/anna/") == 1)
        yield subscriber


def next_annotation(subscriber: LabelSubscriber) -> Annotation:
    while not isinstance(message := subscriber.receive(PATIENCE_S), Annotation):
        assert message is not None
    return message


def test_what_is_said_is_published_of_the_open_session(streamer, heard, sender):
    done = annotate("anna", "walking backwards", 5, 7, streamer.control)
    assert done.session == streamer.recognizer.known["anna"].session.number
    assert next_annotation(heard) == Annotation("anna", done.session, "walking backwards", 5, 7)


def test_a_stream_that_is_not_there_is_told(streamer):
    with pytest.raises(KinestreamError, match="no stream called ben is known here"):
        annotate("ben", "walk", 5, 7, streamer.control)


def test_too_much_is_refused_and_counted(streamer, sender, monkeypatch):
    monkeypatch.setattr(streams, "_ANNOTATIONS_AT_ONCE", 2)
    with pytest.raises(KinestreamError, match="send fewer"):  # noqa: PT012
        for _ in range(30):
            annotate("anna", "walk", 5, 7, streamer.control)
    assert streamer.totals()["messages_too_many_annotations"] == 1


def test_requests_survive_the_wire():
    request = AnnotateRequest("anna", "walk", 3, 4)
    assert decode_request(encode_request(request)) == request
    assert decode_request(msgpack.packb(REQUEST)) == request


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"more": 1}, "keys"),
        ({"stream": "a/b"}, "stream"),
        ({"stream": 5}, "stream"),
        ({"activity": ""}, "annotation"),
        ({"activity": b"walk"}, "annotation"),
        ({"begin": 5}, "annotation"),
        ({"begin": -1}, "annotation"),
        ({"end": 4.0}, "annotation"),
        ({"end": 1 << 62}, "annotation"),
    ],
)
def test_what_is_no_such_request_is_refused(change, reason):
    with pytest.raises(MalformedMessage, match=f"^{reason}$"):
        decode_request(msgpack.packb(REQUEST | change))


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RUN, *words], capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def test_the_command_says_it_once(streamer, heard, sender):
    before = time.time_ns()
    done = run("anna", "walking", "--since", "10s", "--until", "4s", "--control", streamer.control, "--json")
    after = time.time_ns()
    said = json.loads(done.stdout)
    annotation = next_annotation(heard)
    assert (annotation.activity, annotation.session) == ("walking", said["session"])
    assert annotation.end - annotation.begin == 6_000_000_000
    assert before <= annotation.end + 4_000_000_000 <= after


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("anna", "walking"), "say since when"),
        (("anna", "--since", "10s"), "need an ACTIVITY"),
        (("anna", "walking", "--since", "soon"), "is no time"),
        (("anna", "walking", "--since", "2s", "--until", "1m"), "ends before it begins"),
        (("anna",), "no terminal"),
    ],
)
def test_what_makes_no_sense_is_told_in_a_line(words, why):
    done = run(*words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert why in done.stderr


def test_keys_in_a_terminal_begin_and_end_activities(streamer, heard, sender):
    master, slave = pty.openpty()
    addresses = ["--control", streamer.control, "--watch", streamer.watch]
    process = subprocess.Popen(
        [*RUN, "anna", *addresses, "--json"], stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    os.close(slave)
    try:
        lines = [process.stderr.readline().strip() for _ in range(5)]
        assert lines[:4] == [f"{i + 1}  {name}" for i, name in enumerate(BUNDLE.description.classes)]
        os.write(master, b"1")
        first = next_annotation(heard)
        assert first.activity == "class0"
        os.write(master, b"3")
        ended, second = next_annotation(heard), next_annotation(heard)
        while second.activity == "class0":  # every two seconds it is said that it goes on
            ended, second = second, next_annotation(heard)
        assert (ended.activity, ended.begin) == ("class0", first.begin)
        assert (second.activity, second.begin) == ("class2", ended.end)
        os.write(master, b"xq")
        last = next_annotation(heard)
        assert (last.activity, last.begin) == ("class2", second.begin)
        out, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        os.close(master)
    assert process.returncode == 0
    assert [each["activity"] for each in json.loads(out)["annotations"]] == ["class0", "class2"]


@pytest.mark.parametrize(
    ("stream", "activity", "begin", "end"),
    [
        ("anna", "w\x07alk", 3, 4),
        ("anna", "w\udc80lk", 3, 4),
        ("anna", "w" * 256, 3, 4),
        ("anna", "", 3, 4),
        ("an na", "walk", 3, 4),
        ("anna", "walk", 4, 3),
        ("anna", "walk", 3, 1 << 70),
    ],
)
def test_what_no_streamer_can_read_is_not_asked_for(stream, activity, begin, end):
    """Nobody is there who could be asked: else it would say so."""
    with unserved_addresses(1) as (control,), pytest.raises(KinestreamError, match="no streamer takes"):
        annotate(stream, activity, begin, end, control)


def test_nor_is_a_bundle_whose_path_is_too_long_nor_a_stream_that_there_cannot_be():
    with unserved_addresses(1) as (control,):
        for path in ("x" * 5000, "\u00e4" * 4000, "x\0y", "\udc80"):
            with pytest.raises(BundleError, match="no path can be as long, or called so"):
                reload(path, control)
        with pytest.raises(KinestreamError, match="no stream can be called 'a b'"):
            forget("a b", control)


def test_the_command_says_so_in_a_line():
    with unserved_addresses(1) as (control,):
        done = subprocess.run(
            [*RUN, "anna", "w\x07alk", "--since", "10s", "--control", control],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("kinestream: no streamer takes 'w\\x07alk' of 'anna': an activity is called by 1 ")
    assert len(done.stderr.splitlines()) == 1
