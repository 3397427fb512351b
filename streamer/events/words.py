"""What events say, for people."""

from kinestream.model.counted import counted
from kinestream.streamer.wire.messages import Event


def event_text(event: Event) -> str:
    """Return an event in a few words."""
    details = event.details
    match event.event:
        case "gap" if "device" in details:
            return f"gap: readings {details.get('first_seq')} to {details.get('last_seq')} of {details['device']}"
        case "gap":
            return f"gap: samples {details.get('first_seq')} to {details.get('last_seq')}"
        case "skipped":
            first, last = details.get("first_window"), details.get("last_window")
            windows = f"window {first}" if first == last else f"windows {first} to {last}"
            return f"skipped {windows}: {details.get('reason')}"
        case "late":
            return f"{counted(details.get('count', 0), 'sample')} came too late"
        case "rate":
            declared, measured = details.get("declared_hz"), details.get("measured_hz")
            return f"{details.get('device')} delivers {_hz(measured)} readings a second, not {_hz(declared)}"
        case "device" if "reason" in details:
            return f"device: {details['reason']}"
        case "device":
            return f"{details.get('device')} {'is silent' if details.get('silent') else 'is back'}"
        case "seam" if "before" in details:
            return f"the clock of {details.get('device')} was set back: its session ends"
        case "seam" if details.get("device"):
            return f"times and numbers of {details['device']} part at sample {details.get('first_seq')}"
        case "seam":
            return f"numbers jumped from {details.get('last_seq')} to {details.get('first_seq')}"
        case "end" | "refused":
            return f"{event.event}: {details.get('reason')}"
    return event.event


def _hz(rate: object) -> str:
    return f"{rate:g}" if isinstance(rate, int | float) else "?"
