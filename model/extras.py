"""Optional packages, and what to install where one is missing: a streamer alone stays small."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from kinestream.model.errors import MissingExtra

Extra = Literal["train", "datasets", "onnx", "bench", "lsl", "web", "metrics", "xdf", "fleet"]

# As in pyproject.toml; a package in several is advised as a part of the first.
_PACKAGES: dict[str, Extra] = {
    "httpx": "datasets",
    "polars": "datasets",
    "scipy": "datasets",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "torch": "train",
    "matplotlib": "train",
    "jinja2": "train",
    "ezmsg": "bench",
    "psutil": "bench",
    "pylsl": "lsl",
    "cryptography": "web",
    "segno": "web",
    "starlette": "web",
    "uvicorn": "web",
    "websockets": "web",
    "prometheus_client": "metrics",
    "pyxdf": "xdf",
    "ray": "fleet",
}


def need(what: str, *packages: str, extra: Extra = "train") -> None:
    """Make sure that packages are there.

    Parameters
    ----------
    what : str
        What needs them, as the beginning of a sentence.
    *packages : str
        By the names they are imported by.
    extra : str
        What installs all of them.

    Raises
    ------
    MissingExtra
        Where one is not; the message says what to install.
    """
    missing = [package for package in packages if not find_spec(package)]
    if missing:
        raise MissingExtra(f"{what} needs {', '.join(missing)}: {install(extra)}")


def missing_extra(package: str | None) -> MissingExtra | None:
    """Return what to say where an import of `package` failed, or None where no extra would install it."""
    top = (package or "").partition(".")[0]
    if top not in _PACKAGES:
        return None
    return MissingExtra(f"this needs {top}, which is not installed: {install(_PACKAGES[top])}")


def install(extra: Extra) -> str:
    """Return the command that installs an extra: from the checkout that this runs from, or else the published one."""
    checkout = Path(__file__).resolve().parents[1]
    if not (checkout / "pyproject.toml").is_file():
        return f"pip install 'kinestream[{extra}]'"
    here = "." if os.path.realpath(os.curdir) == str(checkout) else str(checkout)
    return f"pip install -e '{here}[{extra}]'"
