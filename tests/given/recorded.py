"""Recorders as users start them, and files that were written without a streamer."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import msgpack
import numpy as np

from kinestream.model.datasets.recorded.schemas import ANNOTATION, SIGNAL, signal_channel
from kinestream.model.recordings.recording import Channel
from kinestream.streamer.record.writer import RecordingWriter
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.wire.messages import Annotation
from kinestream.streamer.wire.published import encode_annotation
from kinestream.streamer.wire.signals import SignalWriter
from tests.given.hostile import PATIENCE_S, until

RECORD = [sys.executable, "-P", "-m", "kinestream", "record", "--json"]
ABOUT = {"bundle": "b-1", "engine": "kernel", "streamer": "0", "rate_hz": "50.0", "length": "8", "stride": "4"}
ABOUT |= {"classes": '["walk", "sit"]', "null_class": ""}
SECOND = 1_000_000_000


class RunningRecorder:
    """A `kinestream record`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._said: tuple[str, str] | None = None

    @property
    def said(self) -> tuple[str, str]:
        """What it has printed when it has ended, on stdout and stderr; waits for that."""
        if self._said is None:
            self._said = self.process.communicate(timeout=PATIENCE_S)
        return self._said

    def stop(self) -> dict[str, Any]:
        """Have it end as it should; return what it says it has recorded."""
        self.process.send_signal(signal.SIGTERM)
        out, err = self.said
        assert self.process.returncode == 0, err
        return json.loads(out)


@contextmanager
def recording(
    streamer: Streamer,
    out: Path,
    *options: object,
    before: Sequence[str] = (),
    fleet: str | None = None,
    others: Sequence[Streamer] = (),
) -> Iterator[RunningRecorder]:
    """Run a recorder of a streamer, from when it is subscribed; `before` is put before its command.

    Where it is given a fleet's address, it is awaited at the `others` of the fleet, too.
    """
    addresses = ["--labels", streamer.labels, "--watch", streamer.watch] if fleet is None else ["--fleet", fleet]
    command = [*before, *RECORD, "--out", str(out), *addresses, *map(str, options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            topics = [
                topic
                for each in (streamer, *others)
                for topic in (
                    (each.ports.watched, b"signal/x/"),
                    (each.ports.watched, b"status/"),
                    (each.ports.subscriptions, b"label/x/"),
                    (each.ports.subscriptions, b"annotation/x/"),
                )
            ]
            if "--streams" in options:
                topics = topics[1:2]
            until(lambda: process.poll() is not None or all(each.matching(topic) for each, topic in topics))
            yield RunningRecorder(process)
        finally:
            if process.poll() is None:
                process.kill()


def channels(count: int) -> list[Channel]:
    """Return channels of these names."""
    return [Channel(f"c{i}", "m/s2") for i in range(count)]


class MadeUp:
    """Writes a recording that no streamer published.

    Parameters
    ----------
    folder : Path
        Where.
    about : dict of str by str
        What is said of the streamer.
    """

    def __init__(self, folder: Path, about: dict[str, str] = ABOUT) -> None:
        self.folder = folder
        self._writer = RecordingWriter(folder, most_bytes=1 << 40, most_s=1e9, sync_s=1e9)
        self._writer.describe(about)
        self._messages = 0

    def signal(
        self,
        x: np.ndarray,
        first: int = 0,
        *,
        stream: str = "anna",
        session: int = 1,
        device: str = "sensor",
        t: int | None = None,
        times: np.ndarray | None = None,
        origin: int = 0,
        rate_hz: float = 50.0,
        named: Sequence[Channel] | None = None,
        tells: bool = True,
    ) -> None:
        """Write readings; on the grid, those of number k were taken at k / rate, unless `t` says it of the last."""
        timing = "grid" if times is None else "times"
        writer = SignalWriter(stream, session, device, origin, rate_hz, timing, named or channels(x.shape[1]))
        if t is None:
            t = int(times[-1]) if times is not None else round((first + len(x) - 1) * SECOND / rate_hz)
        packed = b"" if times is None else times.astype("<i8").tobytes()
        values = x.astype("<f4").tobytes()
        frame = writer.frames(self._messages, first, t, values, packed, channels=tells)[1]
        self._messages += 1
        self._writer.add(signal_channel(stream, device), SIGNAL, frame, t, t, stream=stream, device=device)

    def annotation(self, activity: str, begin: int, end: int, *, stream: str = "anna", session: int = 1) -> None:
        """Write what somebody said."""
        frame = encode_annotation(Annotation(stream, session, activity, begin, end))[1]
        self._writer.add(f"annotation/{stream}", ANNOTATION, frame, begin, begin, stream=stream)

    def finish(self) -> Path:
        """End the file; return the folder."""
        self._writer.finish()
        return self.folder


def messages_of(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield topic and content of all messages of a folder's files, as the package `mcap` reads and checks them.

    A file without an index, since there was no room for one, is read from its beginning.
    """
    from mcap import records
    from mcap.exceptions import EndOfFile
    from mcap.reader import make_reader
    from mcap.stream_reader import MAGIC_SIZE, StreamReader

    for path in sorted(folder.glob("*.mcap")):
        content = path.read_bytes()
        if content.endswith(content[:MAGIC_SIZE]):
            for _, channel, message in make_reader(BytesIO(content), validate_crcs=True).iter_messages(
                log_time_order=False
            ):
                yield channel.topic, msgpack.unpackb(message.data)
            continue
        topics: dict[int, str] = {}
        with suppress(EndOfFile):
            for record in StreamReader(BytesIO(content), validate_crcs=True).records:
                if isinstance(record, records.Channel):
                    topics[record.id] = record.topic
                elif isinstance(record, records.Message):
                    yield topics[record.channel_id], msgpack.unpackb(record.data)
