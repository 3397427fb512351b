"""A fleet that asks for keys grows with its load and shrinks again by itself; strangers are told what they lack."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.given.fleetlabels import Heard, assert_undisturbed, expected, samples, sender_to
from tests.given.fleets import until
from tests.given.keyholders import file_of, kept_in
from tests.given.localfleet import LocalFleet
from tests.given.long import long_form

pytest.importorskip("ray")

pytestmark = [pytest.mark.timeout(280), long_form]
STREAMS = tuple(f"ward-{number}" for number in range(60))
SAMPLES, RATE_HZ = 1500, 50.0
LONG_S = ("--timeout", "60")
LIMIT = 0.04  # of a processor: twenty streamers that rest, or a third of what the streams take
LIKE = {"enabled": True, "least": 1, "most": 2, "processor": LIMIT, "every_s": 1}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[LocalFleet]:
    kept = kept_in(tmp_path / "keys")
    kept.allow("keeper", {"administer": True, "watch": True})
    own = LocalFleet(tmp_path, streamers=1, keys=str(kept.path), keeper_keys=file_of(kept, "keeper"), autoscale=LIKE)
    own.kept = kept
    yield own
    for each in own.processes():  # none, if all is well
        each.kill()


def run(fleet: LocalFleet, *words: str) -> subprocess.CompletedProcess[str]:
    return fleet.ended([sys.executable, "-P", "-m", "kinestream", *words, "--fleet", fleet.directory])


def serving(fleet: LocalFleet) -> int:
    told = json.loads(fleet.done("status", "--json"))
    return sum(each["state"] == "serving" for each in told["streamers"])


def test_it_grows_with_its_load_and_shrinks_again_and_loses_no_label(fleet: LocalFleet):
    kept, x = fleet.kept, samples(SAMPLES)
    wanted = expected(x)
    fleet.done("up", str(fleet.path))
    assert serving(fleet) == 1
    assert_keys_are_asked_for(fleet)
    counts = set()
    with Heard(fleet.directory, keys=file_of(kept, "reader")) as heard, ExitStack() as stack:
        senders = [
            stack.enter_context(sender_to(fleet.directory, name, reliable=True, keys=file_of(kept, "gateway")))
            for name in STREAMS
        ]
        began = time.monotonic()
        for at in range(SAMPLES):
            for sender in senders:
                sender.send(x[at : at + 1], seq=at)
            if at % 100 == 99:
                told = json.loads(run(fleet, "health", "--json", "--keys", file_of(kept, "keeper")).stdout)
                counts.add(len(told["streamers"]))
            time.sleep(max(began + (at + 1) / RATE_HZ - time.monotonic(), 0.0))
        for sender in senders:
            sender.end()
        heard.wait(len(STREAMS) * len(wanted))
        for name in STREAMS:
            assert_undisturbed(heard.labels[name], wanted)
    until(lambda: serving(fleet) == 1, "one streamer is enough for nobody")
    assert counts == {1, 2}
    fleet.done("down")


def assert_keys_are_asked_for(fleet: LocalFleet) -> None:
    """Each command, with the keys of who may, of who may not, and without any."""
    reader, keeper = (file_of(fleet.kept, name) for name in ("reader", "keeper"))
    assert run(fleet, "health", "--keys", keeper).returncode == 0
    assert run(fleet, "forget", "anna", "--keys", keeper).returncode == 0
    for words in (("health", *LONG_S), ("forget", "anna", *LONG_S), ("forget", "anna", "--keys", reader), ("watch",)):
        done = run(fleet, *words)
        assert (done.returncode, done.stdout) == (2, ""), words
        *before, line = done.stderr.splitlines()
        assert bool(before) == (words == ("watch",)), done.stderr  # where it listens
        assert "key" in line or "may not" in line, line
