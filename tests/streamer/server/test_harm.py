"""What one sender does is its own harm: recognizers that are told nonsense, without a socket."""

import logging
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinestream.model.engine.engine import Engine
from kinestream.model.engine.load import load_engine
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.streams import sessions
from kinestream.streamer.wire.messages import End, Event, Label, MalformedMessage, Readings
from kinestream.streamer.wire.published import decode_published, encode_event, encode_label
from tests.given.bundles import random_bundle
from tests.given.keys import described, key_of

BUNDLE = random_bundle(channels=3, classes=4, length=8, stride=4)
ENGINE = load_engine(BUNDLE, "cpu")
ROW = 12  # bytes
LONG = 3 * 60 * 60 * 50  # samples of three hours: no stream is silent for so long


def recognizer(**options: object) -> Recognizer:
    return Recognizer(BUNDLE, ENGINE, **options)


def signal(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)


def samples(stream: str, session: int, seq: int, n: int, t: int = 0) -> Readings:
    return readings(stream, session, seq, signal(seq % 1000 + n)[seq % 1000 :], t)


def readings(stream: str, session: int, seq: int, x: np.ndarray, t: int = 0) -> Readings:
    return Readings(key_of(stream, session), seq, t, len(x), b"", x.astype(np.float32).tobytes())


def knowing(live: Recognizer, *names: str, session: int = 1) -> Recognizer:
    """Describe streams to a recognizer and leave out its answers."""
    for name in names:
        assert live.introduce(described(name, BUNDLE.channels, 50.0, session)).accepted
    live.infer()
    return live


def windows(outcomes: list[Label | Event]) -> list[int]:
    return [outcome.window for outcome in outcomes if isinstance(outcome, Label)]


def events(outcomes: list[Label | Event], kind: str) -> list[Event]:
    return [outcome for outcome in outcomes if isinstance(outcome, Event) and outcome.event == kind]


