"""What events say, for people."""

from kinestream.model.counted import counted
from kinestream.streamer.events.undelivered import undelivered_text
from kinestream.streamer.wire.messages import Event


def event_text(event: Event) -> str:
    """Return an event in a few words."""
    details = event.details
    match event.event:
        case "accepted" if isinstance(names := details.get("undelivered"), list) and names:
            return f"accepted: {undelivered_text(names)}"
        case "gap" if "device" in details:
            return f"gap: readings {details.get('first_seq')} to {details.get('last_seq')} of {details['device']}"
        case "gap":
            return f"gap: samples {details.get('first_seq')} to {details.get('last_seq')}"
        case "skipped" | "missed":
            first, last = details.get("first_window"), details.get("last_window")
            windows = f"window {first}" if first == last else f"windows {first} to {last}"
            return f"{event.event} {windows}: {details.get('reason')}"
        case "late" if "device" in details:
            return f"{counted(details.get('count', 0), 'reading')} of {details['device']} came too late"
        case "late":
            return f"{counted(details.get('count', 0), 'sample')} came too late"
        case "rate":
            declared, measured = details.get("declared_hz"), details.get("measured_hz")
            return f"{details.get('device')} delivers {_hz(measured)} readings a second, not {_hz(declared)}"
        case "device" if "reason" in details:
            return f"device: {details['reason']}"
        case "device" if "frozen" in details:
            return f"{details.get('device')} {'is frozen' if details['frozen'] else 'is frozen no more'}"
        case "device":
            return f"{details.get('device')} {'is silent' if details.get('silent') else 'is back'}"
        case "unusual" if details.get("unusual"):
            return f"unusual: {details.get('reason')}"
        case "unusual":
            return f"readings of {details.get('sensor')} are as in training again"
        case "seam" if "before" in details:
            return f"the clock of {details.get('device')} was set back: its session ends"
        case "seam" if details.get("device"):
            return f"times and numbers of {details['device']} part at sample {details.get('first_seq')}"
        case "seam":
            return f"numbers jumped from {details.get('last_seq')} to {details.get('first_seq')}"
        case "quota":
            return f"{counted(details.get('count', 0), 'message')} dropped: {details.get('reason')}"
        case "model":
            return f"bundle {details.get('new')} has taken the place of {details.get('old')}"
        case "end" | "refused":
            return f"{event.event}: {details.get('reason')}"
    return event.event


def _hz(rate: object) -> str:
    return f"{rate:g}" if isinstance(rate, int | float) else "?"
