"""A label is a pure function of its window: the invariants of the design, without a socket."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinestream.model.clock import monotonic_ns
from kinestream.model.engine.engine import BATCH
from kinestream.model.engine.load import load_engine
from kinestream.model.windows.grid import cut
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.wire.messages import End, Event, Label
from tests.given.bundles import random_bundle, reference_knobs
from tests.given.keys import key_of
from tests.given.live import BUNDLE, ENGINE, TOLERANCE, about, assert_same, feed, forget, recognizer, samples, signal


@given(seed=st.integers(0, 1000), missing=st.sampled_from([0.0, 0.1, 0.9]))
@settings(deadline=None)
def test_parity_with_the_engine_on_windows_cut_offline(seed, missing):
    x = signal(60, seed, missing)
    labels = recognizer().push("a", x)
    starts = np.arange(14) * 4
    expected = ENGINE.probabilities(cut(x, starts, 8))
    labelled = [label.window for label in labels]
    np.testing.assert_array_equal([label.class_index for label in labels], expected[labelled].argmax(axis=1))
    np.testing.assert_allclose([label.p for label in labels], expected[labelled].max(axis=1), atol=TOLERANCE)
    assert missing == 0.9 or labelled == list(range(14))


@pytest.mark.parametrize("knobs", [reference_knobs(), {}])
def test_batch_invariance(knobs):
    engine = load_engine(random_bundle(channels=5, length=24, **knobs), "cpu")
    windows = np.random.default_rng(0).normal(size=(256, 24, 5)).astype(np.float32)
    alone = np.concatenate([engine.probabilities(window[None]) for window in windows])
    np.testing.assert_allclose(engine.probabilities(windows), alone, atol=TOLERANCE)


@given(cuts=st.lists(st.integers(1, 30), min_size=1), seed=st.integers(0, 50))
@settings(deadline=None)
def test_chunk_invariance(cuts, seed):
    x, whole, pieces = signal(100, seed), recognizer(), recognizer()
    labels, seq = [], 0
    while seq < len(x):
        size = cuts[len(labels) % len(cuts)]
        labels += pieces.push("a", x[seq : seq + size])
        seq += size
    assert_same(labels, whole.push("a", x))


@given(restarted=st.integers(0, 99))
@settings(deadline=None)
def test_restart_invariance(restarted):
    x = signal(100)
    before = recognizer().push("a", x)
    after = recognizer().push("a", x[restarted:], seq=restarted)
    assert_same(after, [label for label in before if label.first_seq >= restarted])
    assert len(after) >= (100 - restarted - 8) // 4


@given(lost=st.sets(st.integers(1, 98), max_size=60))
@settings(deadline=None)
def test_gap_safety(lost):
    x, live = signal(100), recognizer()
    outcomes = []
    feed(live, about("a"))
    for seq in sorted(set(range(100)) - lost):
        feed(live, samples("a", 1, seq, x[seq : seq + 1]))
        outcomes += live.infer()
    labels = [out for out in outcomes if isinstance(out, Label)]
    with_gaps = x.copy()
    with_gaps[sorted(lost)] = np.nan
    windows = cut(with_gaps, np.arange(24) * 4, 8)
    missing = np.isnan(windows).all(axis=2).mean(axis=1)
    assert [label.window for label in labels] == np.flatnonzero(missing <= 0.25).tolist()
    skipped = [out.details for out in outcomes if isinstance(out, Event) and out.event == "skipped"]
    named = {k for s in skipped for k in range(s["first_window"], s["last_window"] + 1)}
    assert named == set(np.flatnonzero(missing > 0.25).tolist())
    expected = ENGINE.probabilities(windows)[[label.window for label in labels]]
    np.testing.assert_allclose([label.p for label in labels], expected.max(axis=1), atol=TOLERANCE)
    assert [label.missing["sensor"] for label in labels] == missing[missing <= 0.25].tolist()
    told = {i for out in outcomes if isinstance(out, Event) and out.event == "gap" for i in _span(out.details)}
    assert told == lost


def _span(details: dict[str, int]) -> range:
    return range(details["first_seq"], details["last_seq"] + 1)


def test_no_window_spans_a_session_change():
    live = recognizer()
    first = live.push("a", signal(10), session=1)
    second = live.push("a", signal(10, seed=1), session=2)
    assert [(label.session, label.window) for label in first + second] == [(1, 0), (2, 0)]
    assert_same(second, recognizer().push("a", signal(10, seed=1), session=2))


def test_a_closed_session_does_not_come_back():
    live = recognizer()
    live.push("a", signal(4), session=1)
    live.push("a", signal(4), session=2)
    assert live.push("a", signal(8), session=1, seq=4) == []
    totals = live.totals()
    assert totals["samples_closed_session"] == 8
    assert live.push("a", signal(4), session=2, seq=4)[0].window == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 20)), min_size=1, max_size=20))
@settings(deadline=None)
def test_order_and_independence_of_streams(pushes):
    together, alone = recognizer(), {name: recognizer() for name in "abc"}
    seqs = dict.fromkeys("abc", 0)
    for name in "abc":
        feed(together, about(name))
    expected = {name: [] for name in "abc"}
    for name, n in pushes:
        x = signal(n, seed=seqs[name])
        feed(together, samples(name, 1, seqs[name], x))
        expected[name] += alone[name].push(name, x, session=1)
        seqs[name] += n
    labels = [out for out in together.infer() if isinstance(out, Label)]
    for name in "abc":
        assert_same([label for label in labels if label.stream == name], expected[name])
    totals = together.totals()
    assert totals["samples_received"] == sum(n for _, n in pushes) == totals["samples_used"] + totals["samples_held"]


def test_its_help_says_of_every_method_whom_it_is_for():
    for_own_code, _, for_the_streamer = Recognizer.__doc__.partition("All other methods")
    methods = {name for name in vars(Recognizer) if not name.startswith("_")}
    named = {name for name in methods if f"`{name}`" in Recognizer.__doc__}
    assert named == methods
    assert "`push`" in for_own_code
    assert "`take_frames`" in for_the_streamer


def test_the_end_comes_after_the_last_label_and_adds_up():
    live = recognizer()
    feed(live, about("a", 5))
    feed(live, samples("a", 5, 0, signal(30)))
    feed(live, End(key_of("a", 5)))
    _, *labels, end = live.infer()
    assert [label.window for label in labels] == list(range(6))
    assert (end.event, end.session) == ("end", 5)
    assert end.details["windows"] == {"labelled": 6, "skipped": 0}
    assert (end.details["samples_used"], end.details["samples_unfinished"]) == (28, 2)


def test_a_silent_stream_is_forgotten():
    live = recognizer(forget_after=1.0)
    feed(live, about("a"))
    feed(live, samples("a", 1, 0, signal(4)))
    live.forget_silent(500_000_000)
    assert live.streams == 1
    live.forget_silent(2_000_000_000)
    assert live.streams == 0
    end = live.infer()[-1]
    assert (end.event, end.details["reason"], end.details["samples_unfinished"]) == ("end", "idle", 4)


def test_the_source_time_of_a_window_is_that_of_its_last_sample():
    live = recognizer()
    labels = live.push("a", signal(14), t=1_000_000_000)
    assert [label.t_source for label in labels] == [1_000_000_000 - 6 * 20_000_000, 1_000_000_000 - 2 * 20_000_000]


def test_the_next_window_is_expected_a_stride_after_the_last_one():
    bundle = random_bundle(channels=3, length=8, stride=4, rate_hz=50.0)
    recognizer = Recognizer(bundle, load_engine(bundle, "cpu"))
    assert recognizer.next_due(after=0) is None
    before = monotonic_ns()
    recognizer.push("anna", np.zeros((8, 3)))
    after = monotonic_ns()
    assert before + 80_000_000 <= recognizer.next_due(after=0) <= after + 80_000_000
    assert recognizer.next_due(after=after + 80_000_000) is None


def test_a_label_tells_every_probability_and_what_was_missing():
    x = signal(8)
    x[3] = np.nan
    (label,) = recognizer().push("a", x)
    expected = ENGINE.probabilities(x[None])[0]
    np.testing.assert_allclose(label.probabilities, expected, atol=TOLERANCE)
    assert label.p == label.probabilities[label.class_index] == label.probabilities.max()
    assert label.missing == {"sensor": 0.125}


def test_too_much_from_senders_that_do_not_wait_is_skipped_oldest_first():
    live = recognizer()
    x = signal(4 * BATCH * 2)
    for name, lossy in (("waits", False), ("publishes", True)):
        feed(live, about(name))
        feed(live, samples(name, 1, 0, x), lossy=lossy)
    outcomes = [out for out in live.infer() if not (isinstance(out, Event) and out.event == "accepted")]
    windows = {
        name: [out.window for out in outcomes if isinstance(out, Label) and out.stream == name]
        for name in ("waits", "publishes")
    }
    due = (len(x) - 8) // 4 + 1
    assert windows["waits"] == list(range(due))
    assert windows["publishes"] == list(range(due - BATCH, due))
    skipped = [out.details for out in outcomes if isinstance(out, Event)]
    assert [(each["first_window"], each["reason"]) for each in skipped] == [(k, "overload") for k in range(due - BATCH)]
    assert live.totals()["windows_skipped_overload"] == due - BATCH
    assert live.totals()["windows_labelled"] == due + BATCH


@given(
    pushes=st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.integers(0, 30), st.integers(1, 20)), max_size=40
    ),
    interludes=st.dictionaries(st.integers(0, 39), st.sampled_from(["end", "refuse", "describe", "forget"])),
)
@settings(deadline=None)
def test_every_sample_of_every_stream_is_accounted_for_and_no_window_spans_sessions(pushes, interludes):
    live = recognizer(forget_after=1.0)
    x = signal(64)
    outcomes: list[Label | Event] = []
    for i, (name, session, seq, n) in enumerate(pushes):
        match interludes.get(i):
            case "end":
                feed(live, End(key_of(name, session)), i)
            case "refuse":
                feed(live, about(name, session, BUNDLE.channels[:1]), i)
            case "describe":
                feed(live, about(name, session), i)
            case "forget":
                forget(live)
        feed(live, samples(name, session, seq, x[seq : seq + n]), i)
        outcomes += live.infer()
        _assert_accounted(live.totals())
    live.close_all()
    outcomes += live.infer()
    totals = live.totals()
    _assert_accounted(totals)
    assert totals.get("samples_held", 0) == 0
    labels = [out for out in outcomes if isinstance(out, Label)]
    assert totals.get("windows_labelled", 0) == len(labels)
    for label in labels:  # all of its samples are of one session, since all carry what the sequence number says
        window = x[label.first_seq : label.last_seq + 1]
        assert label.last_seq - label.first_seq == 7
        if not _has_gap(label, outcomes):
            np.testing.assert_allclose(label.p, ENGINE.probabilities(window[None]).max(), atol=TOLERANCE)


def _assert_accounted(totals: dict[str, int]) -> None:
    parts = ("used", "late", "duplicate", "outside", "unfinished", "held", "closed_session")
    assert totals.get("samples_received", 0) == sum(totals.get(f"samples_{part}", 0) for part in parts)


def _has_gap(label: Label, outcomes: list[Label | Event]) -> bool:
    return any(
        isinstance(out, Event)
        and (out.event, out.stream, out.session) == ("gap", label.stream, label.session)
        and out.details["first_seq"] <= label.last_seq
        and out.details["last_seq"] >= label.first_seq
        for out in outcomes
    )


def test_a_straggler_of_a_session_long_gone_changes_nothing():
    live = recognizer()
    for session in range(1, 12):
        live.push("a", signal(4), session=session)
    assert live.push("a", signal(4), session=1, seq=4) == []
    assert [label.session for label in live.push("a", signal(4), session=11, seq=4)] == [11]
