"""The keys that a take is sent under, one for each of its devices: what they stand for, and which have not ended."""

import secrets
from collections import Counter

import numpy as np

from kinestream.model.clock import now_ns
from kinestream.replay.play.take import Take
from kinestream.streamer.client.checks import check_description
from kinestream.streamer.wire import codec
from kinestream.streamer.wire.messages import Description


class TakeKeys:
    """The keys of one take.

    Where a take is played device by device, its descriptions name the origin of its grid, which is known only once the
    replay begins. Until then it is described as the session before, under other keys, to learn whether the streamer
    takes it.

    Parameters
    ----------
    take : Take
        What is sent.
    chunk : int
        Samples in a message, where it is not played device by device.

    Attributes
    ----------
    take : Take
        As given.
    numbers : list of int
        The key of each device.
    descriptions : list of bytes
        The message that describes each.
    origin : int or None
        When sample 0 lies, Unix ns, where it is played device by device and has begun.

    Raises
    ------
    ConfigError
        If the stream, a device or a channel cannot be called what it is called.
    """

    def __init__(self, take: Take, chunk: int) -> None:
        self.take = take
        self.origin: int | None = None
        self._shift = 0
        if take.delivery is None:
            messages = -(-len(take.recording.samples) // chunk)
            self._left = Counter({0: messages})
            about = [Description(take.stream, 0, take.session, take.recording.rate_hz, take.recording.channels)]
        else:
            self._left = Counter(message.device for message in take.delivery.messages)
            about = self._devices(take.session - 1, now_ns())
        self._describe(about)

    def begin_at(self, origin: int) -> None:
        """Say when sample 0 lies, Unix ns."""
        if self.take.delivery is not None:
            self.origin = origin
            self._shift = origin - int(self.take.recording.timestamps[0])
            self._describe(self._devices(self.take.session, origin))

    def messages(self, device: int, first: int, end: int) -> list[bytes]:
        """Return the message of a device's readings [first, end), or several where one does not hold so many."""
        assert self.take.delivery is not None
        sent = self.take.delivery.devices[device]
        assert sent.numbers is not None
        times = sent.times[first:end] + self._shift
        seq, x = int(sent.numbers[first]), sent.values[first:end]
        parts = codec.encode_split(self.numbers[device], seq, int(times[-1]), x, 0.0, np.maximum(times, 0))
        return [message for _, message in parts]

    def note(self, device: int) -> bool:
        """Note that a message of a device was sent; tell whether it was its last."""
        self._left[device] -= 1
        return not self._left[device]

    @property
    def unended(self) -> list[int]:
        """Keys of which something is left to be sent."""
        return [number for device, number in enumerate(self.numbers) if self._left[device] > 0]

    def _devices(self, session: int, origin: int) -> list[Description]:
        assert self.take.delivery is not None
        return [
            Description(self.take.stream, 0, session, each.rate_hz, each.channels, each.name, origin, "times")
            for each in self.take.delivery.devices
        ]

    def _describe(self, about: list[Description]) -> None:
        self.numbers = [secrets.randbits(64) for _ in about]
        named = [each._replace(key=number) for each, number in zip(about, self.numbers, strict=True)]
        for each in named:
            check_description(each)
        self.descriptions = list(map(codec.encode_description, named))
