"""What is kept of one key, and where it is kept as well."""

import sys
import time
from dataclasses import dataclass, field
from typing import Protocol

from kinestream.streamer.reliable.outbox import Outbox
from kinestream.streamer.wire.messages import Description


class Keeper(Protocol):
    """Keeps what outboxes keep on a disk as well."""

    def open(self, key: int, about: Description, description: bytes, first: int) -> None:
        """Note a key, before its first message."""

    def add(self, key: int, number: int, message: bytes, end: int) -> None:
        """Note a message, before it is sent."""

    def forget(self, key: int, oldest: int) -> None:
        """Note that messages before `oldest` are kept no longer."""

    def remove(self, key: int) -> None:
        """Note that nothing more comes of a key, all of which was acknowledged."""


@dataclass(eq=False)
class Delivery:
    """The messages of one key, and who they are of."""

    outbox: Outbox
    about: Description
    description: bytes
    is_over: bool = False  # no more is added
    opened: int = 0  # keys are counted as they are opened and ended
    ended: int = sys.maxsize
    must_describe: bool = True
    described_at: float = 0.0
    progressed_at: float = field(default_factory=time.monotonic)
    limit: int | None = None  # messages that may be on their way
    accepted: bool | None = None  # by the streamer, as it answered last; None where it has not, or another one is there

    @property
    def is_refused(self) -> bool:
        """Whether the streamer refuses it, as far as is known."""
        return self.accepted is False

    @property
    def has_come(self) -> bool:
        """Whether all of it has come, and nothing is being sent again: whatever is sent now comes behind all of it."""
        return self.outbox.is_received and self.outbox.sent >= self.outbox.next

    @property
    def is_waited_for(self) -> bool:
        """Whether something of it is kept that a streamer may take."""
        return not self.outbox.is_empty and not self.is_refused
