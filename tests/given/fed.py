"""Gives a recognizer the messages of senders as the streamer's loop does, without a socket."""

from collections import Counter
from collections.abc import Sequence

from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.wire.codec import decode, encode_description
from kinestream.streamer.wire.messages import Answer, Description, End, MalformedMessage, Readings
from kinestream.streamer.wire.tracked import is_tracked


def introduce(live: Recognizer, description: Description, subscribers: int = 0) -> Answer:
    """Describe a device; return what its sender is answered."""
    return live.introduce(decode(encode_description(description)), subscribers=subscribers)


def take_one(live: Recognizer, frame: bytes, received: int = 0, *, lossy: bool = False) -> None:
    """Decode a message and take it.

    Raises
    ------
    MalformedMessage
        Naming the reason.
    """
    if is_tracked(frame):
        live.tracking.take(frame, received, lossy=lossy)
        return
    message = decode(frame)
    if isinstance(message, Readings | End):
        live.take(message, received, lossy=lossy)
    elif live.introduce_again(message.fingerprint, lambda stream: 0) is None:
        live.introduce(message)


def take_alone(live: Recognizer, frames: Sequence[bytes], received: int = 0, *, lossy: bool = False) -> Counter[str]:
    """Take messages one by one; return what was wrong with those that could not be used, and how often."""
    wrong: Counter[str] = Counter()
    for frame in frames:
        try:
            take_one(live, frame, received, lossy=lossy)
        except MalformedMessage as reason:
            wrong[str(reason)] += 1
    return wrong


def take_in_bulk(live: Recognizer, frames: Sequence[bytes], received: int = 0, *, lossy: bool = False) -> Counter[str]:
    """Take messages by the quick path, and one by one where that does not; return what was wrong, and how often."""
    wrong: Counter[str] = Counter()

    def fallback(frame: bytes) -> None:
        wrong.update(take_alone(live, [frame], received, lossy=lossy))

    live.take_frames(list(frames), received, fallback, lossy=lossy)
    return wrong
