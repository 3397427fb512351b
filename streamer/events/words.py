"""What events say, for people."""

from kinestream.model.counted import counted
from kinestream.streamer.wire.messages import Event


def event_text(event: Event) -> str:
    """Return an event in a few words."""
    details = event.details
    match event.event:
        case "gap":
            return f"gap: samples {details.get('first_seq')} to {details.get('last_seq')}"
        case "skipped":
            first, last = details.get("first_window"), details.get("last_window")
            windows = f"window {first}" if first == last else f"windows {first} to {last}"
            return f"skipped {windows}: {details.get('reason')}"
        case "late":
            return f"{counted(details.get('count', 0), 'sample')} came too late"
        case "seam":
            return f"numbers jumped from {details.get('last_seq')} to {details.get('first_seq')}"
        case "end" | "refused":
            return f"{event.event}: {details.get('reason')}"
    return event.event
