"""Wearers whose devices carry times, and do what they should not: others go on, and every reading is counted once."""

import numpy as np
import pytest

from kinestream.model.engine.load import load_engine
from kinestream.model.errors import ChannelMismatch
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.streams import sessions
from kinestream.streamer.streams.readingbudget import ReadingBudget
from kinestream.streamer.wire.codec import decode, encode_samples
from kinestream.streamer.wire.messages import Description, End, Event, Label, MalformedMessage, Readings
from tests.given.bundles import random_bundle
from tests.given.live import BUNDLE, recognizer

SECOND = 1_000_000_000
PERIOD = SECOND // 50
BEGIN = 1_700_000_000 * SECOND
PARTS = ("used", "late", "duplicate", "astray", "dropped", "unfinished", "closed_session", "waiting")
PHONE, WATCH = 1, 2
SIGNAL = np.random.default_rng(0).normal(size=(997, 3)).astype(np.float32)
WIDTH = {PHONE: 2, WATCH: 1}


class Wearer:
    """One with a phone, which delivers two of the bundle's channels, and a watch, which delivers the third."""

    def __init__(self, session=0, live=None):
        self.live = live or recognizer()
        self.session = session
        self.labels: list[Label] = []
        self.events: list[Event] = []
        self.describe(PHONE, "phone", BUNDLE.channels[:2])
        self.describe(WATCH, "watch", BUNDLE.channels[2:])

    def describe(self, key, device, channels, rate_hz=50.0):
        about = Description("a", key, self.session, rate_hz, tuple(channels), device, 0, "times", key)
        return self.live.introduce(about)

    def send(self, key, seq, times):
        times = np.atleast_1d(np.asarray(times, np.int64))
        x = SIGNAL[np.arange(seq, seq + len(times)) % len(SIGNAL), : WIDTH[key]]
        self.live.take(decode(encode_samples(key, seq, int(times[-1]), x, times)), 1)
        self.hear()

    def hear(self):
        for outcome in self.live.infer():
            (self.labels if isinstance(outcome, Label) else self.events).append(outcome)

    def play(self, first, end, *, phone=lambda t: t, watch=lambda t: t):
        """Send readings one by one; what a device's clock says of a moment is a function of it, None for nothing."""
        for i in range(first, end):
            for key, clock in ((PHONE, phone), (WATCH, watch)):
                if (time := clock(BEGIN + i * PERIOD)) is not None:
                    self.send(key, i, time)

    def told(self, *kinds):
        return [event for event in self.events if event.event in kinds]

    def between(self, first, end, what=lambda label: True):
        """Return the labels of windows that end between two readings' times."""
        span = BEGIN + first * PERIOD, BEGIN + end * PERIOD
        return [label for label in self.labels if span[0] <= label.t_source < span[1] and what(label)]

    def follows_on(self):
        """Each window is labelled or told as skipped, but for those that a seam says it leaves out."""
        seams = [(event.details["last_window"], event.details["next_window"]) for event in self.told("seam")]
        skipped = [(event.details["first_window"], event.details["last_window"]) for event in self.told("skipped")]
        windows = [label.window for label in self.labels]
        windows += [window for first, last in skipped for window in range(first, last + 1)]
        left_out = {window for last, following in seams for window in range(last + 1, following)}
        assert left_out
        assert sorted(windows) == sorted({*range(min(windows), max(windows) + 1)} - left_out)

    def counts(self):
        """Return what became of readings; each is counted once."""
        totals = self.live.totals()
        counts = {part: totals.get(f"readings_{part}", 0) for part in PARTS}
        assert totals["readings_received"] == sum(counts.values())
        return counts


def whole(label):
    return max(label.missing.values()) < 0.5


# Clocks that are set --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("back", [2 * SECOND, 3600 * SECOND])
def test_in_session_0_all_clocks_may_be_set_back_and_labels_go_on(back):
    wearer = Wearer()
    wearer.play(0, 500)
    before = len(wearer.labels)
    wearer.play(500, 1500, phone=lambda t: t - back, watch=lambda t: t - back)
    after = wearer.labels[before:]
    assert before > 100
    assert len(after) > 200
    assert all(whole(label) for label in after[-200:])
    assert len(wearer.told("seam")) == 1
    assert not wearer.told("gap")
    step = BEGIN + 499 * PERIOD
    for label in wearer.labels[:before]:
        assert label.t_source <= step
    for label in after:
        assert label.t_source - 7 * PERIOD >= step - back - PERIOD
    counts = wearer.counts()
    assert counts["late"] + counts["unfinished"] < 100


