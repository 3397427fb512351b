"""What was trained on whom, how, with what and on which machine, as pairs of a term and a text."""

from collections.abc import Mapping
from typing import Any

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.config.section import Section
from kinestream.model.config.training import PreprocessSection
from kinestream.model.counted import counted
from kinestream.model.machine import machine
from kinestream.model.plaindata import dump_yaml

Fact = tuple[str, str]

_PARTS = {"train": "trained on", "validation": "validated on", "test": "tested on"}
_PACKAGES = ("kinestream", "onnxruntime", "torch", "numpy", "scikit-learn", "matplotlib")


def model_facts(bundle: Bundle) -> list[Fact]:
    """Return what a bundle takes in, what it is made of and where its weights came from."""
    description = bundle.description
    training = description.training
    facts = [("Bundle", bundle.id), ("Windows", _windows(bundle)), ("Network", _network(bundle))]
    if description.preprocess != PreprocessSection():
        facts.append(("Derived in a window", _knobs(description.preprocess)))
    if description.temperature != 1:
        facts.append(("Temperature", f"{description.temperature:.3f}, by which the logits are divided"))
    if "dataset" in training:
        facts.append(("Trained on", f"{training['dataset']} ({training.get('task')})"))
    facts += [
        (f"People {_PARTS.get(part, part)}", _people(people)) for part, people in training.get("people", {}).items()
    ]
    if start := training.get("start"):
        facts.append(("Start", start.removeprefix("starts from ")))
    if windows := training.get("windows"):
        facts.append(
            ("Windows trained on", "; ".join(f"{counted(n, 'window')} of {part}" for part, n in windows.items() if n))
        )
    if "epochs" in training:
        kept, seed = training.get("kept_epoch"), training.get("seed")
        facts.append(("Training", f"{counted(training['epochs'], 'epoch')}, epoch {kept} kept, seed {seed}"))
    if versions := training.get("versions"):
        facts.append(("Trained with", _versions(versions)))
    return facts


def page_facts(engine: str | None, made: str, command: str | None) -> list[Fact]:
    """Return with what, where and when the figures of the page were computed."""
    here = machine(_PACKAGES)
    facts = [("Page made", made)]
    facts += [("Command", command)] if command else []
    facts += [("Engine", engine)] if engine else []
    facts.append(
        ("Machine", f"{here['cpu'] or 'unknown processor'}, {counted(here['cores'] or 1, 'core')}; {here['system']}")
    )
    return [*facts, ("Versions", _versions({"python": here["python"], **here["versions"]}))]


def config_text(bundle: Bundle) -> str | None:
    """Return the configuration a bundle was trained with, as YAML, or None where it does not say."""
    config = bundle.description.training.get("config")
    return None if config is None else dump_yaml(config, width=100)


def _windows(bundle: Bundle) -> str:
    grid, rate = bundle.grid, bundle.description.rate_hz
    return (
        f"{grid.length} samples ({grid.length / rate:.2f} s) every {grid.stride} ({grid.stride / rate:.2f} s) of "
        f"{counted(len(bundle.channels), 'channel')} at {rate:g} Hz; skipped where more than {grid.max_missing:.0%} of "
        "the samples are missing"
    )


def _network(bundle: Bundle) -> str:
    weights = sum(weight.size for weight in bundle.weights.values())
    return f"{_knobs(bundle.description.network)}; {counted(weights, 'weight')}"


def _knobs(section: Section) -> str:
    """Return the keys as they are, so that keys added later are shown, too."""
    return ", ".join(f"{name} {_plain(value)}" for name, value in section.model_dump().items())


def _people(people: list[str]) -> str:
    return f"{len(people)}: {', '.join(people)}" if people else "nobody"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _versions(versions: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())
