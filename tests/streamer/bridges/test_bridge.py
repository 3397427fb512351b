"""A bridge without a streamer, with one that refuses, with clocks that are set back: each is told."""

import io
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from kinestream import Label, SampleConnection
from kinestream.screens.bridge import BridgeScreen
from kinestream.screens.console import SafeConsole
from kinestream.streamer.bridges.arrivals import Arrivals, whole
from kinestream.streamer.bridges.feed import DeviceFeed
from kinestream.streamer.bridges.rig import RigDevice
from tests.given.bridged import BUNDLE_READ, Running, named, running_bridge, until, write_rig
from tests.given.bundles import random_bundle
from tests.given.disks import disk_of, fill
from tests.given.streamers import free_addresses, running_streamer, subscribed

ALL = {channel.name: {"source": at + 2, "unit": channel.unit} for at, channel in enumerate(BUNDLE_READ.channels)}
BUNDLE = random_bundle(channels=2, length=8, stride=4)


class Elsewhere:
    """The addresses of a streamer that does not run."""

    def __init__(self):
        self.ingest, self.labels, self.control = free_addresses(3)


@pytest.fixture
def board(tmp_path):
    """A pipe that a board prints to."""
    path = tmp_path / "board"
    os.mkfifo(path)
    with os.fdopen(os.open(path, os.O_RDWR), "wb", buffering=0) as file:
        yield file


def rig(tmp_path, streamer, channels, csv=None, **others):
    about = {"csv": {"path": str(tmp_path / "board"), **(csv or {})}, "rate_hz": 50, "channels": channels}
    return write_rig(tmp_path / "rig.yaml", streamer, {"board": about}, **others)


def test_without_a_streamer_it_says_so_and_loses_nothing_in_silence(tmp_path, board):
    with running_bridge(rig(tmp_path, Elsewhere(), {"c0": 1, "c1": 2})) as running:
        until(lambda: any("no streamer has answered" in problem for problem in running.look.problems))
        assert running.look.accepted is None
        for _ in range(1500):  # messages: more than wait for a streamer
            board.write(b"1,2\n")
            if running.look.devices[0].unsent:
                break
            until(lambda: True)
        until(lambda: running.look.devices[0].readings)


def test_a_refusal_is_shown(tmp_path, board):
    with running_streamer(BUNDLE) as streamer:
        with running_bridge(rig(tmp_path, streamer, {"c0": {"source": 1, "unit": "bananas"}})) as running:
            board.write(b"1,2\n")
            until(lambda: running.look.accepted is False or running.look.accepted)
            if running.look.accepted is False:
                until(lambda: any("bananas" in problem for problem in running.look.problems))


def test_a_board_whose_clock_is_set_back_goes_on(tmp_path, board):
    with running_streamer(BUNDLE) as streamer, subscribed(streamer, "anna") as labels:
        path = rig(tmp_path, streamer, {"c0": 2, "c1": 3}, {"time": 1})
        with running_bridge(path) as running:
            until(lambda: running.look.accepted)
            for begin in (100_000, 20_000):
                now = time.time_ns()
                for at in range(0, 1000, 20):
                    board.write(f"{begin + at},1,{at % 7}\n".encode())
                    time.sleep(0.02)
                named(labels, now + 600_000_000)
            assert running.look.sessions == 1  # its times are this machine's, which have not stepped


def test_times_that_step_back_begin_another_session_for_every_device():
    about = RigDevice.model_validate({"lsl": {"name": "a"}, "rate_hz": 50, "channels": {"c0": 1, "c1": 2}})
    with running_streamer(BUNDLE) as streamer, subscribed(streamer, "anna") as labels:
        with SampleConnection(streamer.ingest, control=streamer.control, timeout_s=5) as connection:
            begun = []

            def begin_anew():
                begun.append(2)
                feed.begin(2)

            feed = DeviceFeed("a", about, stream="anna", session=1, connection=connection, new_session=begin_anew)
            times = 10**18 + np.arange(50) * 20_000_000
            feed.take(whole("a", times, np.ones((50, 2), np.float32), int(times[-1])))
            back = times - 3600 * 10**9
            feed.take(whole("a", back, np.ones((50, 2), np.float32), int(back[-1])))
            feed.take(whole("a", back + 10**9, np.ones((50, 2), np.float32), int(back[-1])))
            assert begun == [2]
            sessions = set()
            while sessions != {1, 2}:
                message = labels.receive(10)
                assert message is not None
                if isinstance(message, Label):
                    sessions.add(message.session)


def test_a_recording_poured_in_is_told(tmp_path, board):
    with running_streamer(BUNDLE) as streamer:
        with running_bridge(rig(tmp_path, streamer, {"c0": 2, "c1": 3}, {"time": 1})) as running:
            for begin in range(5):
                board.write(b"".join(f"{begin * 60_000 + at},1,2\n".encode() for at in range(0, 60_000, 20)))
                until(lambda begin=begin: running.look.devices[0].readings == (begin + 1) * 3000)
            until(lambda: any("play it with 'kinestream replay'" in problem for problem in running.look.problems))


