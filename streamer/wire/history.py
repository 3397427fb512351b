"""Requests for the history of what was published, at the control endpoint, and their answers.

``history``, a msgpack map ``{v, kind, id, stream, session, window, position}``
    asks what was published of a stream after window `window` of session `session` was told of; where both are -1, for
    all that is kept of it; where `stream` is empty, of which streams anything is kept. `id` is the asker's, and comes
    back. `position` is 0, or what an answer said that goes on there.
The answer, a msgpack map ``{v, kind, id, stream, kept_ns, complete, more, position, frames, streams}``
    holds what was published, message by message, in that order, as much as fits: where there is `more`, ask the same
    again with its `position`.

Each request has one answer of a bounded size, so that none holds up labels, and nothing is remembered of who asks.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgpack

from kinestream.streamer.wire.codec import expect_keys, unpack
from kinestream.streamer.wire.messages import MAX_INT, VERSION, MalformedMessage, name_is_valid

REQUEST_BYTES = 256
"""What a request holds at most."""
ANSWER_BYTES = 60_000
"""What an answer's messages take at most: with all else, it is smaller than any message may be."""
ANSWER_FRAMES, ANSWER_STREAMS = 512, 256
"""How many messages, and how many streams, are in one answer."""

_REQUEST_KEYS = {"v", "kind", "id", "stream", "session", "window", "position"}
_LABEL_HEAD, _EVENT_HEAD = 3, 1  # bytes of the head of a map: a label has more than 15 keys
_SESSION, _WINDOW = b"\xa7session", b"\xa6window"
_FIRST_WINDOW, _LAST_WINDOW = b"\xacfirst_window", b"\xablast_window"
_pack = msgpack.Packer(autoreset=True).pack


class HistoryRequest(NamedTuple):
    """Asks for what was published.

    Attributes
    ----------
    id : int
        Comes back in the answer.
    stream : str
        Of which stream; empty to ask which there are.
    session, window : int
        The last window that is known of; -1 for none.
    position : int
        Where to go on; 0 to begin.
    """

    id: int
    stream: str
    session: int
    window: int
    position: int


class Kept(NamedTuple):
    """That something is kept of a stream, and the newest label among it: its session and window, -1 for none."""

    stream: str
    session: int
    window: int


class HistoryAnswer(NamedTuple):
    """What was published.

    Attributes
    ----------
    id, stream : int, str
        Of the request.
    kept_ns : int
        How long the streamer keeps what it has published; 0 where it keeps nothing.
    complete : bool
        Whether nothing lies between what was known and the first of `frames` that is kept no more.
    more : bool
        Whether there is more, from `position` on.
    position : int
        Where to go on.
    frames : list of bytes
        Messages, without their topics, in the order in which they were published.
    streams : list of Kept
        Streams, where those were asked for.
    """

    id: int
    stream: str
    kept_ns: int
    complete: bool
    more: bool
    position: int
    frames: list[bytes]
    streams: list[Kept]


def encode_history_request(request: HistoryRequest) -> bytes:
    """Return the message of a request."""
    message: bytes = _pack({"v": VERSION, "kind": "history", **request._asdict()})
    return message


def decode_history_request(frame: bytes) -> HistoryRequest | None:
    """Read a request; None where it is anything else.

    Raises
    ------
    MalformedMessage
        Where it is one, and is wrong.
    """
    if len(frame) > REQUEST_BYTES or b"\xa7history" not in frame:
        return None  # to read all that comes would take longer
    content = unpack(frame)
    if content.get("kind") != "history":
        return None
    expect_keys(content, _REQUEST_KEYS)
    stream = content["stream"]
    if type(stream) is not str or (stream and not name_is_valid(stream)):
        raise MalformedMessage("stream")
    return HistoryRequest(
        _number(content, "id"),
        stream,
        _number(content, "session", -1),
        _number(content, "window", -1),
        _number(content, "position"),
    )


def encode_history_answer(answer: HistoryAnswer) -> bytes:
    """Return the message of an answer."""
    message: bytes = _pack({"v": VERSION, "kind": "history", **answer._asdict()})
    return message


