"""What devices do that they should not, over sockets: each gives its event, and no label spans it."""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import zmq

from kinestream.model.recordings.recording import Channel
from kinestream.streamer.client import Event, Label, LabelSubscriber
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.wire import codec
from kinestream.streamer.wire.messages import Answer, Description
from tests.given.bundles import random_bundle
from tests.given.hostile import PATIENCE_S, until
from tests.given.streamers import running_streamer

SECOND = 1_000_000_000
RATE = 50
PERIOD = SECOND // RATE
ORIGIN = 1_700_000_000_000_000_000
CHANNELS = (Channel("acc_x", "m/s2"), Channel("acc_y", "m/s2"), Channel("gyro_z", "rad/s"))
BUNDLE = random_bundle(CHANNELS, length=8, stride=4)
_keys = itertools.count(1)


class Wearer:
    """A stream of some devices, and all that is published of it."""

    def __init__(self, streamer: Streamer, name: str) -> None:
        self.name, self.streamer = name, streamer
        self.context = zmq.Context()
        self.push, self.ask = self.context.socket(zmq.PUSH), self.context.socket(zmq.DEALER)
        for socket, address in ((self.push, streamer.ingest), (self.ask, streamer.control)):
            socket.linger = 0
            socket.connect(address)
        self.subscriber = LabelSubscriber(streamer.labels, streams=[name], events=True)
        self.ends = 0
        stranger = self.about(channels=(Channel("nothing"),))
        until(lambda: self.push.send(codec.encode_description(stranger)) or self.subscriber.receive(0.1))

    def about(self, device: str = "sensor", *, session: int = 1, timing: str = "times", **others: object):
        description = Description(self.name, next(_keys), session, RATE, CHANNELS, device, 0, timing)
        return description._replace(**others)

    def answer(self, description: Description) -> Answer:
        self.ask.send(codec.encode_description(description))
        assert self.ask.poll(1000 * PATIENCE_S)
        return codec.decode_answer(self.ask.recv())

    def refusal(self, *args: object, **others: object) -> str:
        """Describe a device that is not taken; return why, which is the same to whoever listens, and one line."""
        about = self.about(*args, **others)
        answer = self.answer(about)
        assert not answer.accepted
        told: Label | Event | None = None
        while not (isinstance(told, Event) and told.event == "refused" and told.details == answer.details):
            told = self.subscriber.receive(PATIENCE_S)
            assert told is not None
        reason = told.details["reason"]
        assert "\n" not in reason
        return reason

    def described(self, device: str = "sensor", **others: object) -> int:
        """Describe a device; return its key."""
        about = self.about(device, **others)
        assert self.answer(about).accepted
        return about.key

    def send(self, key: int, seqs: Sequence[int], times: np.ndarray | None, x: np.ndarray, most: int = 5) -> None:
        """Send readings, a few in a message, none across a leap of the numbers."""
        for first in range(0, len(x), most):
            part = slice(first, first + most)
            t = 1 if times is None else int(times[part][-1])
            self.push.send(
                codec.encode_samples(key, int(seqs[first]), t, x[part], None if times is None else times[part])
            )

    def end(self, *keys: int) -> None:
        for key in keys:
            self.push.send(codec.encode_end(key))
        self.ends += 1

    def heard(self, count: int = 1) -> tuple[list[Label], list[Event]]:
        """Return all labels and events up to the end of so many sessions, but for what is said of descriptions."""
        labels: list[Label] = []
        events: list[Event] = []
        while Counter(event.event for event in events)["end"] < count:
            message = self.subscriber.receive(PATIENCE_S)
            assert message is not None, (labels, events)
            if isinstance(message, Label):
                labels.append(message)
            elif message.event != "accepted" and message.session >= 0:
                events.append(message)
        return labels, events

    def close(self) -> None:
        self.subscriber.close()
        self.context.destroy(linger=0)


@pytest.fixture(scope="module")
def streamer() -> Iterator[Streamer]:
    with running_streamer(BUNDLE) as streamer:
        yield streamer


@pytest.fixture
def wearer(streamer: Streamer, request: pytest.FixtureRequest) -> Iterator[Wearer]:
    wearer = Wearer(streamer, f"wearer-{next(_keys)}")
    yield wearer
    wearer.close()


def signal(count: int, width: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, width)).astype(np.float32)


def times_of(count: int, rate_hz: float = RATE) -> np.ndarray:
    return ORIGIN + np.round(np.arange(count) * SECOND / rate_hz).astype(np.int64)


def kinds(events: list[Event]) -> list[str]:
    return [event.event for event in events]


def spans(label: Label) -> tuple[int, int]:
    """Return when a label's window begins and ends."""
    return label.t_source - 7 * PERIOD, label.t_source


def assert_none_across(labels: list[Label], before: int, after: int) -> None:
    """Nobody is named by what lies on both sides of a seam; there are labels on both."""
    assert all(end <= before + PERIOD or begin >= after - PERIOD for begin, end in map(spans, labels))
    assert any(end <= before + PERIOD for _, end in map(spans, labels))
    assert any(begin >= after - PERIOD for begin, _ in map(spans, labels))


