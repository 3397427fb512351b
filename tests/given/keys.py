"""Keys that tests can tell beforehand, instead of random ones."""

import hashlib

from kinestream.model.recordings.recording import Channel
from kinestream.streamer.wire.messages import Description


def key_of(stream: str, session: int = 1) -> int:
    """Return the key of a session of a stream."""
    return int.from_bytes(hashlib.blake2b(f"{stream}/{session}".encode(), digest_size=8).digest(), "little")


def described(
    stream: str, channels: tuple[Channel, ...], rate_hz: float, session: int = 1, **others: object
) -> Description:
    """Return the description of a session of a stream."""
    return Description(stream, key_of(stream, session), session, rate_hz, channels, **others)
