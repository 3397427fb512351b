"""Lines that boards print: what becomes of them, and that their labels are those of the same readings sent."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from kinestream.streamer.bridges.arrivals import Arrivals
from kinestream.streamer.bridges.lines import LineReader
from kinestream.streamer.bridges.rig import RigDevice
from tests.given.bridged import (
    BUNDLE_READ,
    SECOND,
    STEPS,
    Worn,
    named,
    running_bridge,
    sent_without,
    until,
    write_rig,
)
from tests.given.streamers import running_streamer, subscribed

SECONDS, LAST = 6.0, 4 * SECOND


def read(lines, csv, channels=None, rate_hz=50.0):
    """Return what a device's reader makes of lines, and what it says is wrong."""
    about = RigDevice.model_validate({"csv": csv, "rate_hz": rate_hz, "channels": channels or {"x": 2, "y": 3}})
    reader, arrivals = LineReader("board", about), Arrivals()
    for line in lines:
        reader.take(line.encode() if isinstance(line, str) else line)
    reader.hand_over(arrivals, 0)
    return arrivals.get(0), reader.problem()


def test_columns_by_position_and_by_name():
    arrived, wrong = read(["1,2,3", "# a remark", "", "4,5.5,nan"], {})
    np.testing.assert_array_equal(arrived.parts[0].rows, [[2, 3], [5.5, np.nan]])
    assert arrived.stamps is None
    assert not wrong
    arrived, _ = read(["t;b;a", "7;1;2"], {"header": True, "separator": ";", "time": "t"}, {"x": "a", "y": "b"})
    np.testing.assert_array_equal(arrived.parts[0].rows, [[2, 1]])
    assert arrived.stamps.tolist() == [7_000_000]
    arrived, _ = read(["1   2 \t 3"], {"separator": None})
    np.testing.assert_array_equal(arrived.parts[0].rows, [[2, 3]])


def test_units_of_boards():
    channels = {"x": {"source": 1, "factor": 0.5, "offset": 1}}
    arrived, _ = read(["4", "6"], {}, channels)
    np.testing.assert_array_equal(arrived.parts[0].rows, [[3], [4]])


@pytest.mark.parametrize(
    ("unit", "text", "ns"),
    [
        ("s", "1.5", 1_500_000_000),
        ("us", "12", 12_000),
        ("ns", "1700000000000000001", 1_700_000_000_000_000_001),
        ("iso", "2024-05-01T12:30:00.250+00:00", 1_714_566_600_250_000_000),
    ],
)
def test_times(unit, text, ns):
    arrived, _ = read([f"{text},1,2"], {"time": 1, "time_unit": unit})
    assert arrived.stamps.tolist() == [ns]


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_times_and_counters_that_wrap(bits):
    turn = 1 << bits
    counts = [turn - 2, turn - 1, 0, 1]
    arrived, _ = read([f"{count},1,2" for count in counts], {"time": 1, "time_unit": "ms", "bits": bits})
    assert (np.diff(arrived.stamps) == 1_000_000).all()
    arrived, _ = read([f"{count},1,2" for count in counts], {"counter": 1, "bits": bits})
    assert arrived.stamps.tolist() == counts  # the clock unwraps them


def test_lines_of_several_sensors():
    lines = ["ACC,1,2", "GYR,3,4", "ACC,5,6", "?"]
    arrived, wrong = read(lines, {"where": {1: "ACC"}})
    np.testing.assert_array_equal(arrived.parts[0].rows, [[1, 2], [5, 6]])
    assert not wrong


@pytest.mark.parametrize(
    ("lines", "csv", "said"),
    [
        (["1,2,3", "1,abc,3"], {}, "1 line with 'abc' for a number"),
        (["1,2,3", "1,2"], {}, "1 line with 2 columns, where column 3 is needed"),
        (["a,b", "1,2"], {"header": True}, ""),
        ([b"\xff\xfe,\x1b[2J,3"], {}, "for a number"),
        (["soon,2,3"], {"time": 1}, "'soon' for a time"),
        (["1e999,2,3"], {"time": 1}, "for a time"),
        (["1e300,2,3"], {"time": 1, "bits": 32}, "for a time"),
        (["1e18,2,3"], {"time": 1, "time_unit": "s"}, "for a time"),
        (["9999-12-31,2,3"], {"time": 1, "time_unit": "iso"}, "for a time"),
        (["0001-01-01,2,3"], {"time": 1, "time_unit": "iso"}, "for a time"),
        (["256,2,3"], {"counter": 1, "bits": 8}, "for a counter"),
        (["-1,2,3"], {"counter": 1, "bits": 8}, "for a counter"),
    ],
)
def test_what_cannot_be_read_is_told(lines, csv, said):
    _, wrong = read(lines, csv)
    assert said in wrong
    assert wrong.isprintable()


def test_every_kind_of_fault_is_told_once_with_an_example():
    lines = [*(f"x{at},1,2" for at in range(200)), "7,1", "7,1,2", "7,a,2", "7,b,3"]
    arrived, wrong = read(lines, {"time": 1})
    assert len(arrived.parts[0].rows) == 1
    assert wrong == (
        "200 lines with 'x0' for a time or the like; 2 lines with 'a' for a number or the like; "
        "1 line with 2 columns, where column 3 is needed"
    )