def decode_history_answer(frame: bytes) -> HistoryAnswer:
    """Read an answer; what it says besides is passed over.

    Raises
    ------
    MalformedMessage
        Naming the reason.
    """
    content = unpack(frame)
    if content.get("kind") != "history":
        raise MalformedMessage("kind")
    stream, frames, streams = content.get("stream"), content.get("frames"), content.get("streams")
    if type(stream) is not str:
        raise MalformedMessage("stream")
    if type(frames) is not list or not all(type(each) is bytes for each in frames):
        raise MalformedMessage("frames")
    if type(streams) is not list:
        raise MalformedMessage("streams")
    for name in ("complete", "more"):
        if type(content.get(name)) is not bool:
            raise MalformedMessage(name)
    return HistoryAnswer(
        _number(content, "id"),
        stream,
        _number(content, "kept_ns"),
        content["complete"],
        content["more"],
        _number(content, "position"),
        frames,
        [_kept(entry) for entry in streams],
    )


def count_since(messages: Iterable[bytes], stream: str, session: int, window: int) -> int | None:
    """Return how many messages of a stream, the newest first, came since a window of a session was told of.

    None where all did: none tells of that window or one before. Numbers are compared as MessagePack writes them, which
    sorts them: to decode each would take three times as long.
    """
    told = WindowsTold(stream)
    label, known = told.label + _pack(session) + _WINDOW, _pack(window)
    begin = _LABEL_HEAD + len(label)
    end = begin + len(known)
    for count, message in enumerate(messages):
        if message.startswith(label, _LABEL_HEAD):
            if message[begin:end] <= known:
                return count
        elif message.startswith(told.skipped, _EVENT_HEAD):
            last = told.last(message)
            if last is not None and last[0] == session and last[1] <= window:
                return count
    return None


class WindowsTold:
    """Reads of which windows the published messages of a stream tell, without decoding them.

    `kinestream.streamer.wire.published` writes the keys always in the same order; a message that has another is taken
    for one that tells of no window.

    Parameters
    ----------
    stream : str
        Its name.

    Attributes
    ----------
    label, skipped : bytes
        How a label, and a ``skipped`` event, goes on behind its head, up to the number of its session.
    """

    def __init__(self, stream: str) -> None:
        about: dict[str, Any] = {"v": VERSION, "kind": "label", "stream": stream}
        self.label = _pack(about)[1:] + _SESSION
        about = {"v": VERSION, "kind": "event", "event": "skipped", "stream": stream}
        self.skipped = _pack(about)[1:] + _SESSION

    def last(self, message: bytes) -> tuple[int, int] | None:
        """Return session and number of the last window that a label or a ``skipped`` event tells of; None of others."""
        if message.startswith(self.label, _LABEL_HEAD):
            session, at = _number_at(message, _LABEL_HEAD + len(self.label))
            if message.startswith(_WINDOW, at):
                return session, _number_at(message, at + len(_WINDOW))[0]
        elif message.startswith(self.skipped, _EVENT_HEAD):
            session, at = _number_at(message, _EVENT_HEAD + len(self.skipped))
            if message.startswith(_FIRST_WINDOW, at):
                at = _number_at(message, at + len(_FIRST_WINDOW))[1]
                if message.startswith(_LAST_WINDOW, at):
                    return session, _number_at(message, at + len(_LAST_WINDOW))[0]
        return None


def _number_at(message: bytes, at: int) -> tuple[int, int]:
    """Return a number of 0 or more that MessagePack wrote there, and where it ends."""
    head = message[at]
    if head < 0x80:
        return head, at + 1
    end = at + 1 + (1 << (head - 0xCC))
    return int.from_bytes(message[at + 1 : end], "big"), end


def _number(content: dict[str, Any], key: str, least: int = 0) -> int:
    value = content.get(key)
    if type(value) is not int or not least <= value < MAX_INT:
        raise MalformedMessage(key)
    return value


def _kept(entry: object) -> Kept:
    if type(entry) is not list or list(map(type, entry)) != [str, int, int] or not name_is_valid(entry[0]):
        raise MalformedMessage("streams")
    return Kept(*entry)
