"""What devices delivered, laid on the grid of a recording, is the recording."""

import numpy as np
import pytest

from kinestream.model.datasets.published.hapt import Hapt
from kinestream.model.datasets.source import open_source
from kinestream.model.recordings.devices import lay
from kinestream.model.recordings.samplegrid import SampleGrid, exact_rate


def test_the_phone_and_the_watch_of_sp_sw_har_are_what_the_recording_was_made_of(real_data):
    source = open_source(real_data / "sp-sw-har-dataset.zip")
    for recording_id in source.ids[::40]:
        recording, devices = source.read(recording_id), source.reader.devices(recording_id)
        assert [device.name for device in devices] == ["phone", "watch"]
        assert tuple(channel for device in devices for channel in device.channels) == recording.channels
        grid = SampleGrid(int(recording.timestamps[0]), exact_rate(recording.rate_hz))
        count = len(recording.samples)
        assert (grid.times(0, count) == recording.timestamps).all()
        laid = lay(devices, grid, 0, count, average=False, longest_gap=100_000_000)
        both = np.isfinite(laid) & np.isfinite(recording.samples)
        assert both.mean() > 0.98
        # Not the same: there, readings of one stamp are averaged; here, spread.
        off = np.abs(laid - recording.samples)[both]
        assert np.median(off) < 1e-3
        assert off.mean() < 0.1 * np.abs(recording.samples[both]).mean()
        for device in devices:
            assert (np.diff(device.times) > 0).all()
            assert len(device.times) / np.ptp(device.times) * 1e9 == pytest.approx(device.rate_hz, rel=0.1)


@pytest.mark.parametrize(
    ("task", "name", "lost"), [("gestures", "subject2_gesture", 2521), ("walk", "subject2_walk", 20)]
)
def test_the_raw_streams_of_actrectut_are_numbered_on_over_the_wrap(real_data, task, name, lost):
    source = open_source(real_data / "ActRecTut.zip", task=task)
    devices = source.reader.devices(name)
    recording = source.read(name)
    assert tuple(channel for device in devices for channel in device.channels) == recording.channels
    missing = 0
    for device in devices:
        steps = np.diff(device.times) / 31_250_000
        assert np.median(steps) == pytest.approx(1, abs=0.01)  # arrivals are irregular, this is the counter
        assert steps.min() > 0.9
        missing += int((np.rint(steps / np.median(steps)) - 1).sum())
    assert missing == lost
    means = np.concatenate([device.values.mean(axis=0) for device in devices])
    spread = recording.samples.std(axis=0)
    assert (np.abs(means - recording.samples.mean(axis=0)) < 0.5 * spread).all()
    ends = [(device.times[0], device.times[-1]) for device in devices]
    assert np.ptp([end for _, end in ends]) < 1_000_000_000


def test_who_publishes_a_grid_alone_has_no_devices(real_data):
    source = open_source(real_data / "HAPT Data Set.zip")
    assert isinstance(source.reader, Hapt)
    assert source.reader.devices(source.ids[0]) == ()
