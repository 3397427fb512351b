"""Two devices on clocks and at rates of their own, through sockets: labels are those of samples laid offline."""

import itertools

import numpy as np
import pytest

from kinestream import Recognizer, SampleConnection, SampleSender
from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.datasets.source import open_source
from kinestream.model.errors import ConfigError
from kinestream.model.recordings.resample import resample, resampling
from kinestream.model.recordings.samplegrid import SampleGrid, exact_rate
from kinestream.replay.demo import BUNDLE, RECORDINGS
from kinestream.streamer.wire.codec import encode_samples
from kinestream.streamer.wire.messages import Description, Label
from tests.given.fed import introduce, take_one
from tests.given.streamers import running_streamer, subscribed

SECOND = 1_000_000_000
ORIGIN = 1_700_000_000_000_000_000
BUNDLE_READ = read_bundle(BUNDLE)
GRID = SampleGrid(ORIGIN, exact_rate(BUNDLE_READ.description.rate_hz))
WINDOW = BUNDLE_READ.grid


class Worn:
    """A device whose readings are interpolated from a recording's grid."""

    def __init__(self, recording, name, rate_hz, seed):
        rng = np.random.default_rng(seed)
        self.name, self.rate_hz = name, rate_hz
        self.channels = tuple(each for each in BUNDLE_READ.channels if each.name.startswith(name))
        columns = [recording.channels.index(each) for each in self.channels]
        count = int(recording.seconds * rate_hz)  # what comes after that would be one reading over and over
        at = np.arange(count) / rate_hz + rng.uniform(0, 0.004, count)
        grid_s = np.arange(len(recording.samples)) / recording.rate_hz
        self.values = np.column_stack(
            [np.interp(at, grid_s, np.nan_to_num(recording.samples[:, column])) for column in columns]
        ).astype(np.float32)
        self.times = ORIGIN + np.round(at * SECOND).astype(np.int64)

    def laid(self, count):
        return resample(self.times, self.values, GRID, 0, count, resampling(self.rate_hz, GRID))


@pytest.fixture(scope="module")
def worn():
    recording = next(iter(open_source(RECORDINGS).recordings()))
    return [Worn(recording, "phone", 102.0, 0), Worn(recording, "watch", 49.6, 1)]


@pytest.fixture(scope="module")
def expected(worn):
    """Labels of the samples that the whole recordings come to, as one stream on the grid."""
    count = 1 + GRID.at_or_after(max(each.times[-1] for each in worn) + 1) - 1
    rows = np.full((count, len(BUNDLE_READ.channels)), np.nan, np.float32)
    for each in worn:
        columns = [BUNDLE_READ.channels.index(channel) for channel in each.channels]
        rows[:, columns] = each.laid(count)
    first = int(GRID.at_or_after(min(each.times[0] for each in worn)))
    labels = Recognizer.load(BUNDLE).push("offline", rows[first:], seq=first)
    assert len(labels) > 30
    return [(label.window, label.label, label.probs) for label in labels]


def heard(subscriber, count):
    labels = []
    while len(labels) < count:
        message = subscriber.receive(10)
        assert message is not None, f"{len(labels)} of {count} labels"
        if isinstance(message, Label):
            labels.append(message)
    return labels


@pytest.mark.parametrize("most", [1, 12])
def test_labels_of_devices_are_those_of_their_samples_on_the_grid(worn, expected, most):
    rng = np.random.default_rng(most)
    with (
        running_streamer(BUNDLE_READ) as streamer,
        subscribed(streamer, "anna") as subscriber,
        SampleConnection(streamer.ingest, control=streamer.control) as connection,
    ):
        senders = [
            SampleSender(
                "anna",
                each.channels,
                each.rate_hz,
                device=each.name,
                timing="times",
                origin=ORIGIN,
                session=7,
                connection=connection,
            )
            for each in worn
        ]
        for sender in senders:
            sender.wait_accepted()
        parts = []
        for i, each in enumerate(worn):
            sizes = rng.integers(1, most + 1, len(each.times))
            edges = np.unique(np.minimum(np.cumsum([0, *sizes]), len(each.times)))
            parts += [(each.times[b - 1], i, a, b) for a, b in itertools.pairwise(edges)]
        for _, i, a, b in sorted(parts):
            senders[i].send(worn[i].values[a:b], times=worn[i].times[a:b], seq=int(a))
        for sender in senders:
            sender.end()
        labels = heard(subscriber, len(expected))
    assert [(label.window, label.label, label.probs) for label in labels] == expected
    assert {tuple(label.missing) for label in labels} == {("phone", "watch")}
    assert all(share < 0.1 for label in labels for share in label.missing.values())
    period = GRID.period_ns
    for label in labels:
        assert abs(label.t_source - (ORIGIN + label.last_seq * period)) < period


@pytest.mark.parametrize("patience", [0.0, 0.5])
def test_who_says_nothing_is_waited_for_as_long_as_the_recognizer_is_patient(worn, patience):
    phone, watch = worn
    live = Recognizer.load(BUNDLE, patience=patience)
    for key, each in enumerate(worn):
        about = Description("anna", key, 7, each.rate_hz, each.channels, each.name, ORIGIN, "times")
        assert introduce(live, about).accepted
    take_one(live, encode_samples(1, 0, int(watch.times[0]), watch.values[:1], watch.times[:1]))
    for at, time in enumerate(phone.times.tolist()):
        take_one(live, encode_samples(0, at, time, phone.values[at : at + 1], phone.times[at : at + 1]))
        labels = [each for each in live.infer() if isinstance(each, Label)]
        if labels:
            break
    due = (
        GRID.time(labels[0].last_seq) + GRID.period_ns + round(patience * SECOND)
    )  # the phone is averaged over a period
    assert 0 <= time - due < 2 * SECOND / phone.rate_hz


@pytest.mark.parametrize("patience", [-0.1, 0.51, float("nan")])
def test_more_patience_than_is_of_use_is_refused(patience):
    with pytest.raises(ConfigError, match=r"patience: give 0 to 0\.5 seconds"):
        Recognizer.load(BUNDLE, patience=patience)