def test_a_header_without_the_column_is_told():
    _, wrong = read(["a,b", "1,2"], {"header": True}, {"x": "c"})
    assert wrong == "no column is called 'c': the header has a, b"


def test_labels_are_those_of_the_same_readings_sent(tmp_path):
    """Two boards print through one pipe into the command, at the true rate."""
    worn = [Worn("phone", 102.0, SECONDS), Worn("watch", 52.0, SECONDS)]
    devices = {
        each.device: {
            "csv": {"where": {1: each.device}, "time": 2, "time_unit": "us"},
            "rate_hz": each.rate_hz,
            "channels": {
                channel.name: {"source": at + 3, "unit": channel.unit} for at, channel in enumerate(each.channels)
            },
        }
        for each in worn
    }
    with running_streamer(BUNDLE_READ) as streamer, subscribed(streamer, "anna") as labels:
        path = write_rig(tmp_path / "rig.yaml", streamer, devices)
        command = [sys.executable, "-P", "-m", "kinestream", "bridge", str(path), "--json"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as bridge:
            bridge.stdout.readline()
            begin = time.time_ns()
            for step in range(STEPS):
                for each in worn:
                    part = each.part(step)
                    time.sleep(max(each.times(begin)[part.stop - 1] / SECOND - time.time(), 0))
                    for at, row in zip(each.seconds[part], each.values[part], strict=True):
                        values = ",".join(f"{value:.7g}" for value in row)
                        bridge.stdin.write(f"{each.device},{round(at * 1e6)},{values}\n")
                    bridge.stdin.flush()
            carried = named(labels, begin + LAST)
            bridge.stdin.close()
            said = bridge.stdout.read()
            assert bridge.wait() == 0
        expected = sent_without(streamer, worn, begin, begin + LAST)
    assert '"kind": "totals"' in said.splitlines()[-1]
    count = sum(len(each.seconds) for each in worn)
    assert f'"readings": {len(worn[0].seconds)},' in said.splitlines()[-1], count
    shared = sorted(carried.keys() & expected.keys())
    assert len(shared) > 8
    # Clocks are mapped by arrivals: times differ by milliseconds, so that a window between two activities may, too.
    differing = [first for first in shared if carried[first].label != expected[first].label]
    assert len(differing) <= 1


def test_a_pipe_that_ends_ends_the_bridge_and_a_board_that_goes_is_told(tmp_path):
    with running_streamer(BUNDLE_READ) as streamer:
        pipe = tmp_path / "board"
        os.mkfifo(pipe)
        devices = {"board": {"csv": {"path": str(pipe)}, "rate_hz": 50, "channels": {"phone_acc_x": 1}}}
        path = write_rig(tmp_path / "rig.yaml", streamer, devices)
        command = [sys.executable, "-P", "-m", "kinestream", "bridge", str(path), "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as bridge:
            with pipe.open("w") as board:
                board.write("1\n2\n")
            out, _ = bridge.communicate(timeout=30)
            assert bridge.returncode == 0
    assert '"readings": 2' in out


def test_a_file_that_is_not_there_is_a_line(tmp_path):
    with running_streamer(BUNDLE_READ) as streamer:
        devices = {"board": {"csv": {"path": "/no/such/port"}, "rate_hz": 50, "channels": {"phone_acc_x": 1}}}
        path = write_rig(tmp_path / "rig.yaml", streamer, devices)
        command = [sys.executable, "-P", "-m", "kinestream", "bridge", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("kinestream: /no/such/port: cannot be read")


def test_a_line_without_an_end_is_told(tmp_path):
    with running_streamer(BUNDLE_READ) as streamer:
        pipe = tmp_path / "board"
        os.mkfifo(pipe)
        about = {"csv": {"path": str(pipe)}, "rate_hz": 50, "channels": {"phone_acc_x": 1}}
        path = write_rig(tmp_path / "rig.yaml", streamer, {"board": about})
        descriptor = os.open(pipe, os.O_RDWR)
        with running_bridge(path) as running, os.fdopen(descriptor, "wb", buffering=0) as board:
            for _ in range(40):
                board.write(b"1" * 4096)
            until(lambda: any("a line without an end" in problem for problem in running.look.problems))
            board.write(b"\n2\n")
            until(lambda: running.look.devices[0].readings == 1)


def test_losses_show_in_the_numbers_of_a_counter(tmp_path):
    with running_streamer(BUNDLE_READ) as streamer:
        pipe = tmp_path / "board"
        os.mkfifo(pipe)
        about = {"csv": {"path": str(pipe), "counter": 1, "bits": 8}, "rate_hz": 50, "channels": {"phone_acc_x": 2}}
        path = write_rig(tmp_path / "rig.yaml", streamer, {"board": about})
        descriptor = os.open(pipe, os.O_RDWR)
        with running_bridge(path) as running, os.fdopen(descriptor, "wb", buffering=0) as board:
            board.write(b"254,1\n255,1\n0,1\n3,1\n")
            until(lambda: running.look.devices[0].readings == 4)
            assert running.look.devices[0].lost == 2
