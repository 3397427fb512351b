"""A keeper and its streamer, a process that outlives it; no cluster."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from kinestream.model.errors import BundleError, FileError
from kinestream.replay.demo import BUNDLE
from kinestream.streamer.fleet import child
from kinestream.streamer.fleet.child import Child, children
from kinestream.streamer.fleet.keeper import Keeper, Post
from kinestream.streamer.fleet.orphans import Orphans
from tests.given.fleets import Fleet, until
from tests.given.long import long_form
from tests.given.streamers import free_addresses

SERVES_S = 50.0


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Fleet() as running:
        yield running
    for each in children(tmp_path):
        each.kill()
        each.wait(10)


def post(fleet: Fleet, folder: Path, **others: object) -> Post:
    told = {"options": ("--history", "1"), "drain_s": 1.0, "bundle": str(BUNDLE), **others}
    return Post("wards", "streamer-0", fleet.address, state=str(folder), **told)


def serving(keeper: Keeper) -> int:
    assert keeper.wait_serving(SERVES_S), keeper.status()
    assert keeper.child is not None
    return keeper.child.pid


def test_it_is_found_again_started_again_and_moved(fleet: Fleet, tmp_path: Path):
    first = Keeper(post(fleet, tmp_path))
    pid = serving(first)
    table = fleet.plan(1)
    first.leave()
    second = Keeper(post(fleet, tmp_path))
    assert serving(second) == pid, "it is gone on with"
    until(lambda: second.status()["load"] is not None, "it is known how busy it is")
    until(lambda: fleet.table.epoch >= table.epoch, "the directory tells")
    assert fleet.table.serving == table.serving, "nobody noticed"

    with pytest.raises(BundleError):
        second.reload(str(tmp_path / "nothing"))
    os.killpg(pid, signal.SIGKILL)
    until(lambda: second.status()["pid"] not in (None, pid), "another is started in its place")
    killed, pid = pid, serving(second)
    assert second.restarts == 1
    until(lambda: fleet.table.serving != table.serving and fleet.table.serving, "the directory tells of it")

    third = Keeper(post(fleet, tmp_path, since=int(os.stat(tmp_path).st_mtime * 1000) + 10**6))
    assert serving(third) not in (pid, killed), "one that takes over goes on with none that was there before"
    assert second.drain()
    assert [each.pid for each in children(tmp_path)] == [serving(third)]
    until(lambda: list(fleet.table.serving.values()) == [third.child.addresses], "it serves in its place")
    assert third.stop(now=True)
    assert list(children(tmp_path)) == []


STARTS_ONE = """
import sys
from pathlib import Path
from kinestream.streamer.fleet.child import start

options = [part for name in ("ingest", "control", "labels", "watch") for part in (f"--{name}", "tcp://127.0.0.1:*")]
start("streamer-0", sys.argv[1], ["--drain", "1", *options], Path(sys.argv[2]))
"""


def test_one_whose_keeper_is_killed_while_it_starts_is_found(fleet: Fleet, tmp_path: Path):
    starting = subprocess.Popen([sys.executable, "-c", STARTS_ONE, str(BUNDLE), str(tmp_path)])
    until(lambda: list(tmp_path.glob("*.json")), "it is written down")
    starting.kill()
    starting.wait()
    [started] = children(tmp_path)
    assert not isinstance(started, Child), "it does not serve yet"
    keeper = Keeper(post(fleet, tmp_path))
    assert serving(keeper) == started.pid, "it is gone on with"
    assert keeper.stop(now=True)
    assert list(children(tmp_path)) == list(tmp_path.glob("*.json")) == []


def test_one_that_cannot_be_written_down_does_not_start(tmp_path: Path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise FileError("no room")

    monkeypatch.setattr(child, "write_whole", full)
    before = set(psutil.Process().children())  # other tests' among them
    with pytest.raises(FileError, match="no room"):
        child.start("streamer-0", str(BUNDLE), (), tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["streamer-0.log"]
    assert set(psutil.Process().children()) <= before


def test_ports_are_taken_from_the_range_and_trouble_is_told(fleet: Fleet, tmp_path: Path):
    low = max(int(each.rpartition(":")[2]) for each in free_addresses(2))
    keeper = Keeper(post(fleet, tmp_path, ports=(low, low + 7)))
    serving(keeper)
    taken = {int(each.rpartition(":")[2]) for each in vars(keeper.child.addresses).values()}
    assert taken in ({*range(low, low + 4)}, {*range(low + 4, low + 8)})
    assert keeper.stop()
    broken = Keeper(post(fleet, tmp_path, bundle=str(tmp_path / "none")))
    until(lambda: "none" in broken.status()["trouble"], "it is told why")
    assert broken.status()["state"] == "starting"
    broken.stop()


@long_form
def test_one_that_nobody_keeps_is_ended_where_another_serves(fleet: Fleet, tmp_path: Path, monkeypatch):
    from kinestream.streamer.fleet import orphans

    monkeypatch.setattr(orphans, "_KNOWN_S", 0.0)
    monkeypatch.setattr(orphans, "EVERY_S", 0.0)
    old = Keeper(post(fleet, tmp_path))
    pid = serving(old)
    old.leave()
    fleet.plan(0)
    look = Orphans(tmp_path, fleet.address, None)
    look.look()
    assert [each.pid for each in children(tmp_path)] == [pid], "one look is not enough"
    until(lambda: look.look() or not list(children(tmp_path)), "it has ended")
