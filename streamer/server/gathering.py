"""Gathers what is published for those who want all of it, and none of it at once: see `wire.gathered`."""

from collections.abc import Iterator

from kinestream.streamer.wire.gathered import Gathered, encode_gathered, in_pieces

_INTERVAL_NS = 100_000_000
"""How long it is kept before it leaves."""
_MOST_BYTES = 1 << 20
"""What is kept: past that it leaves at once."""


class Gathering:
    """What was published lately, while somebody wants it.

    Attributes
    ----------
    is_open : bool
        Whether somebody does.
    """

    def __init__(self) -> None:
        self.is_open = False
        self._frames: list[bytes] = []
        self._bytes = self._messages = 0
        self._since: int | None = None

    @property
    def keeps(self) -> bool:
        """Whether anything is to leave soon."""
        return bool(self._frames)

    def open(self, is_open: bool) -> None:
        """Note whether somebody wants it; of who is the first, messages count from 0."""
        if is_open != self.is_open:
            self.is_open = is_open
            self._messages = 0
            self._let_go()

    def add(self, frame: bytes) -> None:
        """Keep the second frame of what is published."""
        self._frames.append(frame)
        self._bytes += len(frame)

    def leave(self, now: int, *, all_of_it: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Yield the messages that are due at a monotonic time in ns; called after each time that something came."""
        if not self._frames:
            return
        if self._since is None:
            self._since = now
        if not (all_of_it or now - self._since >= _INTERVAL_NS or self._bytes > _MOST_BYTES):
            return
        frames = self._frames
        self._let_go()
        for piece in in_pieces(frames):
            yield encode_gathered(Gathered(self._messages, piece))
            self._messages += 1

    def _let_go(self) -> None:
        self._frames, self._bytes, self._since = [], 0, None
