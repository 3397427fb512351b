"""The unit for systemd is one that systemd takes, and leaves a service little that it could do."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parent.parent / "docs" / "systemd" / "kinestream.service"
OPERATIONS = UNIT.parent.parent / "operations.md"

pytestmark = [
    pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed"),
    pytest.mark.skipif(not UNIT.exists(), reason="of the checkout: this is an install"),
]


def analysed(verb: str, path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", verb, *options, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """Return the unit as it is installed, with a program that is there."""
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/opt/kinestream/bin/kinestream", sys.executable))
    return path


def test_systemd_finds_nothing_wrong_with_it(unit):
    done = analysed("verify", unit)
    assert (done.returncode, [line for line in done.stderr.splitlines() if UNIT.name in line]) == (0, [])


def test_a_wrong_line_would_be_found(unit):
    unit.write_text(unit.read_text().replace("WatchdogSec=10", "WatchdogSec=sometimes"))
    assert f"{UNIT.name}:" in analysed("verify", unit).stderr


def test_its_exposure_is_what_the_page_says(unit):
    done = analysed("security", unit, "--offline=yes")
    found = re.search(r"Overall exposure level for kinestream\.service: ([\d.]+) (\w+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    said = re.search(r"rates its exposure ([\d.]+), \"(\w+)\"", OPERATIONS.read_text())
    assert said is not None
    assert float(found[1]) <= float(said[1])
