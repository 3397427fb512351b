"""The disk that the log goes to is full: labels go on, lines are left out, and come again once there is room."""

import itertools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kinestream.model.errors import ChannelMismatch
from kinestream.replay.run import Addresses
from kinestream.streamer.client import SampleSender
from tests.given.disks import PAGE, disk_of, fill
from tests.given.hostile import PATIENCE_S, SERVE, get_labels, until

NAMES = (f"stranger-{number}" for number in itertools.count())


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return a disk of 64 KiB."""
    with disk_of(tmp_path, "64k") as path:
        yield path


class Served:
    """What `get_labels` needs to know of a streamer."""

    def __init__(self, ready: dict) -> None:
        self.addresses = Addresses(ready["samples"], ready["labels"], ready["control"])

    def log_a_line(self) -> None:
        """Have it log that a stream is refused which it has not heard of before."""
        at = self.addresses
        with (
            SampleSender(next(NAMES), ["none"], 50.0, endpoint=at.ingest, control=at.control) as sender,
            pytest.raises(ChannelMismatch),
        ):
            sender.wait_accepted(PATIENCE_S)


@pytest.mark.parametrize("options", [(), ("--log", "json")])
def test_labels_go_on_and_so_does_the_log_once_there_is_room(disk: Path, options: tuple[str, ...]):
    with (
        (disk / "log").open("wb", buffering=0) as log,
        subprocess.Popen([*SERVE, *options], stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        served = Served(json.loads(process.stdout.readline()))
        get_labels(served, "before")
        until(lambda: (disk / "log").stat().st_size)
        log.write(b"#" * (PAGE - (disk / "log").stat().st_size % PAGE))  # what is allocated could be written to
        full, written = fill(disk), (disk / "log").stat().st_size
        for _ in range(3):
            served.log_a_line()
        get_labels(served, "during")
        assert (disk / "log").stat().st_size == written
        full.unlink()
        until(lambda: served.log_a_line() or (disk / "log").stat().st_size > written)
        get_labels(served, "after")
        process.terminate()
        told, _ = process.communicate(timeout=PATIENCE_S)
        text = (disk / "log").read_text()
    assert process.returncode == 0
    assert json.loads(told.splitlines()[-1])["windows_labelled"] >= 6
    assert "before could not be written: there was no room for them" in text
    assert "stopped" in text.splitlines()[-1]
