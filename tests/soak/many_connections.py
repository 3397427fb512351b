"""Thousands of senders, each over a connection of its own: all get their labels, or a line says who does not and why.

``python -m tests.soak.many_connections 5000``; the limit of open files (``ulimit -n``) must be twice that and more.
"""

import sys
import time
from typing import Any

import numpy as np
import zmq

from kinestream.model.bundle.bundle import read_bundle
from kinestream.replay.process import started_streamer
from kinestream.streamer.wire.messages import Label
from kinestream.streamer.wire.published import decode_published
from tests.soak.encoder import VersionTwo
from tests.soak.run import BUNDLE

_PATIENCE_MS = 20_000


def connect_many(senders: int) -> dict[str, Any]:
    """Have so many senders send two windows each; return how many labels came, and what the streamer said."""
    bundle, encoder = read_bundle(BUNDLE), VersionTwo()
    grid, rate = bundle.grid, bundle.description.rate_hz
    x = np.random.default_rng(0).normal(size=(grid.length + grid.stride, len(bundle.channels))).astype(np.float32)
    with started_streamer(BUNDLE) as streamer, zmq.Context() as context:
        context.set(zmq.MAX_SOCKETS, senders + 16)
        with context.socket(zmq.SUB) as labels:
            labels.set(zmq.RCVHWM, 0)
            labels.set(zmq.LINGER, 0)
            labels.subscribe(b"label/")
            labels.connect(streamer.addresses.labels)
            sockets = []
            for _ in range(senders):
                sockets.append(context.socket(zmq.PUSH))
                sockets[-1].set(zmq.LINGER, 0)
                sockets[-1].connect(streamer.addresses.ingest)
            for i, socket in enumerate(sockets):
                socket.send(encoder.describe(f"sender-{i}", 1, rate, bundle.channels))
            for first in range(0, len(x), grid.stride):
                for i, socket in enumerate(sockets):
                    part = x[first : first + grid.stride]
                    socket.send(encoder.samples(f"sender-{i}", 1, first, time.time_ns(), part))
            labelled: dict[str, int] = {}
            while sum(labelled.values()) < 2 * senders and labels.poll(_PATIENCE_MS):
                label = decode_published(labels.recv_multipart())
                if isinstance(label, Label):
                    labelled[label.stream] = labelled.get(label.stream, 0) + 1
            for socket in sockets:
                socket.close()
        said, totals = list(streamer.said), streamer.stop()
    return {
        "senders": senders,
        "labels_expected": 2 * senders,
        "labels": sum(labelled.values()),
        "senders_without_a_label": senders - len(labelled),
        "connections_refused": totals["connections_refused"],
        "messages_put_off": totals.get("messages_put_off", 0),
        "streamer_said": [line.strip() for line in said][-5:],
    }


if __name__ == "__main__":
    print(connect_many(int(sys.argv[1]) if len(sys.argv) > 1 else 5000))