def test_one_clock_of_two_that_is_set_back_leaves_labels_of_the_other():
    wearer = Wearer()
    wearer.play(0, 500)
    wearer.play(500, 1500, watch=lambda t: t - 3600 * SECOND)
    assert len(wearer.told("seam")) == 1
    assert len(wearer.between(520, 1500)) > 200
    assert wearer.counts()["late"] > 900
    assert {event.details["device"] for event in wearer.told("late")} == {"watch"}


def test_a_numbered_session_ends_when_a_clock_is_set_back_and_is_taken_up_if_nothing_else_comes(monkeypatch):
    now = [10**12]
    monkeypatch.setattr(sessions, "monotonic_ns", lambda: now[0])
    wearer = Wearer(session=5)
    wearer.play(0, 500)

    def back(t):
        now[0] += PERIOD // 2
        return t - 3600 * SECOND

    before = len(wearer.labels)
    wearer.play(500, 1800, phone=back, watch=back)
    assert [event.details["reason"] for event in wearer.told("end")] == ["clock"]
    assert len(wearer.told("seam")) == 1
    assert wearer.told("refused")
    after = wearer.labels[before:]
    assert len(after) > 150
    assert all(whole(label) for label in after[5:])
    assert wearer.counts()["closed_session"] > 800


def test_a_session_of_a_lower_number_is_taken_once_nothing_else_comes_as_its_refusal_says(monkeypatch):
    now = [10**12]
    monkeypatch.setattr(sessions, "monotonic_ns", lambda: now[0])
    wearer = Wearer(session=100)
    wearer.play(0, 100)
    wearer.describe(11, "phone", BUNDLE.channels)  # a later session, described and never begun
    rebooted = Wearer.__new__(Wearer)
    rebooted.__dict__ |= wearer.__dict__ | {"session": 50, "labels": [], "events": []}
    for key, device, channels in ((21, "phone", BUNDLE.channels[:2]), (22, "watch", BUNDLE.channels[2:])):
        rebooted.describe(key, device, channels)
    for i in range(1000):
        now[0] += PERIOD
        time = BEGIN + 60 * SECOND + i * PERIOD
        for key, width in ((21, 2), (22, 1)):
            x = np.ones((1, width), np.float32)
            rebooted.live.take(decode(encode_samples(key, i, time, x, np.array([time]))), 1)
        rebooted.hear()
    assert {label.session for label in rebooted.labels} == {50}
    assert len(rebooted.labels) > 100
    assert all(whole(label) for label in rebooted.labels)
    assert [event.details["previous"] for event in rebooted.told("reset")] == [100]
    rebooted.counts()


def test_devices_of_a_third_session_share_a_set_though_the_others_have_higher_numbers():
    live = recognizer()
    for session in (100, 200, 50):
        for device, channels in (("phone", BUNDLE.channels[:2]), ("watch", BUNDLE.channels[2:])):
            key = session * 10 + len(channels)
            live.introduce(Description("a", key, session, 50.0, channels, device, 0, "times", key))
    of = {key: live._registry.keys[key].devices for key in (501, 502)}
    assert of[501] is of[502]
    assert [device.name for device in of[501].devices] == ["phone", "watch"]
    assert len(live._streams["a"].sets) == 2


# Times that are wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("off", [86_400 * SECOND, 9 * SECOND, 60_000_000, -60_000_000, -9 * SECOND, -86_400 * SECOND])
@pytest.mark.parametrize("session", [0, 5])
def test_one_wrong_time_costs_one_reading(off, session):
    wearer = Wearer(session)
    wearer.play(0, 1000, watch=lambda t: t + off if t == BEGIN + 300 * PERIOD else t)
    assert not wearer.told("seam", "end", "gap")
    assert len(wearer.between(0, 1000)) > 235
    assert all(label.missing["watch"] < 0.2 for label in wearer.labels)
    counts = wearer.counts()
    assert counts["late"] == counts["duplicate"] == 0
    assert 1 <= counts["astray"] < 10


