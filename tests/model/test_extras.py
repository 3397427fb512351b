"""Serving loads nothing that is an extra, and whoever lacks one is told which it is."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from kinestream.model.errors import MissingExtra
from kinestream.model.extras import install, missing_extra, need

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {name: needs for name, needs in PROJECT["optional-dependencies"].items() if name != "dev"}
# isal is missing without anybody noticing but by the time it takes.
PACKAGES = {
    needed.partition(">=")[0]: extra
    for extra, needs in EXTRAS.items()
    for needed in needs
    if not needed.startswith(("kinestream[", "isal"))
}

SERVE = """
import sys
import numpy as np
from kinestream.commands import main
from kinestream.replay.demo import BUNDLE, RECORDINGS
from kinestream.replay import run
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.server import serve
from kinestream.model.datasets import open_source
list(Recognizer.load(BUNDLE, device="cpu").push("anna", np.zeros((100, 12))))
open_source(RECORDINGS).read("s04_01")
print(*{name.partition(".")[0] for name in sys.modules})
"""


@pytest.mark.parametrize(("package", "extra"), PACKAGES.items())
def test_whoever_lacks_a_package_is_told_its_extra(package: str, extra: str):
    assert str(missing_extra(f"{package}.part")).endswith(f": {install(extra)}")


def test_a_package_that_no_extra_installs_is_a_fault_of_ours():
    assert missing_extra("kinestream.nothing") is None
    assert missing_extra(None) is None


def test_what_is_missing_is_named():
    need("this test", "pytest", extra="datasets")
    with pytest.raises(MissingExtra, match=r"this test needs no_such_package: pip install .*\[datasets\]'"):
        need("this test", "pytest", "no_such_package", extra="datasets")


def test_what_serves_and_replays_loads_no_extra(tmp_path: Path):
    pytest.importorskip("kinestream.model.engine.kernel._kernel", exc_type=ImportError)
    done = subprocess.run([sys.executable, "-c", SERVE], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert not PACKAGES.keys() & set(done.stdout.split())
