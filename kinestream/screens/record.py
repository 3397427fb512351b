"""What `kinestream record` prints when it has ended."""

from typing import Any

from rich.console import Console

from kinestream.model.counted import counted
from kinestream.model.printable import printable


def print_recorded(recorded: dict[str, Any], console: Console) -> None:
    """Print what was recorded."""
    what = [counted(recorded[f"{name}s"], name) for name in ("reading", "label", "event", "annotation")]
    size = f"{recorded['bytes'] / 1e6:.1f} MB in {counted(len(recorded['files']), 'file')}"
    console.print(f"{', '.join(what)}; {size}", soft_wrap=True, highlight=False)
    if recorded["missed"]:
        console.print(f"missed {counted(recorded['missed'], 'message')} with readings", highlight=False)
    if recorded["holes"]:
        console.print(f"{counted(recorded['holes'], 'hole')} in the readings", highlight=False)
    for path in recorded["files"]:
        console.print(printable(path), soft_wrap=True, highlight=False)