# Numbers that part ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seq", [LONG, 10**12, 2**53 + 1, 2**62 - 1])
def test_a_jump_that_no_gap_explains_ends_the_windows_there_and_is_told(seq):
    live = knowing(recognizer(), "a")
    live.take(samples("a", 1, 0, 14), 0)
    assert windows(live.infer()) == [0, 1]
    live.take(readings("a", 1, seq, signal(1), 5), 0)
    outcomes = live.infer()
    about = {"last_seq": 13, "first_seq": seq, "last_window": 1, "next_window": -(-seq // 4)}
    assert [(each.event, each.details) for each in outcomes] == [("seam", about)]
    for outcome in outcomes:
        encode_event(outcome)
    totals = live.totals()
    assert totals["samples_unfinished"] == 2  # those that no window had held yet
    assert totals.get("windows_skipped_missing", 0) == 0


def test_behind_a_jump_the_stream_goes_on():
    live = knowing(recognizer(), "a")
    live.take(samples("a", 1, 0, 8), 0)
    live.take(samples("a", 1, 10**12 + 1, 15), 0)
    outcomes = live.infer()
    assert windows(outcomes) == [0, 10**12 // 4 + 1, 10**12 // 4 + 2]
    live.take(samples("a", 1, 10**12 + 16, 4), 0)
    assert windows(live.infer()) == [10**12 // 4 + 3]


def test_a_gap_as_long_as_a_stream_may_be_silent_is_a_gap():
    live = knowing(recognizer(), "a")
    live.take(samples("a", 1, 0, 8), 0)
    live.take(readings("a", 1, 8 + live.longest_gap, signal(8), 10), 0)
    outcomes = live.infer()
    assert [each.event for each in outcomes if isinstance(each, Event)] == ["gap", "skipped"]
    for outcome in outcomes:  # the windows ended long before the message's time, which was 10 ns after 1970
        if isinstance(outcome, Label):
            decode_published(list(encode_label(outcome)))


# An engine that fails -------------------------------------------------------------------------------------------------


class FailingEngine(Engine):
    """Fails on every batch whose first reading is 13."""

    name = "failing"

    def __init__(self, where: str) -> None:
        self.where = where

    def prepare(self, windows: np.ndarray) -> np.ndarray:
        if self.where == "prepare" and (windows[:, 0, 0] == 13).any():
            raise RuntimeError("no memory left")
        return ENGINE.prepare(windows)

    def answer(self, prepared: np.ndarray) -> np.ndarray:
        if self.where == "answer" and self.fails:
            raise RuntimeError("the device is gone")
        return ENGINE.answer(prepared)

    fails = False


@pytest.mark.parametrize("where", ["prepare", "answer"])
def test_a_batch_on_which_the_engine_fails_is_skipped(where, caplog):
    engine = FailingEngine(where)
    live = knowing(Recognizer(BUNDLE, engine), "a")
    bad = signal(8)
    bad[0, 0] = 13
    engine.fails = True
    live.take(readings("a", 1, 0, bad, 0), 0)
    outcomes = live.infer()
    assert [(each.event, each.details["reason"]) for each in outcomes] == [("skipped", "engine")]
    assert live.totals()["windows_skipped_engine"] == 1
    assert "windows" in caplog.text
    engine.fails = False
    live.take(samples("a", 1, 8, 4), 0)
    live.take(samples("a", 1, 12, 4), 0)
    assert windows(live.infer()) == [1, 2]


@pytest.mark.parametrize("reading", [3e38, -3e38])
def test_readings_too_large_to_add_up_get_no_label_without_a_probability(reading):
    live = knowing(recognizer(), "a")
    live.take(readings("a", 1, 0, np.full((8, 3), reading, np.float32), 0), 0)
    [outcome] = live.infer()
    assert outcome.event == "skipped" if isinstance(outcome, Event) else 0 <= outcome.p <= 1


def test_an_engine_that_is_broken_for_good_is_logged_once(caplog):
    engine = FailingEngine("answer")
    engine.fails = True
    live = knowing(Recognizer(BUNDLE, engine), "a")
    for step in range(20):
        live.take(samples("a", 1, 8 * step, 8), 0)
        live.infer()
    assert live.totals()["windows_skipped_engine"] == 39
    assert caplog.text.count("Traceback") == 1


# Turns ----------------------------------------------------------------------------------------------------------------


def test_an_upload_does_not_come_before_another_streams_single_sample():
    live = knowing(recognizer(), "greedy", "honest")
    live.take(samples("honest", 1, 0, 7), 0)
    for part in range(4):
        live.take(samples("greedy", 1, 1000 * part, 1000), 0)
    live.take(samples("honest", 1, 7, 1), 0)
    assert live.backlog_bytes > 4 * 1000 * ROW
    live.take_queued(20)
    first = [outcome.stream for outcome in live.infer_due()]
    assert "honest" in first
    assert len(first) <= 30
    assert windows(live.infer()) == list(range(len(first) - 1, 999))
    assert live.backlog_bytes == 0


def test_uploads_take_turns():
    live = knowing(recognizer(), "a", "b")
    for name in "ab":
        live.take(samples(name, 1, 0, 1000), 0)
    live.take_queued(40)
    named = [outcome.stream for outcome in live.infer_due()]
    assert abs(named.count("a") - named.count("b")) <= 3


KINDS = ("samples", "samples", "end", "restart", "describe")
messages = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(KINDS), st.integers(1, 200)), min_size=1, max_size=12
)


@given(messages, st.lists(st.integers(1, 50), min_size=1, max_size=5))
@settings(deadline=None)
def test_whatever_waits_for_its_turn_comes_out_as_if_it_had_not(told, turns):
    """Messages of a stream keep their order, whatever kind they are, and windows do not depend on the turns.

    Sessions have their columns in turn one way and the other: a description must not change what waits.
    """
    queued, plain = recognizer(), recognizer()
    plain._intake._turn_samples = 10**9  # nothing waits
    seqs, session = {"a": 0, "b": 0}, {"a": 1, "b": 1}
    outcomes: dict[int, list[Label | Event]] = {0: [], 1: []}

    def describe(live: Recognizer, name: str) -> None:
        channels = BUNDLE.channels[:: 1 if session[name] % 2 else -1]
        live.introduce(described(name, channels, 50.0, session[name]))

    for live in (plain, queued):
        describe(live, "a")
        describe(live, "b")
    for i, (name, kind, n) in enumerate(told):
        message = None
        if kind == "samples":
            message = samples(name, session[name], seqs[name], n, t=10**12 + i)
            seqs[name] += n
        elif kind == "end":
            message = End(key_of(name, session[name]))
        if kind in ("end", "restart"):
            seqs[name], session[name] = 0, session[name] + 1
        for which, live in enumerate((plain, queued)):
            if message is not None:
                live.take(message, 0)
            if kind != "samples":
                describe(live, name)
            if which:
                live.take_queued(turns[i % len(turns)])
            outcomes[which] += live.infer_due()
    assert not plain.totals()["messages_waiting"]
    for which, live in enumerate((plain, queued)):
        outcomes[which] += live.infer()
        live.close_all()
        outcomes[which] += live.infer()
    for name in "ab":
        assert _told(outcomes[0], name) == _told(outcomes[1], name)
    before, after = plain.totals(), queued.totals()
    assert before == after


def _told(outcomes: list[Label | Event], name: str) -> list[tuple[object, ...]]:
    """Return what came of a stream, but for the answers to its descriptions, which wait for nothing."""
    return [
        (each.session, each.window, each.label, each.t_source) if isinstance(each, Label) else tuple(each)
        for each in outcomes
        if each.stream == name and (isinstance(each, Label) or each.event != "accepted")
    ]


def test_what_waits_when_the_streamer_stops_is_counted():
    live = knowing(recognizer(), "a")
    live.take(samples("a", 1, 0, 500), 0)
    live.take(samples("a", 1, 500, 1), 0)
    live.close_all()
    totals = live.totals()
    assert (totals["messages_unfinished"], totals["messages_waiting"]) == (2, 0)


@pytest.mark.parametrize("queued", [False, True])
def test_a_long_message_of_another_width_is_counted_once(queued):
    live = knowing(recognizer(), "a")
    if queued:
        live.take(samples("a", 1, 0, 500), 0)
    wrong = readings("a", 1, 500, np.zeros((500, 4)))
    with nullcontext() if queued else pytest.raises(MalformedMessage, match=r"^width$"):
        live.take(wrong, 0)
    live.infer()
    assert live.counts["messages_malformed_width"] == queued
    assert live.totals()["messages_taken"] == 1 + queued


def test_a_description_does_not_change_what_waits_under_another_key():
    """A later session has its columns the other way round; what waits of the one before is read as it was described."""
    live = recognizer()
    before, behind = signal(500), signal(8)
    live.introduce(described("a", BUNDLE.channels, 50.0, 1))
    live.take(readings("a", 1, 0, before), 0)
    live.introduce(described("a", BUNDLE.channels[::-1], 50.0, 2))
    live.take(readings("a", 2, 0, behind[:, ::-1]), 0)
    outcomes = live.infer()
    assert [each.details["columns"] for each in events(outcomes, "accepted")] == [None, [2, 1, 0]]
    plain = recognizer()
    expected = plain.push("a", before, session=1) + plain.push("a", behind, session=2, on_event=lambda _: None)
    labels = [each for each in outcomes if isinstance(each, Label)]
    assert [(each.session, each.window, each.label) for each in labels] == [
        (each.session, each.window, each.label) for each in expected
    ]
    np.testing.assert_allclose([each.p for each in labels], [each.p for each in expected], atol=1e-5)


# Samples that come too late -------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch):
    """Let a tenth of a second be long."""
    monkeypatch.setattr(sessions, "_OUTDATED_TAKEN_AFTER_NS", 100_000_000)
    monkeypatch.setattr(sessions, "_REPORT_INTERVAL_NS", 0)


def until_labelled(live: Recognizer, session: int, seq: int) -> list[Label | Event]:
    outcomes: list[Label | Event] = []
    while not any(isinstance(each, Label) for each in outcomes):
        live.take(samples("a", session, seq, 4), 0)
        seq += 4
        outcomes += live.infer()
        assert seq < 40_000_000, "it is muted for ever"
    return outcomes


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("ended", [False, True])
def test_an_older_session_is_refused_until_nothing_else_has_come_for_a_while(ended):
    live = knowing(recognizer(), "a", session=7)
    knowing(live, "a", session=3)
    live.take(samples("a", 7, 0, 8), 0)
    if ended:
        live.take(End(key_of("a", 7)), 0)
    live.infer()
    outcomes = until_labelled(live, 3, 0)
    assert outcomes[0].event == "refused"
    assert "session 3 is outdated" in outcomes[0].details["reason"]
    assert outcomes[-1].session == 3
    assert len(events(outcomes, "reset")) == (not ended)
    knowing(live, "a", session=8)
    live.take(samples("a", 8, 0, 8), 0)  # and sessions count up from there
    assert live.infer()[-1].session == 8


@pytest.mark.usefixtures("impatient")
def test_a_session_that_counts_anew_is_refused_until_nothing_else_has_come_for_a_while():
    live = knowing(recognizer(), "a", session=0)
    live.take(samples("a", 0, 10_000_000, 100), 0)
    live.infer()
    outcomes = until_labelled(live, 0, 0)
    assert {each.event for each in outcomes if isinstance(each, Event)} >= {"late", "refused", "reset"}
    assert "begin anew" in events(outcomes, "refused")[0].details["reason"]
    assert outcomes[-1].window == outcomes[-1].first_seq // 4 < 2_000_000


@pytest.mark.usefixtures("impatient")
def test_strays_of_an_older_session_are_no_session(monkeypatch):
    monkeypatch.setattr(sessions, "_REPORT_INTERVAL_NS", 60_000_000_000)  # the test takes a second on a busy machine
    live = knowing(knowing(recognizer(), "a", session=7), "a", session=3)
    for step in range(2000):
        live.take(samples("a", 7, 4 * step, 4), 0)
        live.take(samples("a", 3, step, 1), 0)
    outcomes = live.infer()
    assert not events(outcomes, "reset")
    assert not events(outcomes, "refused")
    assert windows(outcomes) == list(range(1999))
    assert live.totals()["samples_closed_session"] == 2000


def test_a_second_sender_of_the_same_name_is_told_to_the_first(monkeypatch):
    """Both send all the time: the older session is refused for as long as the newer one goes on."""
    monkeypatch.setattr(sessions, "_REPORT_INTERVAL_NS", 50_000_000)
    live = knowing(knowing(recognizer(), "a", session=7), "a", session=3)
    outcomes, seq = [], 0
    while not (refused := events(outcomes, "refused")):
        live.take(samples("a", 7, seq, 4), 0)
        live.take(samples("a", 3, seq, 4), 0)
        outcomes += live.infer()
        seq += 4
        assert seq < 4_000_000, "nothing is said"
    assert refused[0].session == 3
    assert "another sender that uses the same name" in refused[0].details["reason"]


def test_late_samples_are_told_once_a_second_with_their_count():
    live = knowing(recognizer(), "a")
    live.take(samples("a", 1, 0, 100), 0)
    live.infer()
    for seq in range(20):
        live.take(samples("a", 1, seq, 1), 0)
    late = events(live.infer(), "late")
    assert [each.details for each in late] == [{"count": 1, "next_seq": 100}]
    assert live.totals()["samples_late"] == 20


# As a library ---------------------------------------------------------------------------------------------------------


def test_what_else_there_is_to_say_is_handed_over():
    said: list[Event] = []
    live = recognizer()
    labels = live.push("a", signal(8), on_event=said.append)
    labels += live.push("a", signal(8), seq=1000, on_event=said.append)
    assert [label.window for label in labels] == [0, 250]
    assert [event.event for event in said] == ["gap", "skipped"]


@pytest.mark.parametrize("numbers", [{"session": -1}, {"seq": -1}, {"seq": 2**63}, {"session": 2**62}])
def test_numbers_that_the_wire_would_refuse_are_refused(numbers):
    with pytest.raises(ValueError, match="give numbers from 0 to"):
        recognizer().push("a", signal(8), **numbers)


def test_what_else_there_is_to_say_is_logged(caplog):
    live = recognizer()
    with caplog.at_level(logging.WARNING):
        live.push("a", signal(8))
        live.push("a", signal(8), seq=1000)
    assert "stream a: gap: samples 8 to 999" in caplog.text