@pytest.mark.parametrize("pause_s", [60, 3600], ids=["a pause of a minute", "a clock set an hour ahead"])
def test_numbers_that_go_on_over_a_pause_or_a_step_ahead_are_a_seam(wearer, pause_s):
    times = times_of(80)
    times[40:] += pause_s * SECOND
    key = wearer.described()
    wearer.send(key, range(80), times, signal(80))
    wearer.end(key)
    labels, events = wearer.heard()
    assert kinds(events) == ["skipped", "seam", "end"]  # too little came of a window that ends in the pause
    assert events[1].details["device"] == "sensor"
    assert_none_across(labels, int(times[39]), int(times[40]))


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_a_counter_that_wraps_is_a_seam_and_what_came_before_it_is_late(wearer, bits):
    times, x = times_of(85), signal(85)
    numbers = (np.arange(85) + (1 << bits) - 40) % (1 << bits)
    key = wearer.described()
    wearer.send(key, numbers, times, x)
    wearer.send(key, numbers[5:10], times[5:10], x[5:10])
    wearer.end(key)
    labels, events = wearer.heard()
    assert kinds(events) == ["seam", "late", "end"]
    assert_none_across(labels, int(times[39]), int(times[40]))
    assert events[1].details == {"device": "sensor", "count": 5, "last_seq": int(numbers[9])}
    assert (events[2].details["readings_received"], events[2].details["readings_late"]) == (90, 5)


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_on_the_grid_a_counter_that_wraps_is_told_and_then_a_session_of_its_own(wearer, bits, monkeypatch):
    sessions = "kinestream.streamer.streams.sessions."
    monkeypatch.setattr(sessions + "_REPORT_INTERVAL_NS", 0)
    numbers = (np.arange(80) + (1 << bits) - 40) % (1 << bits)
    key = wearer.described(timing="grid")
    wearer.send(key, numbers[:40], None, signal(40))
    wearer.send(key, numbers[40:45], None, signal(5))
    message: Label | Event | None = None
    while not (isinstance(message, Event) and message.event == "refused" and message.session >= 0):
        message = wearer.subscriber.receive(PATIENCE_S)
    assert f"its samples have gone on to {1 << bits}, and now begin anew" in message.details["reason"]
    monkeypatch.setattr(sessions + "_OUTDATED_TAKEN_AFTER_NS", 0)
    wearer.send(key, numbers[45:], None, signal(35))
    wearer.end(key)
    labels, events = wearer.heard(2)
    assert [kind for kind in kinds(events) if kind in ("reset", "end")] == ["reset", "end", "end"]
    assert {label.first_seq for label in labels} >= {8, 28}
    assert all(label.last_seq - label.first_seq == 7 for label in labels)


def test_a_clock_that_is_set_back_ends_the_session_and_is_taken_up_again_if_nothing_else_comes(wearer, monkeypatch):
    monkeypatch.setattr("kinestream.streamer.streams.sessions._OUTDATED_TAKEN_AFTER_NS", 0)
    times = times_of(120)
    times[40:] -= 3600 * SECOND
    key = wearer.described()
    wearer.send(key, range(120), times, signal(120))
    wearer.end(key)
    labels, events = wearer.heard(2)
    assert kinds(events) == ["seam", "end", "refused", "end"]
    assert events[0].details == {"device": "sensor", "before": int(times[39]), "after": int(times[40])}
    assert [event.details["reason"] for event in events[1::2]] == ["clock", "end"]
    assert "session 1 has ended" in events[2].details["reason"]
    assert_none_across(labels, int(times[-1]), int(times[0]))


def test_in_session_0_a_clock_that_is_set_back_does_not_end_it_again_and_again(wearer):
    times = times_of(120)
    times[40:] -= 3600 * SECOND
    phone, watch = (
        wearer.described("phone", session=0, channels=CHANNELS[:2]),
        wearer.described("watch", session=0, channels=CHANNELS[2:]),
    )
    x = signal(120)
    for first in range(0, 120, 5):
        part = slice(first, first + 5)
        wearer.send(phone, range(first, first + 5), times[part], x[part, :2])
        wearer.send(watch, range(first, first + 5), times_of(120)[part], x[part, 2:])
    wearer.end(phone, watch)
    labels, events = wearer.heard(2)
    counted = Counter(kinds(events))
    assert (counted["seam"], counted["end"]) == (1, 2)
    assert labels


def test_twice_the_declared_rate_is_told_once_with_both_figures_and_named_all_the_same(wearer):
    times = times_of(1000, 2 * RATE)
    key = wearer.described()
    wearer.send(key, range(1000), times, signal(1000), most=20)
    wearer.end(key)
    labels, events = wearer.heard()
    assert kinds(events) == ["rate", "end"]
    assert events[0].details["declared_hz"] == RATE
    assert events[0].details["measured_hz"] == pytest.approx(2 * RATE, rel=0.01)
    assert len(labels) > 100


