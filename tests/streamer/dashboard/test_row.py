"""What is known of one stream, and what is said to be wrong with it."""

import pytest

from kinestream.streamer.dashboard.row import (
    ENDED,
    FINE,
    IMPAIRED,
    LIVE,
    NO_LABELS,
    NOTABLE,
    REFUSED,
    SILENT,
    WAITING,
    Row,
)
from kinestream.streamer.wire.messages import Event
from tests.given.labels import label_of

MS, SECOND = 1_000_000, 1_000_000_000
UNIX = 1_700_000_000 * SECOND
ACCEPTED = {"bundle": "m-1", "rate_hz": 50.0, "window": {"length": 64, "stride": 16, "max_missing": 0.2}}


def event(kind: str, **details: object) -> Event:
    return Event(kind, "anna", details.pop("session", 1), details)


class Wearer:
    """A row that is told of labels as a streamer publishes them; time passes as it is told."""

    def __init__(self) -> None:
        self.row = Row(1, "anna")
        self.now, self.window = 0, 0
        self.tell("accepted", session=-1, **ACCEPTED)

    @property
    def unix(self) -> int:
        return UNIX + self.now

    def tell(self, kind: str, **details: object) -> None:
        self.row.add_event(event(kind, **details), self.now, self.unix)

    def label(self, number: int = 2, count: int = 1, delay_ms: float = 5.0, **others: object) -> None:
        for _ in range(count):
            self.now += 320 * MS
            taken = self.unix - round(delay_ms * MS)
            times = {"t_source": taken, "t_received": self.unix - 2 * MS, "t_published": self.unix}
            self.row.add_label(label_of(window=self.window, **{**times, **others}), number, self.now)
            self.window += 1

    def look(self, after_s: float = 0.0):
        self.now += round(after_s * SECOND)
        return self.row.look(self.now)


def test_it_waits_is_live_is_silent_and_ends():
    wearer = Wearer()
    assert wearer.look().state == WAITING
    wearer.label(count=10)
    seen = wearer.look()
    assert (seen.state, seen.activity, seen.p, seen.severity, seen.problem) == (LIVE, 2, 75, FINE, "")
    assert seen.rate == pytest.approx(3.125, abs=0.1)
    assert seen.nominal == pytest.approx(3.125, abs=0.01)
    assert seen.latency_ms == pytest.approx(5.0, abs=0.1)
    assert seen.devices == (("sensor", ""),)
    seen = wearer.look(after_s=5.0)
    assert (seen.state, seen.severity) == (SILENT, NO_LABELS)
    assert "no label for 5 s" in seen.problem
    assert seen.rate < 0.3
    wearer.label()
    assert wearer.look().state == LIVE
    wearer.tell("end", reason="end")
    seen = wearer.look(after_s=100)
    assert (seen.state, seen.severity, seen.problem) == (ENDED, FINE, "")


def test_a_refusal_says_why_until_it_is_taken_back():
    wearer = Wearer()
    wearer.tell("refused", session=-1, reason="it has no channel phone_acc_x")
    seen = wearer.look()
    assert (seen.state, seen.severity) == (REFUSED, NO_LABELS)
    assert seen.problem == "refused: it has no channel phone_acc_x"
    wearer.tell("accepted", session=-1, **ACCEPTED)
    assert wearer.look().state == WAITING


def test_accepted_without_labels_is_a_problem_that_names_its_cause():
    wearer = Wearer()
    assert wearer.look(after_s=2.0).severity == FINE
    wearer.now += 5 * SECOND
    wearer.tell("device", reason="no device delivers watch_acc_x")
    seen = wearer.look(after_s=1.0)
    assert seen.severity == NO_LABELS
    assert "no device delivers watch_acc_x" in seen.problem


def test_channels_that_no_device_delivers_are_named_at_once_and_not_while_devices_are_still_described():
    wearer = Wearer()
    wearer.tell("accepted", session=-1, **ACCEPTED, undelivered=["watch_gyro_x"])
    assert wearer.look().problem == ""
    wearer.now += SECOND // 2
    wearer.tell("accepted", session=-1, **ACCEPTED, undelivered=["watch_gyro_z"])
    seen = wearer.look(after_s=0.6)
    assert (seen.severity, seen.state) == (NO_LABELS, WAITING)
    assert seen.problem == "no device delivers watch_gyro_z: there are no labels until one does"
    wearer.tell("accepted", session=-1, **ACCEPTED, undelivered=[])
    assert wearer.look().problem == ""
    wearer.tell("accepted", session=-1, **ACCEPTED, undelivered=["watch_gyro_z"])
    wearer.tell("end", reason="end")
    assert wearer.look(after_s=5).problem == ""


def test_the_worst_problem_is_told():
    wearer = Wearer()
    wearer.tell("rate", device="watch", declared_hz=50.0, measured_hz=40.0)
    wearer.label(count=5)
    assert wearer.look().severity == NOTABLE
    wearer.tell("device", device="watch", silent=True, since=0)
    seen = wearer.look()
    assert (seen.severity, seen.problem) == (IMPAIRED, "watch is silent: see that it is on and worn")
    assert ("watch", "silent") in seen.devices
    wearer.tell("device", device="watch", silent=False, since=0)
    assert wearer.look().severity == NOTABLE
    wearer.label(count=40)
    assert wearer.look().severity == FINE  # ten seconds on it is no longer told


def test_missing_samples_late_labels_and_few_labels_are_told():
    wearer = Wearer()
    wearer.label(count=5, missing={"phone": 0.5, "watch": 0.0})
    seen = wearer.look()
    assert seen.missing == 50
    assert seen.problem.startswith("50% of phone's samples are missing")
    wearer = Wearer()
    wearer.label(count=30, delay_ms=3000.0)
    assert "after their windows' ends" in wearer.look().problem
    wearer = Wearer()
    for _ in range(30):
        wearer.now += 320 * MS
        wearer.label()
    assert wearer.look().problem == "1.6 labels/s instead of 3.1"


def test_a_sensor_whose_clock_is_wrong_shows_the_streamers_part_of_the_latency():
    wearer = Wearer()
    wearer.label(count=10, t_source=12345)
    assert wearer.look().latency_ms == pytest.approx(2.0, abs=0.01)


def test_the_strip_follows_the_labels_and_a_pause_stays_empty():
    wearer = Wearer()
    wearer.label(number=2, count=10)
    wearer.now += 10 * SECOND
    wearer.label(number=3, count=10)
    first, cells = wearer.row.strip.since(UNIX // SECOND)
    assert first == UNIX // SECOND
    assert list(cells) == [2] * 4 + [0] * 9 + [3] * 4


def test_skipped_windows_are_drawn_and_marked():
    wearer = Wearer()
    wearer.label(count=3)
    wearer.now += SECOND
    wearer.tell("skipped", first_window=3, last_window=5, reason="missing")
    _, cells = wearer.row.strip.since(wearer.unix // SECOND)
    assert list(cells) == [1]
    assert wearer.row.past.marks[-1].text == "skipped windows 3 to 5: missing"
    assert wearer.look().severity == IMPAIRED
