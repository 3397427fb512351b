"""Whatever a device sends, nothing is raised, memory stays bounded, and every reading is counted once."""

import random

import numpy as np
import pytest

from kinestream.streamer.wire.codec import decode, encode_samples
from kinestream.streamer.wire.messages import MAX_INT, Description, End, Event, Label, MalformedMessage
from tests.given.live import BUNDLE, recognizer

FAR = (0, 1, 7, 20_000_000, 10**9, 10**12, 10**15, 2**61, MAX_INT - 1)
RATES = (0.0, 1e-300, 0.001, 49.6, 50.0, 1e6, 1e300)


def assert_adds_up(totals, sent):
    """Every reading is one of these, and none is two."""
    parts = ("used", "late", "duplicate", "astray", "dropped", "unfinished", "closed_session", "waiting")
    assert totals.get("readings_received", 0) == sent == sum(totals.get(f"readings_{part}", 0) for part in parts)


def describe(live, rng, key, stream, session):
    columns = list(BUNDLE.channels)
    rng.shuffle(columns)
    about = Description(
        stream,
        key,
        session,
        rng.choice(RATES),
        tuple(columns[: rng.randrange(1, len(columns) + 1)]),
        rng.choice(("phone", "watch")),
        rng.choice((0, 0, 10**18, MAX_INT - 1)),
        "times",
        key,
    )
    answer = live.introduce(about)
    return len(about.channels) if answer.accepted else None


@pytest.mark.parametrize("seed", range(6))
def test_nothing_a_device_sends_raises_and_each_reading_is_counted_once(seed):
    rng = random.Random(seed)
    numbers = np.random.default_rng(seed)
    live = recognizer()
    widths: dict[int, int] = {}
    seqs: dict[int, int] = {}
    times: dict[int, int] = {}
    sent = 0
    for step in range(1500):
        if not widths or rng.random() < 0.05:
            key = step + 1
            width = describe(live, rng, key, f"stream-{rng.randrange(3)}", rng.randrange(4))
            if width is not None:
                widths[key], seqs[key], times[key] = width, rng.choice((0, 0, *FAR)), rng.choice((0, 10**18, *FAR))
            continue
        key = rng.choice(list(widths))
        if rng.random() < 0.02:
            live.take(End(key), 1)
            continue
        count = rng.choice((1, 1, 5, 40))
        steps = numbers.choice(np.array((0, 1, 10_000_000, 20_000_000, 10**9, -5, -(10**9))), count)
        if rng.random() < 0.9:
            steps = np.full(count, 20_000_000)
        if rng.random() < 0.05:
            seqs[key] += rng.choice((-3, 3, *FAR))
            times[key] += rng.choice((-(10**9), *FAR))
        seqs[key] = min(max(seqs[key], 0), MAX_INT - 100)
        moments = np.clip(times[key] + np.cumsum(steps), 0, MAX_INT - 1).astype(np.int64)
        x = numbers.choice(np.array((0.5, np.nan, np.inf, -3e38)), (count, widths[key])).astype(np.float32)
        frame = encode_samples(key, seqs[key], int(moments[-1]), x, moments)
        try:
            sent += count if key in live._registry.keys else 0  # else it waits for its description
            live.take(decode(frame), 1)
        except MalformedMessage:
            pytest.fail("it is well formed")
        seqs[key] += count
        times[key] = int(moments[-1])
        for outcome in live.infer():
            assert isinstance(outcome, Label | Event)
        if step % 100 == 0:
            assert_adds_up(live.totals(), sent)
    before = live.totals()
    live.close_all()
    live.infer()
    totals = live.totals()
    assert before["readings_waiting"] > 0
    assert "readings_waiting" not in totals
    assert_adds_up(totals, sent)
    for part in ("used", "duplicate", "astray", "unfinished", "closed_session"):
        assert totals[f"readings_{part}"] > 0
    assert live._registry._budget.bytes == 0
    parts = ("used", "late", "duplicate", "outside", "unfinished", "closed_session")
    assert totals["samples_received"] == sum(totals.get(f"samples_{part}", 0) for part in parts)


def test_a_time_that_never_goes_on_does_not_fill_memory():
    live = recognizer()
    live.introduce(Description("a", 1, 0, 50.0, BUNDLE.channels, timing="times", fingerprint=1))
    x = np.zeros((500, len(BUNDLE.channels)), np.float32)
    for seq in range(0, 400_000, 500):
        live.take(decode(encode_samples(1, seq, 10**18, x, np.full(500, 10**18))), 1)
        live.infer()
    (device,) = live._streams["a"].sets[0].devices
    assert device.held * (8 + x.itemsize * x.shape[1]) < 1 << 20
