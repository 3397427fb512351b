"""Streams of the lab streaming layer, by liblsl itself, on this machine."""

import os
import time

import numpy as np
import pytest

from tests.given.bridged import (
    BUNDLE_READ,
    SECOND,
    STEPS,
    Worn,
    assert_same,
    named,
    running_bridge,
    sent_without,
    until,
    write_rig,
)
from tests.given.streamers import PATIENCE_S, running_streamer, subscribed

pylsl = pytest.importorskip("pylsl")

SECONDS = 6.0
LAST = 4 * SECOND
"""By then windows of both devices have come."""
OURS = f"kinestream-test-{os.getpid()}"
"""Outlets are found in the whole network: those of another run of the tests beside this one are called otherwise."""
DEVICES = {
    "phone": {"lsl": {"name": f"{OURS}-phone"}, "rate_hz": 102.0},
    "watch": {"lsl": {"type": f"{OURS}-watch"}, "rate_hz": 52.0},
}


def outlet(worn, source_id=""):
    about = DEVICES[worn.device]["lsl"]
    name, kind = about.get("name", f"{worn.device}-any"), about.get("type", "ACC")
    info = pylsl.StreamInfo(name, kind, len(worn.channels), worn.rate_hz, "float32", source_id)
    info.set_channel_labels([channel.name.removeprefix(worn.device + "_") for channel in worn.channels])
    return pylsl.StreamOutlet(info)


def rig(worn):
    return {
        each.device: DEVICES[each.device]
        | {
            "channels": {
                channel.name: {"source": channel.name.removeprefix(each.device + "_"), "unit": channel.unit}
                for channel in each.channels
            }
        }
        for each in worn
    }


def play(outlets, worn, begin, steps):
    """Push readings at their times, which count from `begin`, Unix ns, in LSL's clock."""
    behind = time.time() - pylsl.local_clock()
    for step in steps:
        for out, each in zip(outlets, worn, strict=True):
            part = each.part(step)
            time.sleep(max(each.times(begin)[part.stop - 1] / SECOND - time.time(), 0))
            for row, stamp in zip(each.values[part], each.times(begin)[part] / SECOND - behind, strict=True):
                out.push_sample(row.tolist(), float(stamp))


@pytest.fixture
def worn():
    return [Worn("phone", 102.0, SECONDS), Worn("watch", 52.0, SECONDS)]


def test_labels_are_those_of_the_same_readings_sent(worn, tmp_path):
    with running_streamer(BUNDLE_READ) as streamer, subscribed(streamer, "anna") as labels:
        outlets = [outlet(each) for each in worn]
        with running_bridge(write_rig(tmp_path / "rig.yaml", streamer, rig(worn))) as running:
            until(lambda: all(out.have_consumers() for out in outlets))
            begin = time.time_ns()
            play(outlets, worn, begin, range(STEPS))
            carried = named(labels, begin + LAST)
            assert not running.look.problems
        expected = sent_without(streamer, worn, begin, begin + LAST)
    assert_same(carried, expected, 8)


def test_an_outlet_that_goes_and_comes_back_goes_on(worn, tmp_path):
    with running_streamer(BUNDLE_READ) as streamer, subscribed(streamer, "anna") as labels:
        outlets = [outlet(each) for each in worn]
        with running_bridge(write_rig(tmp_path / "rig.yaml", streamer, rig(worn))) as running:
            until(lambda: all(out.have_consumers() for out in outlets))
            begin = time.time_ns()
            play(outlets, worn, begin, range(STEPS // 2))
            del outlets[0]
            until(lambda: any("has gone" in problem for problem in running.look.problems), "nothing is said of it")
            outlets.insert(0, outlet(worn[0]))
            until(outlets[0].have_consumers)
            begin = time.time_ns()
            play(outlets, worn, begin, range(STEPS))
            named(labels, begin + LAST)


def test_labels_are_handed_out_as_a_stream(worn, tmp_path):
    with running_streamer(BUNDLE_READ) as streamer:
        outlets = [outlet(each) for each in worn]
        path = write_rig(tmp_path / "rig.yaml", streamer, rig(worn), lsl_labels=f"{OURS}-labels")
        with running_bridge(path):
            found = pylsl.resolve_bypred(f"name='{OURS}-labels'", 1, PATIENCE_S)
            inlet = pylsl.StreamInlet(found[0], recover=False)
            inlet.open_stream(PATIENCE_S)
            until(lambda: all(out.have_consumers() for out in outlets))
            begin = time.time_ns()
            play(outlets, worn, begin, range(STEPS // 2))
            (label,), stamp = inlet.pull_sample(timeout=PATIENCE_S)
            inlet.close_stream()
    assert label in BUNDLE_READ.description.classes
    assert 0 < stamp + time.time() - pylsl.local_clock() - begin / SECOND < SECONDS


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lsl": {"name": "nobody-is-called-this"}}, "looking for a stream of name 'nobody-is-called-this'"),
        ({"channels": {"phone_acc_x": "no_such"}}, "has no channel 'no_such'; it has acc_x"),
        ({"channels": {"phone_acc_x": 99}}, "has no channel 99"),
    ],
)
def test_what_is_missing_is_said(worn, tmp_path, change, said):
    phone = worn[0]
    with running_streamer(BUNDLE_READ) as streamer:
        out = outlet(phone)
        devices = {"phone": rig([phone])["phone"] | change}
        with running_bridge(write_rig(tmp_path / "rig.yaml", streamer, devices)) as running:
            until(lambda: any(said in problem for problem in running.look.problems), said)
        del out


def test_two_streams_that_fit_are_not_chosen_between(worn, tmp_path):
    phone = worn[0]
    with running_streamer(BUNDLE_READ) as streamer:
        outlets = [outlet(phone, "one"), outlet(phone, "two")]
        with running_bridge(write_rig(tmp_path / "rig.yaml", streamer, rig([phone]))) as running:
            until(lambda: any("2 streams of name" in problem for problem in running.look.problems))
            assert not any(out.have_consumers() for out in outlets)


def test_readings_are_converted(tmp_path, worn):
    phone = worn[0]
    devices = rig([phone])
    devices["phone"]["channels"]["phone_acc_x"] |= {"factor": 2.0, "offset": 1.0}
    with running_streamer(BUNDLE_READ) as streamer:
        out = outlet(phone)
        with running_bridge(write_rig(tmp_path / "rig.yaml", streamer, devices)) as running:
            until(out.have_consumers)
            out.push_sample([3.0] * 6, pylsl.local_clock())
            until(lambda: running.look.devices[0].readings)
            values = running.look.devices[0].values
    assert np.isclose(values["phone_acc_x"], 7.0)
    assert np.isclose(values["phone_acc_y"], 3.0)
