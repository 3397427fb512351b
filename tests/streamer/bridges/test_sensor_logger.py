"""What Sensor Logger pushes and what it writes into a zip are the same readings: they get the same labels."""

import csv
import io
import os
import zipfile
from pathlib import Path

import httpx
import pytest

from kinestream import SampleConnection, SampleSender
from kinestream.model.datasets import open_source
from kinestream.model.datasets.drafts.first import write_first_draft
from tests.given.bridged import assert_same, named, running_bridge, write_rig
from tests.given.bundles import random_bundle
from tests.given.exports import activities
from tests.given.streamers import running_streamer, subscribed

SERVER = {"host": "127.0.0.1", "port": 0, "https": False}
_REAL = Path(os.environ.get("KINESTREAM_DATA", "nowhere")) / "exports" / "sensorlogger"
BATCH_NS = 200_000_000


def pushed(path: Path) -> list[dict[str, object]]:
    """Return the bodies that the app would have posted while it wrote a zip, one for each fifth of a second."""
    entries = []
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name in ("Metadata.csv", "Annotation.csv") or not name.endswith(".csv"):
                continue
            for row in csv.DictReader(io.StringIO(archive.read(name).decode())):
                axes = {axis: float(value) for axis, value in row.items() if axis in ("x", "y", "z")}
                entries.append({"name": name.removesuffix(".csv").lower(), "time": int(row["time"]), "values": axes})
    batches: dict[int, list[dict[str, object]]] = {}
    for entry in sorted(entries, key=lambda each: (int(str(each["time"])) // BATCH_NS, str(each["name"]))):
        batches.setdefault(int(str(entry["time"])) // BATCH_NS, []).append(entry)
    return [
        {"messageId": number, "sessionId": "s", "deviceId": "d", "payload": each} for number, each in batches.items()
    ]


def pushed_as(channel: str) -> str:
    """Return what the app calls a channel: ``totalacceleration.x`` for ``total_acceleration_x``."""
    sensor, _, axis = channel.rpartition("_")
    return f"{sensor.replace('_', '')}.{axis}"


def check(path: Path, tmp_path: Path, recording: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    write_first_draft(path.parent, tmp_path / "mine.yaml")
    source = open_source(tmp_path / "mine.yaml")
    devices = source.devices(recording)
    bundle = random_bundle([channel for each in devices for channel in each.channels], length=25, stride=10)
    channels = {
        channel.name: {"source": pushed_as(channel.name), "unit": channel.unit}
        for each in devices
        for channel in each.channels
    }
    rig = {"phone": {"web": {"clock": "own"}, "channels": channels}}
    last = min(int(each.times[-1]) for each in devices) - 1_000_000_000
    with running_streamer(bundle) as streamer, subscribed(streamer, "anna") as labels:
        with running_bridge(write_rig(tmp_path / "rig.yaml", streamer, rig, server=SERVER)) as running:
            with httpx.Client() as client:
                for body in pushed(path):
                    assert client.post(f"{running.bridge.address}push/phone", json=body).status_code == 200
            carried = named(labels, last)
        with (
            subscribed(streamer, "zip") as others,
            SampleConnection(streamer.ingest, control=streamer.control) as connection,
        ):
            senders = [
                SampleSender(
                    "zip", each.channels, 0, device=each.name, timing="times", session=1, connection=connection
                )
                for each in devices
            ]
            for sender in senders:
                sender.wait_accepted()
            begin, end = min(each.times[0] for each in devices), max(each.times[-1] for each in devices)
            for since in range(int(begin) // BATCH_NS * BATCH_NS, int(end) + 1, BATCH_NS):
                for sender, each in zip(senders, devices, strict=True):
                    part = slice(*each.times.searchsorted([since, since + BATCH_NS]))
                    if part.stop > part.start:
                        sender.send(each.values[part], times=each.times[part])
            expected = named(others, last)
    assert_same(carried, expected, 4)


def test_a_zip_and_its_pushes_get_the_same_labels(tmp_path, monkeypatch):
    folder = activities(tmp_path / "zips", recordings=1)
    path = sorted(folder.glob("Walking*.zip"))[0]
    check(path, tmp_path, path.stem, monkeypatch)


@pytest.mark.skipif(not _REAL.is_dir(), reason="KINESTREAM_DATA names no folder with exports/sensorlogger")
def test_a_real_zip_and_its_pushes_get_the_same_labels(tmp_path, monkeypatch):
    real = sorted(each for each in _REAL.rglob("*.zip") if each.stem.startswith("Walking"))[0]
    (tmp_path / "zips").mkdir()
    path = tmp_path / "zips" / real.name
    path.symlink_to(real)
    check(path, tmp_path, path.stem, monkeypatch)
