"""Nothing imports Ray without need, and without it one line says what to install."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOM = Path(__file__).parents[3] / "streamer" / "fleet"
MODULES = sorted(path.stem for path in ROOM.glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("what", ["kinestream", "kinestream.commands.main", "kinestream.streamer.client"])
def test_what_everybody_imports_does_not(what: str):
    script = f"import sys, {what}; print('ray' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )


def test_nor_do_the_modules_of_a_fleet():
    named = ", ".join(f"kinestream.streamer.fleet.{module}" for module in MODULES)
    script = f"import sys, {named}; print('ray' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )


def test_help_does_not():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "kinestream", "fleet", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "kinestream.commands.fleet" in done.stderr
    assert "| ray" not in done.stderr.replace(" ", "").replace("|", "| ")


def test_without_it_a_line_says_what_to_install(tmp_path: Path):
    file = tmp_path / "fleet.yaml"
    file.write_text(f"bundle: {ROOM.parents[1] / 'replay/demo_data/bundle'}\nstreamers: 1\nstate: state\n")
    hides = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'ray' else find(name, package)\n"
        f"sys.argv = ['kinestream', 'fleet', 'up', {str(file)!r}]\n"
        "from kinestream.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", hides], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("kinestream: a fleet needs ray: pip install ")
    assert "[fleet]" in done.stderr
    assert done.stderr.count("\n") == 1
