"""The wall clock is set by an hour under a streamer: nothing is missing, its own time goes on, and a line says so."""

import signal
import subprocess
import time

import numpy as np
import pytest

from kinestream.replay.process import OwnStreamer
from kinestream.streamer.client import Event, Label, LabelSubscriber, SampleSender
from kinestream.streamer.client.keeper import health
from tests.given.clocks import HOUR_S, SteppedClock, stepped_clock
from tests.given.hostile import BUNDLE, PATIENCE_S, SERVE, WIDTH, until
from tests.given.systemd import systemd

__all__ = ["stepped_clock"]


@pytest.mark.parametrize("ahead_s", [HOUR_S, -HOUR_S])
def test_labels_signs_of_life_and_draining_go_by_a_clock_that_nobody_sets(stepped_clock: SteppedClock, ahead_s: float):
    command = [*SERVE, "--no-restart", "--drain", "3", "--forget-after", "30"]
    with (
        systemd(watchdog_s=20.0) as service,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=stepped_clock.environment | service.environment,
        ) as process,
    ):
        streamer = OwnStreamer(process)
        at = streamer.addresses
        heard: list[Label | Event] = []
        with (
            LabelSubscriber(at.labels, streams=["anna"], events=True) as subscriber,
            SampleSender("anna", BUNDLE.channels, 50.0, endpoint=at.ingest, control=at.control) as sender,
        ):

            def send_until_labels(count: int) -> None:
                until = time.monotonic() + PATIENCE_S
                before = sum(isinstance(each, Label) for each in heard)
                while sum(isinstance(each, Label) for each in heard) < before + count:
                    assert time.monotonic() < until
                    sender.send(np.zeros((4, WIDTH)), seq=sender.seq)
                    if (one := subscriber.receive(0.02)) is not None:
                        heard.append(one)

            until(lambda: sender.describe() or subscriber.receive(0.1))
            send_until_labels(5)
            uptime = health(at.control).uptime_s
            stepped_clock.set(ahead_s)
            service.wait_for("WATCHDOG", anew=True)
            send_until_labels(5)
            until(lambda: any("the clock of this machine stepped" in line for line in streamer.said))
            assert uptime < health(at.control).uptime_s < uptime + 600
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            service.wait_for("STOPPING")
            send_until_labels(1)
            while process.poll() is None:
                sender.send(np.zeros((4, WIDTH)), seq=sender.seq)
                if (one := subscriber.receive(0.02)) is not None:
                    heard.append(one)
                assert time.monotonic() - began < PATIENCE_S
            assert 3.0 <= time.monotonic() - began
            while (one := subscriber.receive(0.2)) is not None:
                heard.append(one)
    assert process.returncode == 0
    labels = [each for each in heard if isinstance(each, Label)]
    assert [each.window for each in labels] == list(range(len(labels)))
    assert {each.event for each in heard if isinstance(each, Event)} <= {"accepted", "end"}
    assert len([each for each in labels if abs(each.t_published / 1e9 - time.time() - ahead_s) < 600]) >= 6
    (way,) = {line.split("stepped ")[1].split()[0] for line in streamer.said if "stepped" in line}
    assert way == ("forward" if ahead_s > 0 else "back")
