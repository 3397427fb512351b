"""What a bundle takes in, what it names, where it came from, and what it tells of devices; as JSON takes it."""

from typing import Any

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.recordings.samplegrid import exact_rate
from kinestream.model.windows.silent import silent_samples


def describe(bundle: Bundle) -> dict[str, Any]:
    """Return what there is to say of a bundle.

    `frozen` says in a sentence when a device is told to be frozen; of a channel, `frozen_after` is for how many samples
    a device must repeat itself that has this channel alone, None where it is never told.
    """
    about, training = bundle.description, bundle.description.training
    after = frozen_after(bundle)
    return {
        "bundle": bundle.id,
        "rate_hz": about.rate_hz,
        "window": about.window.model_dump(),
        "classes": list(about.classes),
        "null_class": about.null_class,
        "channels": [
            {
                "name": entry.name,
                "unit": entry.unit,
                "longest_repeat": entry.longest_repeat,
                "frozen_after": samples,
            }
            for entry, samples in zip(about.channels, after, strict=True)
        ],
        "weights": sum(weight.size for weight in bundle.weights.values()),
        "dataset": training.get("dataset"),
        "task": training.get("task"),
        "people": {part: len(people) for part, people in training.get("people", {}).items()},
        "blank_frozen": about.blank_frozen,
        "frozen": _frozen_in_words(bundle, after),
    }


def frozen_after(bundle: Bundle) -> list[int | None]:
    """Return for how many samples each channel, alone, must keep its value to be frozen; None: it is not told."""
    silent, rule = silent_samples(exact_rate(bundle.description.rate_hz)), bundle.frozen
    if rule.longest is None:
        return [None] * len(bundle.channels)
    after = [max(silent, longest) + 1 for longest in rule.longest]
    return [samples if samples <= bundle.grid.length else None for samples in after]


def _frozen_in_words(bundle: Bundle, after: list[int | None]) -> str:
    rate, told = bundle.description.rate_hz, [samples for samples in after if samples is not None]
    if bundle.frozen.longest is None:
        return "not told: the bundle does not say for how long its channels repeated themselves in training"
    if not told:
        return "not told: in training channels repeated themselves for as long as a window, or windows are too short"
    at_once = f"{min(told) / rate:.2f} s"
    return f"told after {at_once} of one reading, {'and absent then' if bundle.frozen.blank else 'and used as it is'}"
