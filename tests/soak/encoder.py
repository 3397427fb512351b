"""What speaks the wire: the soak is written over this, so that it outlives a version of the wire."""

from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from kinestream.model.recordings.recording import Channel
from kinestream.streamer.wire import codec
from tests.given.keys import described, key_of


class Encoder(Protocol):
    """Writes a sender's messages, one frame each."""

    def describe(self, stream: str, session: int, rate_hz: float, channels: tuple[Channel, ...]) -> bytes:
        """Return what says what a stream's columns are in a session."""
        ...

    def samples(self, stream: str, session: int, seq: int, t: int, x: npt.NDArray[np.float32]) -> bytes:
        """Return consecutive samples, shape (n, C), the first of which is number `seq`, the last taken at `t`."""
        ...

    def end(self, stream: str, session: int) -> bytes:
        """Return what ends a session."""
        ...


class VersionTwo:
    """Version 2 of the wire."""

    def describe(self, stream: str, session: int, rate_hz: float, channels: tuple[Channel, ...]) -> bytes:
        return codec.encode_description(described(stream, channels, rate_hz, session))

    def samples(self, stream: str, session: int, seq: int, t: int, x: npt.NDArray[np.float32]) -> bytes:
        return codec.encode_samples(_key_of(stream, session), seq, t, x)

    def end(self, stream: str, session: int) -> bytes:
        return codec.encode_end(_key_of(stream, session))


_key_of = lru_cache(maxsize=None)(key_of)
