"""What a long fuzzing run leaves: what was run, of which code, and what came of it."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


def write_report(path: Path, command: str, found: Mapping[str, object]) -> None:
    """Write a report as JSON, with the commit whose code ran; one that ends in ``+`` had changes besides."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"command": command, "commit": commit(), **found}, indent=1) + "\n")


def commit() -> str:
    """Return the commit that is checked out; nothing where there is no git."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD").strip()
        return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout
