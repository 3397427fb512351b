"""Wearers of devices whose messages are tracked: however they come, and whoever is killed, labels are the same."""

from fractions import Fraction

import numpy as np
import pytest

from kinestream.model.bundle.bundle import DeviceColumns
from kinestream.model.clock import monotonic_ns
from kinestream.model.recordings.samplegrid import SampleGrid
from kinestream.streamer.reliable.outbox import Outbox
from kinestream.streamer.streams.devices import DeviceSet
from kinestream.streamer.streams.readingbudget import ReadingBudget
from kinestream.streamer.wire.codec import encode_end, encode_samples
from kinestream.streamer.wire.messages import Description, Event, Label
from kinestream.streamer.wire.tracked import UNKNOWN
from tests.given.fed import introduce, take_in_bulk
from tests.given.live import BUNDLE, forget, recognizer

SECOND = 1_000_000_000
RATE = 50
PERIOD = SECOND // RATE
BEGIN = 1_700_000_000 * SECOND
PHONE, WATCH, ALONE = 1, 2, 3
CHANNELS = {"phone": BUNDLE.channels[:2], "watch": BUNDLE.channels[2:], "sensor": BUNDLE.channels}
COLUMNS = {"phone": slice(0, 2), "watch": slice(2, 3), "sensor": slice(0, 3)}
SIGNAL = np.random.default_rng(0).normal(size=(10_000, 3)).astype(np.float32)


class Wearer:
    """The senders of a phone and a watch, which keep what is not acknowledged, and the streamer of the moment."""

    def __init__(self, **options):
        self.options = options
        self.now = monotonic_ns()  # from here on it passes as it is told
        self.labels: dict[tuple[int, int], bytes] = {}
        self.events: list[Event] = []
        self.abouts: dict[int, Description] = {}
        self.outboxes: dict[int, Outbox] = {}
        self.start()

    def start(self):
        """Start a streamer, which knows nothing of the one before."""
        self.live = recognizer(**self.options)
        for outbox in self.outboxes.values():
            outbox.doubt()

    def describe(self, key, device, session=1):
        about = Description("a", key, session, float(RATE), CHANNELS[device], device, BEGIN, "times", key)
        if device == "sensor":
            about = about._replace(origin=0, timing="grid")
        self.abouts[key] = about
        self.outboxes.setdefault(key, Outbox(key))
        assert introduce(self.live, about).accepted

    def record(self, key, first, end, *, each=5):
        """Have a device take readings, `each` of them a message; they are not sent yet."""
        device = self.abouts[key].device
        for seq in range(first, end, each):
            times = BEGIN + np.arange(seq, min(seq + each, end)) * PERIOD
            x = np.ascontiguousarray(SIGNAL[seq : seq + len(times), COLUMNS[device]])
            last, is_timed = int(times[-1]), device != "sensor"
            message = encode_samples(key, seq, last, x, times if is_timed else None)
            self.outboxes[key].add(message, last + 1 if is_timed else seq + len(times))

    def end(self, key):
        kept = self.outboxes[key].kept
        self.outboxes[key].add(encode_end(key), kept[-1].end if kept else 0)

    def post(self, *keys):
        """Send all that is to be sent of some keys, of one after the other."""
        for key in keys:
            outbox = self.outboxes[key]
            while (frame := outbox.frame()) is not None:
                outbox.posted()
                assert not take_in_bulk(self.live, [frame], 1)
                self.hear()

    def play(self, first, end, *keys):
        """Have devices take readings and send them, side by side."""
        for seq in range(first, end, 5):
            for key in keys:
                self.record(key, seq, min(seq + 5, end))
                self.post(key)

    def hear(self):
        for outcome in self.live.infer():
            if isinstance(outcome, Label):
                self.labels[outcome.session, outcome.window] = outcome.probs
            elif isinstance(outcome, Event):
                self.events.append(outcome)

    def wait(self, seconds, *, asks=True, hears=True):
        """Let time pass, in which senders ask what has come, unless they are cut off, and send again what has not."""
        for _ in range(round(seconds)):
            self.now += SECOND
            self.live.tracking.look(self.now)
            self.live.tracking.look(self.now)
            if hears:
                self.hear()
            for key, outbox in self.outboxes.items() if asks else ():
                said = self.live.tracking.acknowledgement(key)
                if said.received == UNKNOWN and not outbox.is_empty:
                    introduce(self.live, self.abouts[key])
                if outbox.acknowledge(said):
                    self.post(key)

    def told(self, kind):
        return [event for event in self.events if event.event == kind]


