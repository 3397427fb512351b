"""Labels and events as lines, for people and as JSON."""

import json
import math
from datetime import UTC, datetime
from typing import Any

from kinestream.model.printable import printable
from kinestream.streamer.events.words import event_text
from kinestream.streamer.wire.messages import Annotation, Event, Label, Published

_ENDS = {
    "end": "end of session",
    "forgotten": "forgotten, as was asked for",
    "moved": "it was elsewhere in the fleet meanwhile, and begins anew",
    "idle": "silent for too long",
    "reset": "a new session began",
    "clock": "the clock of a device was set back",
    "stopped": "the streamer stopped",
}


class LabelLines:
    """Labels as lines whose columns stand below one another: as wide as the widest name so far."""

    def __init__(self) -> None:
        self._stream = 0
        self._activity = 0

    def line(self, label: Label, latency_ns: int, is_filled: bool = False) -> str:
        """Return a label as a line: when its window ended, stream, activity, probability, latency if it came so."""
        self._stream = max(self._stream, len(label.stream))
        self._activity = max(self._activity, len(label.label))
        taken = datetime.fromtimestamp(label.t_source / 1e9, UTC).isoformat(timespec="milliseconds")
        names = f"{label.stream:<{self._stream}}  {label.label:<{self._activity}}"
        after = "  filled in" if is_filled else f"{latency_ns / 1e6:8.2f} ms"
        return printable(f"{taken}  {names}  {label.p:.3f}  {after}")


def event_line(event: Event) -> str:
    """Return an event as a line."""
    return printable(f"{event.stream}  {in_words(event_text(event))}")


def annotation_line(annotation: Annotation) -> str:
    """Return an annotation as a line, which begins so that nobody takes it for a label."""
    begin, end = (
        datetime.fromtimestamp(moment / 1e9, UTC).isoformat(timespec="milliseconds")
        for moment in (annotation.begin, annotation.end)
    )
    return printable(f"truth: {annotation.stream} was said to be {annotation.activity} from {begin} to {end}")


def in_words(text: str) -> str:
    """Return an event in words a newcomer understands: the wire's reasons for an end are single words."""
    kind, _, reason = text.partition(": ")
    return f"ended: {_ENDS.get(reason, reason)}" if kind == "end" else text


def json_line(message: Published, latency_ns: int, is_filled: bool = False) -> str:
    """Return a label, an event or an annotation as JSON: the wire's keys, a label's latency, `filled` where it was."""
    if isinstance(message, Label):
        content = {"kind": "label", **message._asdict(), "latency_ms": round(latency_ns / 1e6, 3)}
        if not message.epoch:
            del content["epoch"]
        content["class"] = content.pop("class_index")
        content["probs"] = [round(p, 6) for p in message.probabilities.tolist()]
    elif isinstance(message, Annotation):
        content = {"kind": "annotation", **message._asdict()}
    else:
        # What a streamer of another version has to say may be called anything: it must not hide whose it is.
        own = {"kind": "event", "event": message.event, "stream": message.stream, "session": message.session}
        content = {**own, **message.details, **own}
    if is_filled:
        content["filled"] = True
    return json.dumps(_as_json(content), allow_nan=False)


def _as_json(value: Any) -> Any:
    """Return what MessagePack can say as what JSON can."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key if isinstance(key, str) else repr(key): _as_json(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_as_json(inner) for inner in value]
        case None | bool() | int() | str():
            return value
    return repr(value)