def test_a_clock_that_goes_wrong_for_good_does_not_pull_the_others_along():
    wearer = Wearer()
    wearer.play(0, 2000, watch=lambda t: t + 86_400 * SECOND * (t >= BEGIN + 500 * PERIOD))
    assert len(wearer.between(0, 2000)) > 450
    assert all(label.missing["phone"] < 0.2 for label in wearer.labels)
    assert not wearer.told("end")
    wearer.counts()


def test_a_device_alone_that_leaps_ahead_is_followed():
    wearer = Wearer()
    wearer.play(0, 500)
    wearer.play(500, 3000, watch=lambda t: None)
    wearer.play(3000, 4000, phone=lambda t: t + 3600 * SECOND, watch=lambda t: None)
    assert len(wearer.between(3000 + 180_000, 4000 + 180_000)) > 230
    assert len(wearer.told("seam")) == 1
    wearer.follows_on()


def test_a_leap_of_one_device_leaves_no_window_with_both_sides_and_the_same_windows_however_it_is_cut():
    shift = 3600 * SECOND

    def times(i):
        return BEGIN + i * PERIOD + (shift if i >= 200 else 0)

    played = []
    for most in (1, 7, 40):
        wearer = Wearer()
        for first in range(0, 400, most):
            moments = [times(i) for i in range(first, min(first + most, 400))]
            wearer.send(PHONE, first, moments)
            wearer.send(WATCH, first, moments)
        for key in (PHONE, WATCH):
            wearer.live.take(End(key), 1)
        wearer.hear()
        wearer.counts()
        wearer.follows_on()
        played.append([(label.window, label.probs) for label in wearer.labels])
        assert not wearer.between(200, 200 + shift // PERIOD)
        assert all(
            label.t_source - 7 * PERIOD >= BEGIN + shift + 199 * PERIOD or label.t_source <= BEGIN + 199 * PERIOD
            for label in wearer.labels
        )
    assert len(played[0]) > 80
    assert played[0] == played[1] == played[2]


# Links that stall -----------------------------------------------------------------------------------------------------


def test_what_a_link_that_stalled_delivers_too_late_is_counted_and_told():
    wearer = Wearer()
    wearer.play(0, 1000)
    wearer.play(1000, 1500, watch=lambda t: None)
    for i in range(1000, 1500):
        wearer.send(WATCH, i, BEGIN + i * PERIOD)
    wearer.play(1500, 2000)
    counts = wearer.counts()
    assert 450 < counts["late"] < 500
    assert counts["duplicate"] == counts["dropped"] == 0
    assert wearer.told("late")


def test_one_long_upload_makes_nobody_wait_for_ever():
    wearer = Wearer()
    wearer.play(0, 500)
    wearer.play(500, 750, watch=lambda t: None)
    wearer.send(WATCH, 500, [BEGIN + i * PERIOD for i in range(500, 750)])
    wearer.play(750, 1500)

    def waits(first, end):
        found = []
        for i in range(first, end):
            before = len(wearer.labels)
            wearer.send(PHONE, i, BEGIN + i * PERIOD)
            found += [BEGIN + i * PERIOD - label.t_source for label in wearer.labels[before:]]
        return np.median(found)

    assert waits(1500, 2500) > 4 * SECOND
    assert waits(5000, 5500) < SECOND


# Amounts --------------------------------------------------------------------------------------------------------------


def test_readings_far_apart_are_laid_a_few_windows_at_a_time_and_others_in_between():
    wearer = Wearer()
    slow = Description("slow", 9, 0, 0.1, BUNDLE.channels, "sensor", 0, "times", 9)
    assert wearer.live.introduce(slow).accepted
    frames = [
        encode_samples(9, i, BEGIN + 10 * i * SECOND, np.ones((1, 3), np.float32), np.array([BEGIN + 10 * i * SECOND]))
        for i in range(41)
    ]
    wearer.live.take_frames(frames, 1, lambda frame: wearer.live.take(decode(frame), 1))
    assert wearer.live.batcher.waiting <= 3
    assert wearer.live.backlog_bytes > 39 * 500 * 12  # what comes of them, too
    wearer.play(0, 30)
    assert wearer.live.backlog_bytes == 0
    assert [label.window for label in wearer.labels if label.stream == "slow"]
    assert len({label.window for label in wearer.labels if label.stream == "slow"}) > 4900


def test_a_device_slower_than_readings_are_joined_is_refused():
    answer = Wearer().describe(9, "other", BUNDLE.channels[:1], rate_hz=0.05)
    assert not answer.accepted
    assert "give a rate from 0.1 to" in answer.details["reason"]


def test_the_readings_of_all_wearers_share_a_budget_and_who_takes_most_drops_its_oldest():
    live = recognizer()
    live._registry._budget = budget = ReadingBudget(1 << 20)
    key = 0
    for name in range(20):
        for device in range(2):  # the third channel is never delivered
            key += 1
            about = Description(
                f"s{name}", key, 0, 50.0, BUNDLE.channels[device : device + 1], f"d{device}", 0, "times", key
            )
            assert live.introduce(about).accepted
    modest = 4
    for turn in range(20):
        for number in range(1, key + 1):
            n = 10 if number <= modest else 2000
            times = np.full(n, BEGIN + turn)
            live.take(decode(encode_samples(number, n * turn, BEGIN, np.ones((n, 1), np.float32), times)), 1)
            live.infer()
            assert budget.bytes <= 1 << 20
    totals = live.totals()
    assert totals["readings_dropped"] > 1_000_000
    assert totals["readings_received"] == totals["readings_dropped"] + totals["readings_waiting"]
    assert budget.bytes == sum(devices.bytes for known in live._streams.values() for devices in known.sets.values())
    for name in ("s0", "s1"):
        assert [device.held for device in live._streams[name].sets[0].devices] == [200, 200]


def test_of_a_session_32_devices_are_known_and_the_next_is_refused_and_disturbs_nobody():
    bundle = random_bundle(channels=40, classes=3, length=8, stride=4)

    live = Recognizer(bundle, load_engine(bundle, "cpu"))
    parts = [bundle.channels[i : i + 1] for i in range(31)] + [bundle.channels[31:39], bundle.channels[39:]]
    about = [Description("a", 100 + i, 0, 50.0, part, f"d{i}", 0, "times", 100 + i) for i, part in enumerate(parts)]
    answers = [live.introduce(each) for each in about]
    assert [answer.accepted for answer in answers] == [True] * 32 + [False]
    assert "has 32 devices already" in answers[-1].details["reason"]
    for _ in range(3):
        assert all(live.introduce(each).accepted for each in about[:32])
    devices = live._streams["a"].sets[0]
    assert [device.ended for device in devices.devices] == [False] * 32
    restarted = [each._replace(key=each.key + 100, fingerprint=each.key + 100) for each in about[:32]]
    assert all(live.introduce(each).accepted for each in restarted * 2)
    assert len(live._streams["a"].keys) <= 32 + 16
    assert len(devices.devices) == 32


# Messages that cannot be read -----------------------------------------------------------------------------------------


def test_a_message_with_impossible_times_is_counted_once_and_told_even_from_the_backlog():
    wearer = Wearer()
    told = []
    wearer.live.tell_malformed(told.append)
    taken = wearer.live.totals()["messages_taken"]

    def bad(n):
        times = np.full(n, -5, "<i8")
        return Readings(PHONE, 0, 1, n, times.tobytes(), bytes(8 * n))

    with pytest.raises(MalformedMessage, match="times"):
        wearer.live.take(bad(1), 1)
    assert wearer.live.totals()["messages_taken"] == taken
    wearer.live.take(bad(100), 1)  # waits for its turn
    wearer.hear()
    early = Readings(77, 0, 1, 1, np.full(1, -5, "<i8").tobytes(), bytes(4))
    wearer.live.take(early, 1)  # waits for its description
    wearer.describe(77, "watch", BUNDLE.channels[2:])
    assert told == ["times", "times"]
    assert wearer.live.totals()["messages_malformed_times"] == 2
    assert "readings_received" not in wearer.live.totals()


def test_no_more_streams_are_pushed_than_a_recognizer_may_know():
    live = recognizer(most_streams=2)
    live.push("a", np.zeros((1, 3)))
    live.push("b", np.zeros((1, 3)))
    with pytest.raises(ChannelMismatch, match="2 streams are served already"):
        live.push("c", np.zeros((1, 3)))
    live.push("a", np.zeros((1, 3)))
    assert live.streams == 2
