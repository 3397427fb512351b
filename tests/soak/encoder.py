"""What speaks the wire: the soak is written over this, so that it outlives a version of the wire."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from kinestream.model.recordings.recording import Channel
from kinestream.streamer.wire import codec
from kinestream.streamer.wire import messages as wire


class Encoder(Protocol):
    """Writes a sender's messages, one frame each."""

    def describe(self, stream: str, rate_hz: float, channels: tuple[Channel, ...]) -> bytes:
        """Return what says what a stream's columns are."""
        ...

    def samples(self, stream: str, session: int, seq: int, t: int, x: npt.NDArray[np.float32]) -> bytes:
        """Return consecutive samples, shape (n, C), the first of which is number `seq`, the last taken at `t`."""
        ...

    def end(self, stream: str, session: int) -> bytes:
        """Return what ends a session."""
        ...


class VersionOne:
    """Version 1 of the wire."""

    def describe(self, stream: str, rate_hz: float, channels: tuple[Channel, ...]) -> bytes:
        return codec.encode_description(wire.StreamDescription(stream, rate_hz, channels))

    def samples(self, stream: str, session: int, seq: int, t: int, x: npt.NDArray[np.float32]) -> bytes:
        return codec.encode_samples(stream, session, seq, t, x)

    def end(self, stream: str, session: int) -> bytes:
        return codec.encode_end(stream, session)
