"""A subscriber that is stopped holds up nobody, and has every label once when it goes on; `tests/soak/stalled.py`."""

import multiprocessing
import os
import signal

import numpy as np

from kinestream.streamer.client import Label, LabelSubscriber, SampleConnection, SampleSender
from kinestream.streamer.server.history import HISTORY_BYTES
from tests.given.bundles import random_bundle
from tests.given.hostile import until
from tests.given.streamers import running_streamer
from tests.soak.stalled import listen

BUNDLE = random_bundle(channels=3, classes=4, length=8, stride=4)
STREAMS, WINDOWS = 12, 3500
WAIT_S = 60.0


def test_a_stopped_subscriber_holds_up_nobody_and_has_every_label_once():
    x = np.random.default_rng(0).normal(size=(4 * (WINDOWS + 1), 3)).astype(np.float32)
    spawn = multiprocessing.get_context("spawn")
    with (
        running_streamer(BUNDLE, history=300) as streamer,
        LabelSubscriber(streamer.labels, fill=False) as other,
        SampleConnection(streamer.ingest, control=streamer.control) as connection,
    ):
        ours, theirs = spawn.Pipe()
        stopped = spawn.Process(target=listen, args=(streamer.labels, streamer.control, STREAMS, theirs))
        stopped.start()
        assert ours.poll(WAIT_S)
        assert ours.recv() == "listening"
        senders = [
            SampleSender(f"s{number}", BUNDLE.channels, 50.0, connection=connection) for number in range(STREAMS)
        ]
        until(lambda: senders[0].wait_accepted()["subscribers"] == 2)
        os.kill(stopped.pid, signal.SIGSTOP)
        try:
            for first in range(0, len(x), 400):
                for sender in senders:
                    sender.send(x[first : first + 400])
            labels = 0
            while labels < STREAMS * WINDOWS:
                message = other.receive(WAIT_S)
                assert message is not None
                labels += isinstance(message, Label)
        finally:
            os.kill(stopped.pid, signal.SIGCONT)
        for sender in senders:
            sender.end()
        assert ours.poll(WAIT_S)
        came = ours.recv()
        stopped.join()
        assert streamer.history.size <= HISTORY_BYTES
        assert streamer.totals()["requests_of_history"] >= STREAMS
    assert came["labels"] == STREAMS * WINDOWS
    assert (came["twice"], came["out_of_turn"], came["missed"], came["ended"]) == (0, 0, 0, STREAMS)
    assert came["filled"] > 0, "the streamer dropped nothing"
