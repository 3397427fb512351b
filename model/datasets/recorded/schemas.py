"""What a recording of live streams holds: MCAP channels and the schemas of their messages.

Messages are msgpack maps, as they were published; JSON schemas say what is in them, where ``bin`` is what msgpack calls
a string of bytes. Whoever writes recordings and whoever reads them take names and keys from here.

=========================  =============  ======================================================================
``signal/STREAM/DEVICE``   `SIGNAL`       readings of a device, as they came in
``label/STREAM``           `LABEL`        labels
``event/STREAM``           `EVENT`        what else was said of the stream
``annotation/STREAM``      `ANNOTATION`   what people said the activity was
``hole/STREAM``            `HOLE`         readings that had not come when later ones did, and why
=========================  =============  ======================================================================
"""

import json
from typing import Any

PROFILE = "kinestream"
METADATA = "kinestream"
"""What the record is called that says of the whole file: ``layout``, ``version``, ``written`` (Unix ns), ``part``; of
the streamer ``bundle``, ``rate_hz``, ``length``, ``stride``, ``classes`` (a JSON list), ``null_class``."""
LAYOUT = "1"
SUFFIX = ".mcap"

MISSED, LOST = "missed", "lost"
"""Why there is a hole: the recorder missed readings that the streamer took, or they never came to the streamer."""

_TEXT, _INTEGER, _NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
_TIME = {"type": "integer", "description": "Unix time in ns"}
_OF_STREAM = {"v": _INTEGER, "kind": _TEXT, "stream": _TEXT, "session": {"type": "integer", "minimum": -1}}


def _bytes(of: str) -> dict[str, Any]:
    return {"description": f"bin: {of}, little-endian"}


def _schema(title: str, about: str, required: dict[str, Any], optional: dict[str, Any] | None = None) -> str:
    properties = {**_OF_STREAM, **required, **(optional or {})}
    return json.dumps(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": title,
            "description": about,
            "type": "object",
            "required": [*_OF_STREAM, *required],
            "properties": properties,
        }
    )


SIGNAL = "kinestream.Signal"
LABEL = "kinestream.Label"
EVENT = "kinestream.Event"
ANNOTATION = "kinestream.Annotation"
HOLE = "kinestream.Hole"

SCHEMAS = {
    SIGNAL: _schema(
        SIGNAL,
        "Consecutive readings of a device, all its columns, as they came in.",
        {
            "device": _TEXT,
            "message": _INTEGER,
            "first_seq": _INTEGER,
            "t": _TIME,
            "origin": _TIME,
            "rate_hz": _NUMBER,
            "timing": {"enum": ["grid", "times"]},
            "width": _INTEGER,
            "values": _bytes("float32, reading by reading"),
        },
        {
            "times": _bytes("int64 of each reading, Unix ns"),
            "channels": {"type": "array", "items": {"type": "array", "items": _TEXT, "minItems": 2, "maxItems": 2}},
        },
    ),
    LABEL: _schema(
        LABEL,
        "The activity of one window.",
        {
            **dict.fromkeys(("window", "first_seq", "last_seq", "class"), _INTEGER),
            **dict.fromkeys(("label", "model"), _TEXT),
            "p": _NUMBER,
            "probs": _bytes("float32 of each class"),
            "missing": {"type": "object", "additionalProperties": _NUMBER},
            **dict.fromkeys(("t_source", "t_received", "t_ready", "t_inferred", "t_published"), _TIME),
        },
    ),
    EVENT: _schema(EVENT, "What else was said of a stream; further keys depend on the event.", {"event": _TEXT}),
    ANNOTATION: _schema(
        ANNOTATION,
        "What a person said the activity was.",
        {"activity": _TEXT, "begin": _TIME, "end": _TIME},
    ),
    HOLE: _schema(
        HOLE,
        "Readings first_seq to last_seq of a device had not come when later ones did. missed: the recorder missed "
        "messages of the streamer; lost: they had not come to the streamer. They may stand further behind.",
        {"device": _TEXT, "first_seq": _INTEGER, "last_seq": _INTEGER, "reason": {"enum": [MISSED, LOST]}},
    ),
}
"""The JSON schema of each, by its name."""


def signal_channel(stream: str, device: str) -> str:
    """Return the topic of a device's readings."""
    return f"signal/{stream}/{device}"
