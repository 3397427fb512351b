"""The Python of the README and of the page about the wire runs as written, beside a streamer of the shipped bundle.

Only the default ports are others, which nobody else on this machine has.
"""

import re
import subprocess
import sys
from ast import literal_eval
from pathlib import Path

import pytest

from kinestream.model.bundle.bundle import read_bundle
from kinestream.replay.demo import BUNDLE
from tests.given.streamers import OtherDefaults, running_streamer

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", ROOT / "docs" / "wire.md", ROOT / "docs" / "devices.md")
BLOCKS = [b for page in PAGES for b in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)]


@pytest.fixture(scope="module")
def streamer():
    with running_streamer(read_bundle(BUNDLE)) as running:
        yield OtherDefaults(running.ingest, running.labels, running.control)


def printed(block: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_sender_and_a_subscriber(streamer):
    (line,) = printed(streamer.instead(BLOCKS[0]))
    assert re.fullmatch(r"anna [A-Z_]+ [\d.]+ -?[\d.]+ ms", line)


def test_the_recognizer_as_a_library():
    assert [line.split()[0] for line in printed(BLOCKS[1])] == ["0", "1", "2"]  # (100 - 64) // 16 + 1 windows


def test_the_wire_with_nothing_but_pyzmq_and_msgpack(streamer):
    imported = {name for name in re.findall(r"^import (\w+)|^from", BLOCKS[2], re.M)}
    assert imported == {"array", "secrets", "struct", "time", "msgpack", "zmq"}
    *labels, end = [line for line in printed(streamer.instead(BLOCKS[2])) if line != "accepted"]
    assert end == "end"
    assert [line.split()[0] for line in labels] == ["0", "1", "2"]
    assert [line.split()[-2:] for line in labels] == [["0", "63"], ["16", "79"], ["32", "95"]]


def test_two_devices_at_rates_of_their_own(streamer):
    (line,) = printed(streamer.instead(BLOCKS[3]))
    match = re.fullmatch(r"anna [A-Z_]+ (\{.*\})", line)
    assert match is not None
    assert literal_eval(match[1]) == {"phone": 0.0, "watch": 0.0}


def test_there_is_no_python_that_is_not_tested():
    assert len(BLOCKS) == 4
