"""Whether packages hold what they should."""

import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

ROOMS = ("kinestream", "model", "streamer", "replay", "configs")
COMPILED = ("_kernel.abi3", "_take.abi3", "_receive.abi3", "_resample.abi3")
KEPT_OUT = ("results/", ".gitignore")
"""What an sdist does without: each run's own figures, and what only git reads."""


def check_sdist(checkout: Path, sdist: Path) -> None:
    """Make sure that it holds all that is kept in the checkout."""
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    alike(sdist.name, packed & kept(checkout), kept(checkout))


def check_wheels(checkout: Path, wheel: Path, of_sdist: Path, pure: Path) -> None:
    """Make sure that all hold the rooms of the checkout and the same content, and one nothing that is compiled."""
    rooms = {name for name in kept(checkout) if name.startswith(ROOMS) and not name.endswith((".c", ".h"))}
    expected = {name if name.startswith("kinestream/") else f"kinestream/{name}" for name in rooms}
    content = {path: content_of(path) for path in (wheel, of_sdist, pure)}
    compiled = {name for name in content[of_sdist] if Path(name).name.startswith(COMPILED)}
    assert len(compiled) == len(COMPILED), f"of {of_sdist.name} only {sorted(compiled)} were compiled"
    for path in (wheel, of_sdist):
        alike(path.name, set(content[path]), expected | compiled)
    alike(pure.name, set(content[pure]), expected)
    for path in (wheel, pure):
        differing = {name for name in expected if content[path][name] != content[of_sdist][name]}
        assert not differing, f"{path} holds other content than the sdist's wheel: {sorted(differing)}"
    assert pure.name.endswith("-py3-none-any.whl"), pure.name


def kept(checkout: Path) -> set[str]:
    done = subprocess.run(["git", "ls-files"], cwd=checkout, capture_output=True, text=True, check=True)
    return {name for name in done.stdout.splitlines() if not name.startswith(KEPT_OUT)}


def content_of(wheel: Path) -> Mapping[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}


def alike(what: str, found: set[str], expected: set[str]) -> None:
    assert not expected - found, f"{what} lacks {sorted(expected - found)}"
    assert not found - expected, f"{what} holds {sorted(found - expected)}, too"