def test_a_device_that_dies_is_told_and_the_others_are_named_without_it(wearer):
    times, x = times_of(400), signal(400)
    phone, watch = wearer.described("phone", channels=CHANNELS[:2]), wearer.described("watch", channels=CHANNELS[2:])
    for first in range(0, 400, 5):
        part = slice(first, first + 5)
        wearer.send(phone, range(first, first + 5), times[part], x[part, :2])
        if not 100 <= first < 300:
            wearer.send(watch, range(first, first + 5), times[part], x[part, 2:])
    wearer.end(phone, watch)
    labels, events = wearer.heard()
    told = [event for event in events if event.event == "device"]
    assert [(event.details["device"], event.details["silent"]) for event in told] == [("watch", True), ("watch", False)]
    assert times[100] < told[0].details["since"] < times[140]
    missing = [label.missing["watch"] for label in labels]
    assert missing.count(1.0) > 30
    assert (missing[0], missing[-1]) == (0.0, 0.0)


def test_a_device_that_is_too_late_is_told_once_a_second_and_counted(wearer, streamer):
    times, x = times_of(400), signal(400)
    phone, watch = wearer.described("phone", channels=CHANNELS[:2]), wearer.described("watch", channels=CHANNELS[2:])
    before = streamer.totals().get("readings_late", 0)
    for first in range(0, 400, 5):
        part, then = slice(first, first + 5), slice(first - 100, first - 95)
        wearer.send(phone, range(first, first + 5), times[part], x[part, :2])
        if first >= 100:
            wearer.send(watch, range(first - 100, first - 95), times[then], x[then, 2:])
    wearer.end(phone, watch)
    _, events = wearer.heard()
    late = [event for event in events if event.event == "late"]
    assert late
    assert {event.details["device"] for event in late} == {"watch"}
    counted = events[-1].details["readings_late"]
    assert counted > 200
    assert sum(event.details["count"] for event in late) <= counted
    assert streamer.totals()["readings_late"] - before == counted
    assert len(late) < 5


# What is described wrongly --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timing", "unit", "why"),
    [
        ("times", "furlong", "channel acc_x: unit 'furlong' is not known: give one of m/s2, "),
        (
            "times",
            "deg/s",
            "channel acc_x: 'deg/s' is a unit of angular velocity, 'm/s2' one of acceleration: give the",
        ),
        (
            "grid",
            "furlong",
            "acc_x in furlong instead of m/s2; the stream has acc_x, acc_y, gyro_z; give each the unit",
        ),
        ("grid", "deg/s", "acc_x in deg/s instead of m/s2; the stream has acc_x, acc_y, gyro_z; give each the unit"),
    ],
)
def test_a_unit_that_is_not_known_or_of_another_quantity_is_refused_by_name(wearer, timing, unit, why):
    reason = wearer.refusal(timing=timing, channels=(Channel("acc_x", unit), *CHANNELS[1:]))
    assert why in reason


def test_a_channel_of_two_devices_is_refused_to_the_second_and_the_first_goes_on(wearer):
    key = wearer.described("phone")
    reason = wearer.refusal("watch", channels=CHANNELS[2:])
    assert "devices phone and watch of stream" in reason
    assert "both deliver gyro_z: send each channel from one device" in reason
    wearer.send(key, range(80), times_of(80), signal(80))
    wearer.end(key)
    labels, events = wearer.heard()
    assert len(labels) > 10
    assert kinds(events) == ["end"]


def test_another_origin_is_refused_with_both_figures(wearer):
    wearer.described("phone", channels=CHANNELS[:2], origin=ORIGIN)
    reason = wearer.refusal("watch", channels=CHANNELS[2:], origin=ORIGIN + 1)
    assert f"has origin {ORIGIN + 1}, its others {ORIGIN}: give all devices of a session one origin" in reason


def test_devices_on_the_grid_and_with_times_are_refused_to_one_another(wearer):
    wearer.described("phone", channels=CHANNELS[:2])
    assert "send all in one way" in wearer.refusal("watch", timing="grid")


def test_a_channel_that_nobody_delivers_is_told_by_name(wearer):
    key = wearer.described("phone", channels=CHANNELS[:2])
    times = times_of(1200)
    wearer.send(key, range(1200), times, signal(1200, 2), most=50)
    message: Label | Event | None = None
    while not (isinstance(message, Event) and message.event == "device"):
        message = wearer.subscriber.receive(PATIENCE_S)
    assert message.details == {"reason": "no device delivers gyro_z: describe the one that does"}
    watch = wearer.described("watch", channels=CHANNELS[2:])
    times, x = times[-1] + PERIOD + times_of(80) - ORIGIN, signal(80)
    for first in range(0, 80, 5):
        part = slice(first, first + 5)
        wearer.send(key, range(1200 + first, 1205 + first), times[part], x[part, :2])
        wearer.send(watch, range(first, first + 5), times[part], x[part, 2:])
    wearer.end(key, watch)
    labels, _ = wearer.heard()
    assert len(labels) > 10
