"""Annotations by somebody other than a stream's sender: a request by the stream's name.

``annotate``, a msgpack map ``{v, kind, stream, activity, begin, end}``
    has it published as an annotation of the stream's open session, and is answered by
    ``{v, kind: "annotated", stream, session}`` or by ``{v, kind: "refused", reason}``.
"""

from typing import Any, NamedTuple

from kinestream.streamer.wire.codec import expect_keys
from kinestream.streamer.wire.messages import MalformedMessage, annotation_is_valid, name_is_valid

_KEYS = {"v", "kind", "stream", "activity", "begin", "end"}


class AnnotateRequest(NamedTuple):
    """Says what the activity of a stream's wearer was, from `begin` to `end`, Unix ns on the wearer's clock."""

    stream: str
    activity: str
    begin: int
    end: int


class Annotated(NamedTuple):
    """What was said is published, of that session of the stream."""

    stream: str
    session: int


def read_annotate(content: dict[str, Any]) -> AnnotateRequest:
    """Read the map of a request.

    Raises
    ------
    MalformedMessage
        Naming the reason.
    """
    expect_keys(content, _KEYS)
    stream, activity, begin, end = (content[name] for name in AnnotateRequest._fields)
    if type(stream) is not str or not name_is_valid(stream):
        raise MalformedMessage("stream")
    if type(activity) is not str or type(begin) is not int or type(end) is not int:
        raise MalformedMessage("annotation")
    if not annotation_is_valid(activity, begin, end):
        raise MalformedMessage("annotation")
    return AnnotateRequest(stream, activity, begin, end)