def undisturbed(seconds, watch_seconds=None, session=1):
    """Return the labels of a phone and a watch that nothing disturbs, which end after so long."""
    wearer = Wearer()
    wearer.describe(PHONE, "phone", session)
    wearer.describe(WATCH, "watch", session)
    watched = round((seconds if watch_seconds is None else watch_seconds) * RATE)
    wearer.play(0, watched, PHONE, WATCH)
    if watch_seconds is not None:
        wearer.end(WATCH)
        wearer.post(WATCH)
    wearer.play(watched, seconds * RATE, PHONE)
    for key in (PHONE,) if watch_seconds is not None else (PHONE, WATCH):
        wearer.end(key)
        wearer.post(key)
    assert len(wearer.labels) > seconds * RATE // 4 - 4
    return wearer.labels


# Devices that are described one after the other -----------------------------------------------------------------------


def with_a_phone_that_ended():
    """Return a wearer whose phone has sent four seconds and ended before any other device was described."""
    wearer = Wearer()
    wearer.describe(PHONE, "phone")
    wearer.record(PHONE, 0, 200)
    wearer.end(PHONE)
    wearer.post(PHONE)
    return wearer


def test_a_device_that_ended_before_the_next_is_described_is_kept_for_it():
    wearer = with_a_phone_that_ended()
    wearer.wait(3)
    assert not wearer.outboxes[PHONE].is_empty
    wearer.describe(WATCH, "watch")
    wearer.record(WATCH, 0, 200)
    wearer.end(WATCH)
    wearer.post(WATCH)
    wearer.wait(3)
    assert wearer.labels == undisturbed(4)
    assert wearer.outboxes[PHONE].is_empty
    assert wearer.outboxes[WATCH].is_empty


def test_a_session_that_has_ended_while_channels_are_not_delivered_is_given_up_after_a_while():
    wearer = with_a_phone_that_ended()
    wearer.wait(9)
    assert not wearer.outboxes[PHONE].is_empty
    wearer.wait(5)
    assert wearer.outboxes[PHONE].is_empty
    assert wearer.labels == {}


def test_a_device_is_waited_for_that_is_described_once_another_has_sent_a_minute():
    wearer = Wearer()
    wearer.describe(PHONE, "phone")
    wearer.record(PHONE, 0, 3000)
    wearer.post(PHONE)
    wearer.wait(2)
    wearer.describe(WATCH, "watch")
    wearer.record(WATCH, 0, 3000)
    wearer.post(WATCH)
    for key in (PHONE, WATCH):
        wearer.end(key)
        wearer.post(key)
    assert wearer.labels == undisturbed(60)


@pytest.mark.parametrize("ends", [True, False])
def test_a_device_that_ended_or_died_before_the_streamer_was_killed_is_waited_for_a_while(ends):
    wearer = Wearer()
    wearer.describe(PHONE, "phone")
    wearer.describe(WATCH, "watch")
    wearer.play(0, 200, PHONE, WATCH)
    if ends:
        wearer.end(WATCH)
        wearer.post(WATCH)
    wearer.play(200, 600, PHONE)
    wearer.wait(14)
    assert wearer.outboxes[WATCH].is_empty
    assert wearer.outboxes[PHONE].oldest > 60
    before = dict(wearer.labels)
    del wearer.outboxes[WATCH]
    wearer.start()
    wearer.describe(PHONE, "phone")
    wearer.post(PHONE)
    wearer.play(600, 1000, PHONE)
    wearer.wait(9)
    assert wearer.labels == before
    wearer.wait(4)
    assert len(wearer.labels) > len(before)
    wearer.wait(2)
    assert wearer.outboxes[PHONE].oldest > 100  # what is labelled may be forgotten
    wearer.play(1000, 1100, PHONE)
    wearer.end(PHONE)
    wearer.post(PHONE)
    wearer.wait(3)
    assert wearer.outboxes[PHONE].is_empty
    assert wearer.labels == undisturbed(22, 4)
    assert any("no device delivers" in event.details.get("reason", "") for event in wearer.told("device"))


# Devices that begin anew ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("laid", [True, False])
def test_a_device_that_begins_anew_leaves_what_others_delivered_and_no_window_spans_the_place(laid):
    wearer = Wearer()
    wearer.describe(PHONE, "phone")
    wearer.describe(WATCH, "watch")
    wearer.play(0, 100, PHONE, *([WATCH] if laid else []))
    wearer.record(WATCH, 100 if laid else 0, 200)
    wearer.post(*[WATCH] if laid else [])
    wearer.record(PHONE, 100, 200, each=1)
    while wearer.outboxes[PHONE].oldest < 21:  # its sender keeps nothing of those
        wearer.outboxes[PHONE].drop_oldest()
    wearer.post(PHONE, WATCH)
    for key in (PHONE, WATCH):
        wearer.end(key)
        wearer.post(key)
    expected = undisturbed(4)
    assert {label: probs for label, probs in expected.items() if label[1] >= 26}.items() <= wearer.labels.items()
    assert wearer.labels.items() <= expected.items()
    assert not any((24 if laid else 0) <= window <= 25 for _, window in wearer.labels)
    assert len(wearer.told("seam")) == laid


