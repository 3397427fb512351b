"""Which client sent each message of a drain, for those that the quick path does not take."""

from collections.abc import Sequence


class Senders:
    """Messages that were taken in one go, and whose they are.

    Parameters
    ----------
    frames : sequence of bytes
        Them, in the order in which they are asked for, though not each of them is.
    users : sequence of str or None
        The public keys that they came under.
    """

    def __init__(self, frames: Sequence[bytes], users: Sequence[str | None]) -> None:
        self._frames, self._users = frames, users
        self._at = 0

    def of(self, frame: bytes) -> str | None:
        """Return whose a message is: this very object, behind the one that was asked for before."""
        # Python has but one object of an empty message, and of each of a single byte. None of those is ever passed over
        # on the way here, so the next one is the right one.
        while self._frames[self._at] is not frame:
            self._at += 1
        self._at += 1
        return self._users[self._at - 1]
