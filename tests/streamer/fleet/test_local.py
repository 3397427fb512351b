"""A fleet on this machine alone, by its commands: `up` starts Ray, and after `down` nothing is left of it."""

import json
import os
import secrets
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import psutil
import pytest

from kinestream.replay.demo import BUNDLE
from tests.given.fleetlabels import Heard, assert_undisturbed, expected, samples, sender_to
from tests.given.localfleet import LocalFleet

pytest.importorskip("ray")

pytestmark = pytest.mark.timeout(280)
STREAMS = ("ann", "ben", "cat", "dan")
GONE_S = 20.0
HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFleet]:
    own = LocalFleet(tmp_path_factory.mktemp("local"))
    yield own
    for each in own.processes():  # none, if all is well
        each.kill()


def test_before_it_is_up_a_line_says_what_begins_it(fleet: LocalFleet):
    assert fleet.refused("status").startswith("no fleet was brought up from this account: 'kinestream fleet up ")
    assert fleet.refused("scale", "3", "--fleet", str(fleet.path)).startswith("the fleet home is not up: ")


def test_where_nobody_or_something_else_answers_a_line_says_so_within_seconds(fleet: LocalFleet):
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"

        def answer() -> None:
            with server.accept()[0] as connection:
                connection.recv(100)
                connection.sendall(HTTP)

        answering = threading.Thread(target=answer)
        answering.start()
        line = fleet.refused("status", "--fleet", fleet.other(address=address))
        answering.join()
        assert line.startswith(f"Ray cluster at {address}: what listens there is no head node of Ray: ")
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))  # and not listening
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = fleet.refused("up", fleet.other(address=address))
    assert line.startswith(f"Ray cluster at {address}: nobody answers (Connection refused): start its head ")


def test_it_comes_up_serves_changes_and_goes_and_nothing_is_left(fleet: LocalFleet):
    assert fleet.done("up", str(fleet.path)) == (
        f"home is up: 2 streamers; senders and subscribers ask {fleet.directory}\n"
    )
    shown = fleet.done("status")
    assert "slot" in shown
    assert shown.count("serving") == 2
    assert "…" not in shown
    assert fleet.refused("up", str(fleet.path)).startswith("the fleet home is up already: ")
    assert_strangers_are_told_why(fleet)
    other = fleet.folder / "bundle"
    shutil.copytree(BUNDLE, other)
    x = samples(300)
    wanted = expected(x)
    with Heard(fleet.directory) as heard, ExitStack() as stack:
        senders = [stack.enter_context(sender_to(fleet.directory, name, reliable=True)) for name in STREAMS]
        for sender in senders:
            sender.send(x[:150])
        heard.wait(len(STREAMS))
        assert fleet.done("scale", "1") == "1 streamer, 2 before\n"
        for sender in senders:
            sender.send(x[150:200], seq=150)
        assert fleet.done("reload", str(other)) == f"1 streamer took {other} in place of {BUNDLE}\n"
        for sender in senders:
            sender.send(x[200:], seq=200)
            sender.end()
        heard.wait(len(STREAMS) * len(wanted))
    for name in STREAMS:
        assert_undisturbed(heard.labels[name], wanted)
    status = json.loads(fleet.done("status", "--json"))
    [node], [streamer] = status["nodes"], status["streamers"]
    assert (streamer["slot"], streamer["bundle"], status["bundle"]) == ("streamer-0", str(other), str(other))
    assert fleet.refused("drain", node["name"]).startswith(f"streamer-0 stays on {node['name']}: no node has room ")
    there = {each.pid for each in fleet.processes()}
    record = json.loads((fleet.folder / "state/home/ray.json").read_text())
    assert {streamer["pid"], streamer["keeper_pid"], record["pid"]} <= there
    assert psutil.Process(streamer["pid"]).nice() <= os.nice(0)  # Ray would let it come after all others
    assert fleet.done("down") == "home is down: 1 streamer ended\n"
    until = time.monotonic() + GONE_S
    while left := fleet.processes():
        assert time.monotonic() < until, [each.cmdline() for each in left]
        time.sleep(0.1)
    assert not (fleet.folder / "state/home/ray.json").exists()
    assert fleet.refused("status").startswith("no fleet was brought up ")


def assert_strangers_are_told_why(fleet: LocalFleet) -> None:
    """Those without the cluster's token, and those whose Ray is another."""
    record = json.loads((fleet.folder / "state/home/ray.json").read_text())
    of, address = f"Ray cluster at {record['address']}: ", record["address"]
    wrong, nothing = fleet.folder / "wrong.token", fleet.folder / "nothing.token"
    wrong.write_text(secrets.token_hex(32))
    home = {"HOME": str(fleet.folder)}  # where Ray looks for a token, too
    arguments = ["kinestream", "fleet", "status", "--fleet", fleet.other(address=address, token=record["token"])]
    script = (
        "import sys, ray; ray.__version__ = '2.51.0'\n"  # what a process tells of itself, and the head then compares
        f"sys.argv = {arguments!r}\n"
        "from kinestream.__main__ import main; main()"
    )
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": record["token"]}  # read when Ray is imported
    with ThreadPoolExecutor() as pool:
        without = pool.submit(fleet.refused, "status", "--fleet", fleet.other(address=address), **home)
        of_another = pool.submit(fleet.refused, "status", "--fleet", fleet.other(address=address, token=str(wrong)))
        of_none = pool.submit(fleet.refused, "status", "--fleet", fleet.other(address=address, token=str(nothing)))
        older = pool.submit(fleet.ended, [sys.executable, "-P", "-c", script], **token)
    assert without.result().startswith(f"{of}it asks for a token: name its file by 'token' ")
    assert of_another.result().startswith(f"{of}it asks for another token than that in {wrong}: ")
    assert of_none.result().startswith(f"{nothing}: there is no such file: ")
    line = fleet.line(older.result())
    assert line.startswith(f"{of}Version mismatch: The cluster was started with: Ray: ")
    assert "Ray: 2.51.0" in line
    assert line.endswith(": install the same versions of Ray and Python on both sides")
