"""What people would write instead, doing the same work: the same wire, windows and weights.

``python -m kinestream.replay.bench.live.contenders NAME BUNDLE INGEST LABELS`` runs one until it is terminated. None
fills gaps, knows more than one stream, or minds what comes in.
"""

import sys
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import zmq

from kinestream.model.bundle.bundle import Bundle, read_bundle
from kinestream.model.clock import now_ns
from kinestream.replay.bench.offline.engines import plain_engines
from kinestream.streamer.wire.codec import decode
from kinestream.streamer.wire.messages import DEVICE, Description, Event, Label, Readings
from kinestream.streamer.wire.published import encode_event, encode_label

Publish = Callable[[tuple[bytes, bytes]], object]


class Worker:
    """Windows of one stream, named as soon as they are full."""

    def __init__(self, bundle: Bundle, engine: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]) -> None:
        self.bundle = bundle
        self.engine = engine
        self.rows: deque[npt.NDArray[np.float32]] = deque(maxlen=bundle.grid.length)
        self.described: Description | None = None

    def take(self, frame: bytes) -> list[tuple[bytes, bytes]]:
        """Return what is to be published."""
        received = now_ns()
        message = decode(frame)
        if isinstance(message, Description):
            if self.described is None or message.key != self.described.key:
                self.described = message
                self.rows.clear()
            return [encode_event(Event("accepted", message.stream, -1, self._about()))]
        if self.described is None or message.key != self.described.key:
            return []
        stream, session = self.described.stream, self.described.session
        if not isinstance(message, Readings):
            return [encode_event(Event("end", stream, session, {}))]
        self.rows.append(np.frombuffer(message.x, dtype="<f4"))
        grid = self.bundle.grid
        number, rest = divmod(message.seq - grid.length + 1, grid.stride)
        if rest or number < 0:
            return []
        ready = now_ns()
        probabilities = self.engine(np.stack(self.rows)[None])[0]
        best = int(probabilities.argmax())
        inferred = now_ns()
        return [
            encode_label(
                Label(
                    stream,
                    session,
                    number,
                    number * grid.stride,
                    message.seq,
                    self.bundle.description.classes[best],
                    best,
                    float(probabilities[best]),
                    probabilities.astype("<f4").tobytes(),
                    {DEVICE: 0.0},
                    "contender",
                    message.t,
                    received,
                    ready,
                    inferred,
                    now_ns(),
                )
            )
        ]

    def _about(self) -> dict[str, Any]:
        about = self.bundle.description
        window = about.window.model_dump()
        details = {"bundle": "contender", "rate_hz": about.rate_hz, "window": window, "classes": list(about.classes)}
        return details | {"null_class": about.null_class, "columns": None, "subscribers": 1}


def run_loop(worker: Worker, ingest: str, labels: str) -> None:
    """Receive, infer, publish, over and over, with pyzmq alone."""
    with zmq.Context() as context, context.socket(zmq.PULL) as samples, context.socket(zmq.PUB) as out:
        samples.bind(ingest)
        out.bind(labels)
        _tell_ready()
        while True:
            for frames in worker.take(samples.recv()):
                out.send_multipart(frames)


def run_ezmsg(worker: Worker, ingest: str, labels: str) -> None:
    """Do the same as three ezmsg units: a source, the recognition, a sink."""
    import ezmsg.core as ez
    import zmq.asyncio

    class Source(ez.Unit):  # type: ignore[misc]
        FRAMES = ez.OutputStream(bytes)

        @ez.publisher(FRAMES)  # type: ignore[untyped-decorator]
        async def receive(self) -> Any:
            socket = zmq.asyncio.Context.instance().socket(zmq.PULL)
            socket.bind(ingest)
            _tell_ready()
            while True:
                yield self.FRAMES, await socket.recv()

    class Recognition(ez.Unit):  # type: ignore[misc]
        FRAMES = ez.InputStream(bytes)
        LABELS = ez.OutputStream(tuple)

        @ez.subscriber(FRAMES)  # type: ignore[untyped-decorator]
        @ez.publisher(LABELS)  # type: ignore[untyped-decorator]
        async def recognise(self, frame: bytes) -> Any:
            for frames in worker.take(frame):
                yield self.LABELS, frames

    class Sink(ez.Unit):  # type: ignore[misc]
        LABELS = ez.InputStream(tuple)

        async def initialize(self) -> None:
            self.socket = zmq.asyncio.Context.instance().socket(zmq.PUB)
            self.socket.bind(labels)

        @ez.subscriber(LABELS)  # type: ignore[untyped-decorator]
        async def publish(self, frames: tuple[bytes, bytes]) -> None:
            await self.socket.send_multipart(frames)

    class Pipeline(ez.Collection):  # type: ignore[misc]
        SOURCE = Source()
        RECOGNITION = Recognition()
        SINK = Sink()

        def network(self) -> Any:
            return (self.SOURCE.FRAMES, self.RECOGNITION.FRAMES), (self.RECOGNITION.LABELS, self.SINK.LABELS)

    ez.run(PIPELINE=Pipeline())


def _tell_ready() -> None:
    """Tell whoever started it."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def main() -> None:
    """Run the contender of this name."""
    name, folder, ingest, labels = sys.argv[1:]
    torch.set_num_threads(1)
    bundle = read_bundle(folder)
    eager, exported = plain_engines(bundle)
    if name == "loop":
        run_loop(Worker(bundle, eager), ingest, labels)
    elif name == "loop-onnx":
        run_loop(Worker(bundle, exported), ingest, labels)
    elif name == "ezmsg":
        run_ezmsg(Worker(bundle, exported), ingest, labels)
    else:
        raise SystemExit(f"no contender called {name}")


if __name__ == "__main__":
    main()
