"""A recording as its devices delivered it keeps its time line: sample 0, and which label a moment has."""

from dataclasses import replace

import numpy as np
import pytest

from kinestream.model.errors import SourceError
from kinestream.model.recordings.devices import DeviceReadings
from kinestream.model.recordings.laid import during, laid, on_its_devices_clock
from kinestream.model.recordings.recording import UNLABELLED, Channel, Recording

SECOND = 1_000_000_000
BEGIN = 5 * SECOND
CHANNELS = (Channel("x"), Channel("y"))
LABELS = np.repeat(np.arange(4, dtype=np.int16), 25)
RECORDING = Recording(
    "a",
    "p",
    "d",
    50.0,
    CHANNELS,
    np.zeros((100, 2), np.float32),
    BEGIN + np.arange(100) * SECOND // 50,
    LABELS,
    ("a", "b", "c", "d"),
)


def ramp(name: str, channel: Channel, rate_hz: float, begin_s: float, end_s: float) -> DeviceReadings:
    """Return a device whose reading is the time in seconds."""
    at = np.arange(round(begin_s * rate_hz), round(end_s * rate_hz) + 1) / rate_hz
    times = np.round(at * SECOND).astype(np.int64)
    return DeviceReadings(name, rate_hz, (channel,), times, at.astype(np.float32)[:, None], np.arange(len(at)))


DEVICES = (ramp("one", CHANNELS[0], 104.0, 3.0, 9.0), ramp("two", CHANNELS[1], 20.0, 4.5, 9.0))


def test_samples_lie_where_the_recordings_do():
    found = laid(RECORDING, during(RECORDING, DEVICES), 50.0, 16)
    np.testing.assert_array_equal(found.timestamps, RECORDING.timestamps)
    np.testing.assert_array_equal(found.labels, LABELS)
    assert found.channels == CHANNELS
    assert found.devices == ((0,), (1,))
    seconds = (RECORDING.timestamps / SECOND)[:, None]
    np.testing.assert_allclose(found.samples[:-5], np.repeat(seconds[:-5], 2, axis=1), rtol=1e-6)


def test_another_rate_has_the_label_of_the_nearest_moment():
    found = laid(RECORDING, during(RECORDING, DEVICES), 25.0, 8)
    assert found.rate_hz == 25.0
    np.testing.assert_array_equal(found.timestamps, RECORDING.timestamps[::2])
    np.testing.assert_array_equal(found.labels, LABELS[::2])


def test_what_comes_after_a_part_is_not_of_it_and_a_second_before_it_is():
    part = replace(RECORDING, samples=RECORDING.samples[50:75], timestamps=RECORDING.timestamps[50:75])
    for device, whole in zip(during(part, DEVICES), DEVICES, strict=True):
        assert device.times[0] == whole.times[np.searchsorted(whole.times, 5 * SECOND)]
        end = RECORDING.timestamps[75]
        assert device.times[-1] < end <= whole.times[np.searchsorted(whole.times, device.times[-1]) + 1]
        assert device.numbers[0] == np.searchsorted(whole.times, 5 * SECOND)


def test_samples_without_a_time_of_their_devices_have_no_labels():
    elsewhere = replace(RECORDING, timestamps=RECORDING.timestamps - BEGIN)
    found = on_its_devices_clock(elsewhere, DEVICES)
    assert found.timestamps[0] == 4.5 * SECOND
    assert found.timestamps[-1] == 9 * SECOND
    assert (found.labels == UNLABELLED).all()
    assert on_its_devices_clock(RECORDING, DEVICES) is RECORDING


def test_devices_that_recorded_at_no_time_together_are_refused():
    with pytest.raises(SourceError, match="recording a: its devices recorded at no time together"):
        on_its_devices_clock(RECORDING, (DEVICES[0], ramp("two", CHANNELS[1], 20.0, 10.0, 12.0)))
    late = during(RECORDING, (ramp("one", CHANNELS[0], 20.0, 10.0, 12.0),))
    with pytest.raises(SourceError, match="delivered nothing"):
        laid(RECORDING, late, 50.0, 16)
