"""A phone and a watch that are sent by programs of their own: streamer, phone and watch die, and no label is lost."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from kinestream import Label, LabelSubscriber, Recognizer
from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.recordings.resample import resample, resampling
from kinestream.model.recordings.samplegrid import SampleGrid, exact_rate
from kinestream.replay.demo import BUNDLE
from tests.given.served import kill, served_at
from tests.given.streamers import free_addresses

PATIENCE_S = 60.0
REACH_NS = 60_000_000  # how far a reading is felt on the grid, and more
SECONDS = 24
BEGAN = 1_700_000_000_000_000_000
RATES = {"phone": 102.0, "watch": 49.6}
BUNDLE_READ = read_bundle(BUNDLE)
GRID = SampleGrid(0, exact_rate(BUNDLE_READ.description.rate_hz))  # of senders that know nothing of each other

SENDS = """
import select
import sys
import numpy as np
from kinestream import Reliable, SampleConnection, SampleSender
from kinestream.model.bundle.bundle import read_bundle
from kinestream.replay.demo import BUNDLE

device, rate, ingest, control, folder = sys.argv[1:]
kept = np.load(f"{folder}/{device}.npz")
channels = [each for each in read_bundle(BUNDLE).channels if each.name.startswith(device)]
connection = SampleConnection(ingest, control=control, reliable=Reliable(spool=f"{folder}/{device}.spool"))
sender = SampleSender("anna", channels, float(rate), device=device, timing="times", connection=connection)
while True:
    if not select.select([sys.stdin], [], [], 0.05)[0]:
        connection.service()
        continue
    line = sys.stdin.readline()
    if line == "0 0\\n":
        break
    first, end = map(int, line.split())
    for at in range(first, end, 10):
        until = min(at + 10, end)
        sender.send(kept["x"][at:until], times=kept["times"][at:until], seq=at)
    print(end, flush=True)
sender.end()
connection.close()
"""


class Device:
    """One of the programs, started again as often as it is killed.

    Parameters
    ----------
    name : str
        Of the device.
    addresses : list of str
        Of samples and control.
    folder : Path
        Where its readings are, and what it keeps.
    """

    def __init__(self, name: str, addresses: list[str], folder: Path) -> None:
        rng = np.random.default_rng(len(name))
        count = int(SECONDS * RATES[name])
        at = np.arange(count) / RATES[name] + rng.uniform(0, 0.004, count)
        width = sum(each.name.startswith(name) for each in BUNDLE_READ.channels)
        self.times = BEGAN + np.round(at * 1e9).astype(np.int64)
        self.values = rng.normal(size=(count, width)).astype(np.float32)
        self._command = [sys.executable, "-c", SENDS, name, str(RATES[name]), *addresses, str(folder)]
        self._sent = 0
        self.began_at: list[int] = []  # the number of each run's first reading
        np.savez(folder / f"{name}.npz", x=self.values, times=self.times)
        self.start()

    def start(self) -> None:
        self.began_at.append(self._sent)
        self.process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(self, share: float) -> None:
        """Send its readings up to a share of them, and wait until they are sent."""
        end = int(share * len(self.times))
        self.process.stdin.write(f"{self._sent} {end}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == f"{end}\n"
        self._sent = end

    def die(self) -> None:
        """Be killed, with whatever was not delivered."""
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def end(self) -> None:
        """Say that no more comes."""
        self.process.stdin.write("0 0\n")
        self.process.stdin.flush()

    def is_done(self) -> bool:
        """Wait until all is delivered that it had."""
        return self.process.wait(PATIENCE_S) == 0

    @property
    def columns(self) -> list[int]:
        return [i for i, each in enumerate(BUNDLE_READ.channels) if each.name.startswith(self._command[3])]


@contextmanager
def sent_by(name: str, addresses: list[str], folder: Path) -> Iterator[Device]:
    device = Device(name, addresses, folder)
    try:
        yield device
    finally:
        device.process.kill()
        device.process.communicate()


def expected(devices: list[Device]) -> list[tuple[int, str, bytes]]:
    """Return the labels of what the devices' readings come to on the grid."""
    first = GRID.at_or_after(min(int(each.times[0]) for each in devices))
    end = GRID.at_or_after(max(int(each.times[-1]) for each in devices) + 1)
    rows = np.full((end - first, len(BUNDLE_READ.channels)), np.nan, np.float32)
    for each in devices:
        how = resampling(RATES[each._command[3]], GRID)
        rows[:, each.columns] = resample(each.times, each.values, GRID, first, end - first, how)
    return [
        (label.window, label.label, label.probs) for label in Recognizer.load(BUNDLE).push("offline", rows, seq=first)
    ]


def touches_a_restart(window: int, devices: list[Device]) -> bool:
    """Tell whether a window holds samples between the last reading of a program and the first of its next run.

    Across these nothing is interpolated: a program that was started again may have another device behind it.
    """
    shape = BUNDLE_READ.grid
    begin = GRID.time(window * shape.stride) - REACH_NS
    end = GRID.time(window * shape.stride + shape.length - 1) + REACH_NS
    return any(each.times[at - 1] <= end and each.times[at] >= begin for each in devices for at in each.began_at[1:])


@pytest.mark.timeout(240)
def test_streamer_and_senders_die_in_turn_and_together_and_no_label_is_lost(tmp_path):
    addresses = ingest, control, published = free_addresses(3)
    heard: dict[int, tuple[int, str, bytes]] = {}

    def listen(subscriber: LabelSubscriber, count: int) -> None:
        while len(heard) < count:
            message = subscriber.receive(PATIENCE_S)
            assert message is not None, f"no label comes after {len(heard)}"
            if isinstance(message, Label):
                found = message.window, message.label, message.probs
                assert heard.setdefault(message.window, found) == found, "what comes again is the same"

    with (
        LabelSubscriber(published, streams=["anna"], control=control) as subscriber,
        sent_by("phone", [ingest, control], tmp_path) as phone,
        sent_by("watch", [ingest, control], tmp_path) as watch,
    ):
        wanted = expected([phone, watch])
        assert len(wanted) > 25
        with served_at(BUNDLE, addresses) as streamer:
            phone.send(0.25)
            watch.send(0.25)
            listen(subscriber, 3)
            kill(streamer)
        with served_at(BUNDLE, addresses) as streamer:
            phone.send(0.5)
            watch.die()
            watch.start()
            watch.send(0.5)
            listen(subscriber, len(wanted) // 3)
            phone.send(0.75)
            kill(streamer)
            phone.die()
            watch.die()
        with served_at(BUNDLE, addresses):
            phone.start()
            watch.start()
            watch.send(1.0)
            phone.send(1.0)
            phone.end()
            watch.end()
            listen(subscriber, len(wanted))
            assert phone.is_done()
            assert watch.is_done()
    assert sorted(heard) == [window for window, *_ in wanted]
    apart = [each for each in wanted if not touches_a_restart(each[0], [phone, watch])]
    assert len(apart) >= len(wanted) - 15
    assert [heard[window] for window, *_ in apart] == apart