def test_what_does_not_fit_is_dropped_and_counted():
    arrivals = Arrivals(most_bytes=2000)
    for _ in range(20):
        arrivals.put(whole("board", None, np.zeros((10, 3), np.float32), 0))
    assert 0 < arrivals.dropped["board"] < 200
    taken = 0
    while (arrived := arrivals.get(0)) is not None:
        taken += len(arrived.parts[0].rows)
    assert taken + arrivals.dropped["board"] == 200


def test_a_source_that_fails_ends_the_bridge(tmp_path, board):
    path = rig(tmp_path, Elsewhere(), {"c0": 1})
    running = Running(path)
    with running.bridge:
        running.bridge.start()
        running.bridge._arrivals.fail(OSError("unplugged"))
        running.run()
    assert isinstance(running.failure, OSError)


def test_names_from_outside_do_not_reach_the_terminal(tmp_path, board):
    text = io.StringIO()
    console = SafeConsole(file=text, force_terminal=True, width=100)
    with running_streamer(BUNDLE) as streamer, running_bridge(rig(tmp_path, streamer, {"c0": 1, "c1": 2})) as running:
        board.write(b"1,\x1b[2Jabc\n")
        until(lambda: any("for a number" in problem for problem in running.look.problems))
        screen = BridgeScreen(console)
        with screen:
            screen.show(running.look, [])
    assert "\x1b[2J" not in text.getvalue()
    assert "board" in text.getvalue()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["none.yaml"], 2, "none.yaml"),
        ([], 2, "RIG"),
        (["rig.yaml", "--seconds", "0"], 2, "--seconds"),
    ],
)
def test_wrong_input_is_a_line(tmp_path, arguments, status, said):
    (tmp_path / "rig.yaml").write_text("stream: anna\n")
    command = [sys.executable, "-P", "-m", "kinestream", "bridge", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == status
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_check_is_a_table_or_json_and_its_status_says_whether_all_is_well(tmp_path):
    with running_streamer(BUNDLE) as streamer:
        about = {"csv": {}, "rate_hz": 50, "channels": {"c0": 1, "c1": 2}}
        path = write_rig(tmp_path / "rig.yaml", streamer, {"board": about})
        command = [sys.executable, "-P", "-m", "kinestream", "bridge", str(path), "--check", "--seconds", "1"]
        done = subprocess.run([*command, "--json"], input="", capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert json.loads(done.stdout)["findings"] == [{"device": "board", "finding": "nothing has come"}]
        done = subprocess.run(command, input="", capture_output=True, text=True, timeout=60)
        assert "board: nothing has come" in done.stdout


def test_a_check_sends_no_reading_but_asks_whether_the_channels_fit(tmp_path):
    about = {"csv": {}, "rate_hz": 50, "channels": {"c0": 1}}
    lines = "".join(f"{at % 7}\n" for at in range(100))
    with running_streamer(BUNDLE) as streamer, subscribed(streamer, "anna") as labels:
        path = write_rig(tmp_path / "rig.yaml", streamer, {"board": about}, reliable=True, spool="anna.spool")
        command = [sys.executable, "-P", "-m", "kinestream", "bridge", str(path), "--check", "--json"]
        done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60)
        assert not streamer.totals().get("readings_received")
        assert not streamer.totals().get("samples_received")
        assert not (tmp_path / "anna.spool").exists()
        while (message := labels.receive(0)) is not None:
            assert message.event == "accepted"
    said = json.loads(done.stdout)
    assert said["devices"]["board"]["readings"] == 100
    assert any("no device delivers c1" in each["finding"] for each in said["findings"])


def test_labels_come_through_a_board(tmp_path, board):
    """All of the shipped bundle's channels from one board."""
    with running_streamer(BUNDLE_READ) as streamer, subscribed(streamer, "anna") as labels:
        with running_bridge(rig(tmp_path, streamer, ALL, {"counter": 1, "bits": 16})) as running:
            until(lambda: running.look.accepted)
            begin = time.time_ns()
            for at in range(150):
                board.write((",".join([str(at), *([str(at % 7)] * len(ALL))]) + "\n").encode())
                time.sleep(0.02)
            named(labels, begin + 1_500_000_000)
            until(lambda: running.look.label is not None)
            assert not running.look.problems


def test_a_spool_that_has_no_room_is_told_and_fills_again_once_there_is_some(tmp_path, board):
    with disk_of(tmp_path, "256k") as disk, running_streamer(BUNDLE) as streamer:
        full = fill(disk)
        path = rig(tmp_path, streamer, {"c0": 1, "c1": 2}, reliable=True, spool=str(disk / "spool"))
        (disk / "full").write_bytes(b"")
        (disk / "spool").mkdir()
        with running_bridge(path) as running:
            full = fill(disk)

            def is_told() -> bool:
                board.write(b"1,2\n")
                return any("no space left on device" in problem for problem in running.look.problems)

            until(is_told)
            unsent = running.look.devices[0].unsent
            full.unlink()

            def is_sent() -> bool:
                board.write(b"1,2\n")
                return not any("no space left" in problem for problem in running.look.problems)

            until(is_sent)
        assert unsent
