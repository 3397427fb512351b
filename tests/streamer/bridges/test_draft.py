"""A rig drafted from a bundle has all its channels and can be read; its guesses rest on names and on gravity."""

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinestream import Channel
from kinestream.replay.demo import BUNDLE
from kinestream.streamer.bridges.draft import draft_rig
from kinestream.streamer.bridges.rig import read_rig
from tests.given.bridged import BUNDLE_READ
from tests.given.bundles import random_bundle

KINDS = ("web", "lsl", "csv")
NO_CHANNELS = random_bundle(channels=1)


def bundle_of(*channels, mean=0.0, deviation=1.0):
    """Return a bundle of channels, given by name or by name and unit; nothing is asked of its network."""
    named = [each if isinstance(each, Channel) else Channel(each) for each in channels]
    like = NO_CHANNELS.description.channels[0]
    entries = tuple(
        like.model_copy(update={"name": each.name, "unit": each.unit, "mean": mean, "deviation": deviation})
        for each in named
    )
    return replace(NO_CHANNELS, description=NO_CHANNELS.description.model_copy(update={"channels": entries}))


def drafted(bundle, kind=None):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rig.yaml"
        path.write_text(draft_rig(bundle, kind), encoding="utf-8")
        return read_rig(path)


def sources(rig):
    return {name: each.source for device in rig.devices.values() for name, each in device.channels.items()}


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_the_shipped_bundles_rig_has_its_two_devices_with_all_channels_in_their_units(kind):
    rig = drafted(BUNDLE_READ, kind)
    assert list(rig.devices) == ["phone", "watch"]
    assert {device.kind for device in rig.devices.values()} == {kind or "web"}
    channels = [(name, each.unit) for device in rig.devices.values() for name, each in device.channels.items()]
    assert channels == [(channel.name, channel.unit) for channel in BUNDLE_READ.channels]


def test_sources_of_every_kind():
    web, lsl, csv = (sources(drafted(BUNDLE_READ, kind)) for kind in KINDS)
    assert (web["phone_acc_x"], web["watch_gyro_z"]) == ("totalacceleration.x", "gyroscope.z")
    assert (lsl["phone_acc_x"], lsl["watch_gyro_z"]) == ("acc_x", "gyro_z")
    assert (csv["phone_acc_x"], csv["watch_gyro_z"]) == (3, 8)
    assert [device.csv.where for device in drafted(BUNDLE_READ, "csv").devices.values()] == [
        {"1": "phone"},
        {"1": "watch"},
    ]
    alone = drafted(bundle_of("acc_x", "acc_y"), "csv").devices["sensor"]
    assert (alone.csv.where, alone.csv.time, alone.rate_hz) == ({}, 1, 50.0)


@pytest.mark.parametrize(
    ("name", "device", "source"),
    [
        ("total_acceleration_x", "phone", "totalacceleration.x"),
        ("gyroscope_y", "phone", "gyroscope.y"),
        ("wristAccZ", "wrist", "totalacceleration.z"),
        ("left-foot gyr X", "left_foot", "gyroscope.x"),
        ("chest_lin_acc_x", "chest", "accelerometer.x"),
        ("magnetometer_x", "phone", "magnetometer.x"),
        ("wrist_x", "wrist", "WRITE_ME.x"),
        ("c0", "phone", "WRITE_ME.x"),
    ],
)
def test_what_a_name_tells(name, device, source):
    rig = drafted(bundle_of(name), "web")
    assert list(rig.devices) == [device]
    assert sources(rig) == {name: source}


def test_a_phone_is_guessed_only_where_all_are_axes_of_its_sensors():
    assert drafted(bundle_of("acc_x", "gyro_y")).devices["phone"].kind == "web"
    assert drafted(bundle_of("acc_x", "wrist_y")).devices["wrist"].kind == "csv"


@pytest.mark.parametrize(
    ("unit", "mean", "source", "said"),
    [
        ("m/s2", 5.7, "totalacceleration.x", "with gravity: in training it read 10.0 m/s2 on average"),
        ("g", 0.57, "totalacceleration.x", "with gravity: in training it read"),
        ("m/s2", 0.1, "accelerometer.x", "without gravity: in training it read 1.7 m/s2 on average"),
        ("", 5.7, "totalacceleration.x", "guessed: with gravity"),
    ],
)
def test_training_tells_whether_gravity_is_in_it(unit, mean, source, said):
    channels = [Channel(f"accelerometer_{axis}", unit) for axis in "xyz"]
    bundle = bundle_of(*channels, mean=mean, deviation=1.0 if unit != "g" else 0.1)
    assert sources(drafted(bundle))["accelerometer_x"] == source
    assert draft_rig(bundle).count(said) == 1


names = st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" "), min_size=1, max_size=64)
units = st.sampled_from(["", "m/s2", "g", "°/s", "no such unit: #"])


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(names, units, min_size=1, max_size=40), st.sampled_from([None, *KINDS]))
def test_whatever_channels_are_called_their_rig_can_be_read(channels, kind):
    rig = drafted(bundle_of(*(Channel(name, unit) for name, unit in channels.items())), kind)
    assert {name: each.unit for device in rig.devices.values() for name, each in device.channels.items()} == channels


def kinestream(*arguments):
    command = [sys.executable, "-P", "-m", "kinestream", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_prints_it(tmp_path):
    done = kinestream("bridge", "--draft", str(BUNDLE))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == draft_rig(BUNDLE_READ)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--kind", "csv"], "--kind goes with --draft"),
        (["--draft", str(BUNDLE), "--check"], "leave out RIG, --check and --seconds"),
        (["--draft", "no-such-bundle"], "no-such-bundle"),
    ],
)
def test_what_makes_no_sense_is_a_line(arguments, said):
    done = kinestream("bridge", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
