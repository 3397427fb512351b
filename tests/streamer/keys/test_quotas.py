"""Who may ask for so much gets so much: the rest is dropped or refused, told, and delays nobody else."""

import time
from pathlib import Path

import numpy as np
import pytest
import zmq

from kinestream import Event, LabelSubscriber, SampleSender
from kinestream.streamer.keys.allowed import Quota
from kinestream.streamer.keys.bucket import Bucket
from kinestream.streamer.keys.folder import KeyFolder
from kinestream.streamer.server.quotas import Quotas
from kinestream.streamer.wire import codec
from tests.given.hostile import until
from tests.given.keyholders import kept_in, keys_of, peer
from tests.given.keys import described, key_of
from tests.given.live import BUNDLE, recognizer, signal
from tests.given.streamers import running_streamer

RATE = 50.0
SECOND = 1_000_000_000


@pytest.fixture
def kept(tmp_path: Path) -> KeyFolder:
    kept = kept_in(tmp_path / "keys")
    kept.new_client("greedy")
    return kept


def test_a_bucket_fills_at_its_rate_and_no_further():
    bucket = Bucket(10.0)
    bucket.fill(0)
    for _ in range(10):
        assert bucket.holds(1)
        bucket.take(1)
    assert not bucket.holds(1)
    bucket.fill(SECOND // 2)
    assert [bucket.holds(much) for much in (5, 5.1)] == [True, False]
    bucket.fill(100 * SECOND)
    assert [bucket.holds(much) for much in (10, 10.1)] == [True, False]


@pytest.mark.parametrize(
    ("quota", "sizes", "taken"),
    [
        ({}, [100] * 1000, 1000),
        ({"messages_per_s": 10}, [100] * 50, 10),
        ({"bytes_per_s": 200_000}, [50_000] * 50, 4),
        ({"bytes_per_s": 1}, [65_536, 1], 1),  # the largest message comes through, however little there may be of it
        ({"messages_per_s": 3, "bytes_per_s": 1e9}, [10] * 5, 3),
    ],
)
def test_the_first_of_what_comes_is_taken(quota, sizes, taken):
    quotas = Quotas(recognizer(), {})
    limits = Quota(**quota)
    assert quotas.messages("k", limits, sizes, 0) == taken
    assert quotas.messages("other", limits, sizes, 0) == taken


def test_history_is_asked_for_so_often():
    quotas = Quotas(recognizer(), {})
    asked = [quotas.history("k", Quota(history_per_min=3)) for _ in range(5)]
    assert asked == [True, True, True, False, False]
    assert all(quotas.history("free", Quota()) for _ in range(100))


def test_streams_too_many_are_refused_until_others_are_forgotten(kept):
    kept.allow("greedy", {"send": ("*",), "quota": {"streams": 2}})
    live = recognizer()
    with running_streamer(live, keys=kept.path) as streamer:
        with peer(zmq.DEALER, streamer.control, keys_of(kept, "greedy")) as dealer:

            def asked(name: str) -> codec.Answer:
                dealer.socket.send(codec.encode_description(described(name, BUNDLE.channels, RATE)))
                assert dealer.socket.poll(20_000)
                return codec.decode_answer(dealer.socket.recv())

            answers = [asked(name) for name in ("a", "b", "c", "a", "b")]
            assert [each.accepted for each in answers] == [True, True, False, True, True]
            assert "greedy may have 2 streams at a time" in answers[2].details["reason"]
            assert streamer.totals()["descriptions_over_quota"] == 1
            assert not live.knows("c")
        with SampleSender(
            "free",
            BUNDLE.channels,
            RATE,
            endpoint=streamer.ingest,
            control=streamer.control,
            keys=kept.path / "gateway.secret",
        ) as other:
            assert other.wait_accepted()["bundle"]


def test_messages_too_many_are_dropped_and_told_and_others_do_not_wait(kept):
    kept.allow("greedy", {"send": ("greedy",), "quota": {"messages_per_s": 50}})
    with (
        running_streamer(BUNDLE, keys=kept.path) as streamer,
        LabelSubscriber(streamer.labels, events=True, keys=kept.path / "reader.secret") as labels,
        peer(zmq.PUSH, streamer.ingest, keys_of(kept, "greedy")) as push,
        SampleSender(
            "anna",
            BUNDLE.channels,
            RATE,
            endpoint=streamer.ingest,
            control=streamer.control,
            keys=kept.path / "phone.secret",
        ) as sender,
    ):
        until(lambda: sender.wait_accepted()["subscribers"])
        push.socket.send(codec.encode_description(described("greedy", BUNDLE.channels, RATE)))
        x = signal(1)
        began = time.monotonic()
        for seq in range(5_000):
            push.socket.send(codec.encode_samples(key_of("greedy"), seq, time.time_ns(), x))
            if seq % 100 == 0:
                sender.send(signal(4), seq=sender.seq)
        until(lambda: streamer.totals()["messages_received"] >= 5_000)
        took = time.monotonic() - began
        heard = []
        until(
            lambda: (
                heard.append(labels.receive(1))
                or any(isinstance(each, Event) and each.event == "quota" for each in heard)
            )
        )
        until(lambda: heard.append(labels.receive(1)) or len(of_anna(heard)) == 49)
        dropped = streamer.totals()["messages_over_quota"]
    assert of_anna(heard) == list(range(49))  # 200 samples
    assert 5_000 - 50 * (took + 2) - 50 <= dropped <= 5_000 - 50
    told = [each for each in heard if isinstance(each, Event) and each.event == "quota"]
    assert {each.stream for each in told} == {"greedy"}
    assert "greedy may send 50 messages a second: what is more is dropped" in told[0].details["reason"]


def test_what_is_asked_for_counts_too(kept):
    kept.allow("greedy", {"send": ("greedy",), "quota": {"messages_per_s": 20}})
    with (
        running_streamer(BUNDLE, keys=kept.path) as streamer,
        peer(zmq.DEALER, streamer.control, keys_of(kept, "greedy")) as dealer,
    ):
        about = codec.encode_description(described("greedy", BUNDLE.channels, RATE))
        for _ in range(400):
            dealer.socket.send(about)
        until(lambda: streamer.totals()["requests_received"] >= 400)
        assert 200 < streamer.totals()["requests_over_quota"] <= 380


def of_anna(heard: list[object]) -> list[int]:
    return [each.window for each in heard if getattr(each, "stream", "") == "anna" and hasattr(each, "window")]


def test_bytes_too_many_are_dropped(kept):
    kept.allow("greedy", {"send": ("greedy",), "quota": {"bytes_per_s": 100_000}})
    with (
        running_streamer(BUNDLE, keys=kept.path) as streamer,
        SampleSender(
            "greedy", BUNDLE.channels, RATE, endpoint=streamer.ingest, keys=kept.path / "greedy.secret"
        ) as sender,
    ):
        for _ in range(40):
            sender.send(np.zeros((4_000, 3)), seq=sender.seq)  # 48 kB each
        until(lambda: streamer.totals()["messages_received"] >= 41)
        assert 30 < streamer.totals()["messages_over_quota"] < 40
