"""Requests to the control endpoint other than `describe`, and their answers.

``health``, a msgpack map ``{v, kind}``
    is answered by ``{v, kind: "health", version, ready, state, bundle, engine, uptime_s, streams, totals}``.
``reload``, a msgpack map ``{v, kind, bundle}``
    has it take another bundle, from the folder of that name on its machine, and is answered by
    ``{v, kind: "reloaded", old, new}`` or by ``{v, kind: "refused", reason}``.
``forget``, a msgpack map ``{v, kind, stream}``
    has it remove all that it knows of a stream, and is answered by ``{v, kind: "forgotten", stream, removed}`` or by
    ``{v, kind: "refused", reason}``.

``acknowledge`` and its answer are in `kinestream.streamer.wire.tracked`, ``annotate`` and its answer in
`kinestream.streamer.wire.annotate`. As everywhere, a key too many or too few is refused.
"""

import re
from typing import NamedTuple

import msgpack

from kinestream.streamer.wire.annotate import Annotated, AnnotateRequest, read_annotate
from kinestream.streamer.wire.codec import DESCRIPTION_MARK, expect_keys, unpack
from kinestream.streamer.wire.messages import VERSION, MalformedMessage, name_is_valid
from kinestream.streamer.wire.tracked import AcknowledgeRequest, read_acknowledge

_MAX_PATH = 4096
_MAX_BYTES = _MAX_PATH + 64
_MAX_REASON = 500
_ASKED = re.compile(b"health|reload|forget|acknowledge|annotate")


class HealthRequest(NamedTuple):
    """Asks for a streamer's health."""


class ReloadRequest(NamedTuple):
    """Asks a streamer to take the bundle of a folder on its machine."""

    bundle: str


class ForgetRequest(NamedTuple):
    """Asks a streamer to remove all that it knows of a stream."""

    stream: str


class Health(NamedTuple):
    """A streamer's state and counters.

    Attributes
    ----------
    version : str
        Of kinestream.
    ready : bool
        Whether it takes new streams.
    state : str
        ``ready``, or why it is not: ``draining``, once it was asked to stop.
    bundle, engine : str
        Name and fingerprint of what names the windows, and what computes.
    uptime_s : float
        How long it has been running.
    streams : int
        Streams that are known now.
    totals : dict of int by str
        Every counter, as of a second ago at most.
    """

    version: str
    ready: bool
    state: str
    bundle: str
    engine: str
    uptime_s: float
    streams: int
    totals: dict[str, int]


class Reloaded(NamedTuple):
    """A streamer has taken a bundle: names and fingerprints of the one before and of the new one."""

    old: str
    new: str


class Forgotten(NamedTuple):
    """A streamer knows nothing of a stream any more.

    Attributes
    ----------
    stream : str
        Its name.
    removed : dict of int by str
        How much of what was removed, all 0 where nothing was known of it.
    """

    stream: str
    removed: dict[str, int]


class Refused(NamedTuple):
    """A streamer has not done what it was asked for."""

    reason: str


KeeperRequest = HealthRequest | ReloadRequest | ForgetRequest | AnnotateRequest
Request = KeeperRequest | AcknowledgeRequest
Reply = Health | Reloaded | Forgotten | Annotated | Refused

_KINDS = {HealthRequest: "health", ReloadRequest: "reload", ForgetRequest: "forget", AnnotateRequest: "annotate"}


def encode_request(request: KeeperRequest) -> bytes:
    """Return the message of a request."""
    message: bytes = msgpack.packb({"v": VERSION, "kind": _KINDS[type(request)], **request._asdict()})
    return message


def decode_request(frame: bytes) -> Request | None:
    """Read a request; None where it is anything else.

    Raises
    ------
    MalformedMessage
        Where it is one, and is wrong.
    """
    if len(frame) > _MAX_BYTES or frame.startswith(DESCRIPTION_MARK) or not _ASKED.search(frame):
        return None  # to read all that comes would take longer
    content = unpack(frame)
    match content.get("kind"):
        case "health":
            expect_keys(content, {"v", "kind"})
            return HealthRequest()
        case "reload":
            expect_keys(content, {"v", "kind", "bundle"})
            bundle = content["bundle"]
            if type(bundle) is not str or not 0 < len(bundle) <= _MAX_PATH or "\0" in bundle:
                raise MalformedMessage("bundle")
            return ReloadRequest(bundle)
        case "annotate":
            return read_annotate(content)
        case "acknowledge":
            return read_acknowledge(content)
        case "forget":
            expect_keys(content, {"v", "kind", "stream"})
            if type(content["stream"]) is not str or not name_is_valid(content["stream"]):
                raise MalformedMessage("stream")
            return ForgetRequest(content["stream"])
    return None


def encode_reply(reply: Reply) -> bytes:
    """Return the message of an answer."""
    if isinstance(reply, Refused):
        reply = Refused(reply.reason[:_MAX_REASON])
    kind = type(reply).__name__.lower()
    message: bytes = msgpack.packb({"v": VERSION, "kind": kind, **reply._asdict()})
    return message


def decode_reply(frame: bytes) -> Reply:
    """Read an answer; what it says besides is passed over.

    Raises
    ------
    MalformedMessage
        Naming the reason.
    """
    content = unpack(frame)
    for kind in (Health, Reloaded, Forgotten, Annotated, Refused):
        if content.get("kind") != kind.__name__.lower():
            continue
        fields = {name: content.get(name) for name in kind._fields}
        for name, expected in kind.__annotations__.items():
            if type(fields[name]) is not getattr(expected, "__origin__", expected):
                raise MalformedMessage(name)
        for name in ("totals", "removed"):
            counts = fields.get(name) or {}
            if not all(type(what) is str and type(count) is int for what, count in counts.items()):
                raise MalformedMessage(name)
        reply: Reply = kind(**fields)  # type: ignore[arg-type]  # as has been checked
        return reply
    raise MalformedMessage("kind")
