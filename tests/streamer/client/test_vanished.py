"""A streamer whose machine vanishes says nothing: who only listens to it notices all the same, and finds it again."""

import time

import numpy as np
import pytest
import zmq

from kinestream.streamer.client import Label, LabelSubscriber, SampleSender
from kinestream.streamer.transport import sockets
from tests.given.bundles import random_bundle
from tests.given.severed import can_sever, severed
from tests.given.streamers import running_streamer

pytestmark = pytest.mark.skipif(not can_sever, reason="needs nft, and to be root")
BUNDLE = random_bundle(channels=3, classes=4, length=8, stride=4)
WAIT_S = 30.0


def receive(subscriber: LabelSubscriber, windows: set[tuple[int, int]], until: set[tuple[int, int]]) -> None:
    """Take labels until so many windows have come, by session."""
    deadline = time.monotonic() + WAIT_S
    while not until <= windows:
        assert time.monotonic() < deadline, windows
        message = subscriber.receive(0.1)
        if isinstance(message, Label):
            windows.add((message.session, message.window))


@pytest.mark.parametrize("has_keepalive", [True, False])
def test_a_subscriber_notices_and_comes_again(monkeypatch, has_keepalive):
    quick = {zmq.TCP_KEEPALIVE_IDLE: 1, zmq.TCP_KEEPALIVE_INTVL: 1, zmq.TCP_KEEPALIVE_CNT: 2}
    monkeypatch.setattr(sockets, "KEEPALIVE", {zmq.TCP_KEEPALIVE: int(has_keepalive), **quick})
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    with (
        running_streamer(BUNDLE) as streamer,
        LabelSubscriber(streamer.labels, control=streamer.control, streams=["anna"], log=False) as subscriber,
    ):

        def send(session: int) -> None:
            where = {"endpoint": streamer.ingest, "control": streamer.control}
            with SampleSender("anna", BUNDLE.channels, 50.0, session=session, **where) as sender:
                sender.wait_accepted(WAIT_S)
                sender.send(x)

        def windows(session: int) -> set[tuple[int, int]]:
            return {(session, window) for window in range(9)}

        had: set[tuple[int, int]] = set()
        send(1)
        receive(subscriber, had, windows(1))
        handshakes = subscriber._handshakes
        handshakes.update()
        assert handshakes.reached
        before = handshakes.times
        with severed([streamer.labels]):
            deadline = time.monotonic() + (WAIT_S if has_keepalive else 6.0)
            while handshakes.reached and time.monotonic() < deadline:
                subscriber.receive(0.1)
                handshakes.update()
            assert handshakes.reached is not has_keepalive  # without, it would never know
        if has_keepalive:
            send(2)
            receive(subscriber, had, windows(1) | windows(2))
            assert handshakes.times > before
