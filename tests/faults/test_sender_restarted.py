"""A sender that is killed, and started anew with its spool, loses nothing of what it had sent; nor if the streamer is
killed as well."""

import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from kinestream.model.bundle.bundle import read_bundle
from kinestream.streamer.recognizer.recognizer import Recognizer
from tests.faults.killed import BUNDLE, Heard
from tests.given.served import Served, served

RATE, CHUNK = 50.0, 5
ROWS = np.random.default_rng(3).normal(0, 3, (40_000, len(read_bundle(BUNDLE).channels))).astype(np.float32)

SENDER = """
import sys, time
import numpy as np
from kinestream.model.bundle.bundle import read_bundle
from kinestream.streamer.client import Reliable, SampleSender
bundle, ingest, control, spool, first, end, pace = sys.argv[1:]
channels = read_bundle(bundle).channels
rows = np.random.default_rng(3).normal(0, 3, (40_000, len(channels))).astype(np.float32)
reliable = Reliable(spool=spool, close_s=60)
with SampleSender("anna", channels, 50.0, endpoint=ingest, control=control, reliable=reliable) as sender:
    for at in range(int(first), int(end), 5):
        sender.send(rows[at : at + 5], seq=sender.seq)
        print(sender.session, at + 5, flush=True)
        time.sleep(float(pace))
"""


def run_sender(streamer: Served, spool, first: int, end: int, pace: float, kill_after: float | None):
    """Send rows; return the session, and past which row it has said that it had sent them."""
    addresses = streamer.addresses
    command = [sys.executable, "-c", SENDER, BUNDLE, addresses.ingest, addresses.control, spool, first, end, pace]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        if kill_after is not None:
            time.sleep(kill_after)
            process.send_signal(signal.SIGKILL)
        *_, last = [said, *process.stdout.readlines()]
        assert process.wait(90) == (0 if kill_after is None else -signal.SIGKILL)
    session, sent = map(int, last.split())
    return session, sent


def labels_of(first: int, end: int) -> dict[int, tuple[str, bytes]]:
    """Return what a recognizer of our own says of rows."""
    live = Recognizer.load(BUNDLE, device="cpu")
    return {label.window: (label.label, label.probs) for label in live.push("anna", ROWS[first:end])}


@pytest.mark.parametrize("streamer_dies", [True])
def test_what_a_killed_sender_had_sent_is_delivered_by_the_next(tmp_path, streamer_dies):
    rng = random.Random(streamer_dies)
    spool, first, sessions = tmp_path / "anna.spool", 0, []
    with served() as streamer, Heard(streamer.addresses) as heard:
        for number in range(3):
            if streamer_dies:
                streamer.kill()
                if number == 1:
                    streamer.wait_ready(number + 2)
            session, sent = run_sender(streamer, spool, first, 40_000, 0.01, rng.uniform(0.3, 1.5))
            sessions.append((session, first, sent))
            first = sent
        session, sent = run_sender(streamer, spool, first, first + 1_000, 0.0, None)
        sessions.append((session, first, sent))
        time.sleep(1.0)
    assert len(sessions) == 4
    for session, begin, end in sessions:
        for window, expected in labels_of(begin, end).items():
            assert heard.labels.get(("anna", session, window)) == expected, (session, window)
    assert not list(spool.glob("*.log"))  # all was acknowledged