# Devices that are ahead -----------------------------------------------------------------------------------------------


def test_a_device_that_is_put_off_since_it_is_ahead_is_not_silent():
    devices = DeviceSet(SampleGrid(BEGIN, Fraction(RATE)), channels=3, length=8, stride=4)
    parts = [DeviceColumns(np.array([column]), np.zeros(1, np.intp), None) for column in range(3)]
    far, ahead, behind = (devices.add(name, float(RATE), part) for name, part in zip("abc", parts, strict=True))
    devices.waits_for_all = True

    def take(device, first, end):
        times = BEGIN + np.arange(first, end, dtype=np.int64) * PERIOD
        devices.take(device, first, times, np.zeros((end - first, 1), np.float32))

    take(far, 0, far.most_held + 50)
    take(ahead, 0, ahead.most_held)
    for second in range(13):
        devices.give_up_silent(second * SECOND, 10 * SECOND)
    assert behind.given_up
    assert not ahead.given_up
    for second in range(13, 30):
        devices.give_up_silent(second * SECOND, 10 * SECOND)
    assert ahead.given_up  # there was room for what it sends


def test_where_memory_is_used_up_what_is_tracked_is_put_off_and_not_dropped():
    wearer = Wearer()
    wearer.live._registry._budget = budget = ReadingBudget(50_000)
    wearer.describe(PHONE, "phone")
    wearer.describe(WATCH, "watch")
    wearer.record(PHONE, 0, 3000)
    wearer.post(PHONE)
    assert budget.bytes < 70_000
    assert wearer.live.totals()["messages_early"] > 0
    wearer.record(WATCH, 0, 3000)
    wearer.post(WATCH)
    for _ in range(80):
        wearer.wait(1)
    for key in (PHONE, WATCH):
        wearer.end(key)
        wearer.post(key)
    wearer.wait(3)
    assert "readings_dropped" not in wearer.live.totals()
    assert wearer.labels == undisturbed(60)


# What is kept until it is needed no more ------------------------------------------------------------------------------


@pytest.mark.parametrize("worn", [True, False])
def test_windows_that_an_outage_left_open_are_completed_though_the_stream_was_forgotten(worn):
    whole, wearer = Wearer(), Wearer(forget_after=1.0)
    keys = (PHONE, WATCH) if worn else (ALONE,)
    for each in (whole, wearer):
        for key, device in zip(keys, ("phone", "watch") if worn else ("sensor",), strict=True):
            each.describe(key, device)
        each.play(0, 42, *keys)
    wearer.wait(2)
    forget(wearer.live)
    assert wearer.live.streams == 0
    wearer.wait(3, asks=False)
    for key in keys:
        introduce(wearer.live, wearer.abouts[key])
    for each in (whole, wearer):
        each.play(42, 100, *keys)
        each.wait(3)
        for key in keys:
            each.end(key)
            each.post(key)
        each.wait(3)
    assert wearer.labels == whole.labels
    assert all(outbox.is_empty for outbox in wearer.outboxes.values())


def test_three_sessions_that_ended_in_an_outage_come_of_one_device_before_the_other():
    wearer = Wearer()
    expected = {}
    for session in (1, 2, 3):
        wearer.describe(10 * session, "phone", session)
        wearer.record(10 * session, 0, 100)
        wearer.end(10 * session)
        wearer.post(10 * session)
        expected |= undisturbed(2, session=session)
    wearer.wait(1)
    for session in (1, 2, 3):
        wearer.describe(10 * session + 1, "watch", session)
        wearer.record(10 * session + 1, 0, 100)
        wearer.end(10 * session + 1)
        wearer.post(10 * session + 1)
        wearer.wait(3)
    assert wearer.labels == expected
    assert all(outbox.is_empty for outbox in wearer.outboxes.values())
    assert wearer.live.totals()["messages_early"] > 0


def test_a_key_of_which_messages_wait_is_needed_though_it_is_known_no_more():
    wearer = Wearer()
    wearer.describe(ALONE, "sensor")
    wearer.record(ALONE, 0, 500, each=500)
    wearer.end(ALONE)
    outbox = wearer.outboxes[ALONE]
    while (frame := outbox.frame()) is not None:
        outbox.posted()
        take_in_bulk(wearer.live, [frame], 1)  # all of it waits for its turn
    wearer.live._registry._forget_all(wearer.live.known["a"], [wearer.live._registry.keys[ALONE]])
    for _ in range(3):
        wearer.live.take_queued(1)
        wearer.live.infer_due()
        wearer.wait(1, asks=False, hears=False)
    assert wearer.live.backlog_messages
    assert wearer.live.tracking.acknowledgement(ALONE).needed < 500
    wearer.hear()
    wearer.wait(4)
    assert outbox.is_empty
    assert wearer.live.totals()["windows_labelled"] == 124
