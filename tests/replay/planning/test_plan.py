"""A plan says what was measured, asks for more machines where there is more to do, and agrees with the simulation."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kinestream.model.errors import ConfigError, FileError
from kinestream.replay.planning import figures
from kinestream.replay.planning.figures import SHIPPED, SOURCES, read_costs, read_points, shipped_costs
from kinestream.replay.planning.plan import Needs, plan
from kinestream.replay.planning.scene import Death, Scene
from kinestream.replay.planning.simulation import Simulation

TOP = Path(__file__).resolve().parents[3]
checkout = pytest.mark.skipif(not (TOP / "results/bench").is_dir(), reason="of the checkout: this is an install")


def needs(**changed):
    return Needs(**{"streams": 10_000, "channels": 24, "rate_hz": 50.0, "chunk": 5, **changed})


@checkout
def test_what_ships_is_what_was_measured():
    measured = [point for source in SOURCES for point in read_points(TOP / source)]
    for each in SHIPPED:
        (same,) = [point for point in measured if (point.streams, point.chunk) == (each.streams, each.chunk)]
        assert each.rate_hz == same.rate_hz
        assert each.cpu == pytest.approx(same.cpu, abs=0.0006)
        assert each.rss_mb == pytest.approx(same.rss_mb, abs=0.06)
        assert each.p99_ms == pytest.approx(same.p99_ms, abs=0.06)
    replayed = json.loads((TOP / figures.TAKEN_SOURCE).read_text())["figures"]
    assert {each["chunk"]: each["samples_per_second"] for each in replayed} == pytest.approx(figures.TAKEN_PER_S, abs=1)
    (engine,) = [
        each
        for each in json.loads((TOP / figures.WINDOW_SOURCE).read_text())["figures"]
        if (each["engine"], each["windows"]) == ("kinestream", 256)
    ]
    assert engine["ms"] / 256 == pytest.approx(figures.WINDOW_MS, rel=1e-3)


def test_the_costs_tell_the_processors_that_were_measured():
    costs = shipped_costs()
    for point in SHIPPED:
        if costs.most / 3 <= point.cpu and point.p99_ms <= figures.LATE_MS:
            load = figures.Load(figures.CHANNELS, point.rate_hz, point.chunk, figures.LENGTH, figures.STRIDE)
            assert costs.processors(point.streams, load) == pytest.approx(point.cpu, rel=costs.worst + 1e-9)
    assert costs.worst < 0.15
    assert costs.memory_mb(5000, figures.CHANNELS) == pytest.approx(188.3, rel=0.05)


@checkout
def test_reports_of_ones_own_take_the_place_of_what_ships():
    own = read_costs([TOP / source for source in SOURCES], figures.CHANNELS)
    shipped = shipped_costs()
    assert own.message == pytest.approx(shipped.message, rel=0.01)
    assert own.sample == pytest.approx(shipped.sample + shipped.window / figures.STRIDE, rel=0.01)


@pytest.mark.parametrize(
    ("change", "grows"),
    [
        ({"streams": 40_000}, "nodes"),
        ({"rate_hz": 200.0}, "nodes"),
        ({"channels": 480}, "nodes"),
        ({"chunk": 1}, "nodes"),
        ({"busy": 0.25}, "nodes"),
        ({"spare": 3, "streams": 2000}, "nodes"),
        ({"channels": 48}, "in_mbit_s"),
        ({"history_s": 20.0}, "sender_kb"),
    ],
)
def test_more_to_do_needs_more(change, grows):
    base = {"streams": 2000} if "spare" in change else {}
    less, more = (plan(needs(**each), shipped_costs()).as_dict() for each in (base, change))
    assert more[grows] > less[grows]


def test_a_node_away_leaves_no_streamer_beyond_what_was_measured():
    for streams in (100, 5_000, 50_000):
        found = plan(needs(streams=streams), shipped_costs())
        assert found.processors_spare <= shipped_costs().most * 1.1  # chance gives one a few streams more
        assert found.nodes >= 2


def test_how_late_labels_come_agrees_with_the_simulation():
    found = plan(needs(streams=600, chunk=25), shipped_costs())
    scene = Scene(600, found.streamers, deaths=(Death(12, 0, None),), seconds=24)
    simulated = Simulation(scene).run()
    assert simulated.failover_s.max() <= found.late_most_s * 1.05
    assert found.late_most_s == pytest.approx(scene.patience_s, rel=0.2)


def test_what_cannot_be_planned_is_one_line():
    with pytest.raises(ConfigError, match="stride: give from 1 to the window's length, 10"):
        needs(length=10, stride=11)
    with pytest.raises(ConfigError, match="a streamer cannot take one such stream within 5%"):
        plan(needs(channels=10_000, rate_hz=10_000.0, busy=0.05), shipped_costs())


def test_a_report_that_is_none_is_one_line(tmp_path):
    path = tmp_path / "report.json"
    for text in ("{", "[]", '{"settings": {}}', '{"settings": {"rate_hz": 30}, "points": [{"streams": 1}]}'):
        path.write_text(text)
        with pytest.raises(FileError, match="no report of 'kinestream bench streams --out FOLDER'"):
            read_costs([path], 24)


def test_the_command_names_its_sources(tmp_path):
    command = [sys.executable, "-m", "kinestream", "fleet", "plan", "--streams", "5000", "--channels", "24"]
    done = subprocess.run([*command, "--rate", "50"], capture_output=True, text=True, timeout=110, check=True)
    assert "results/bench/streams-chunk-1.json" in done.stdout
    told = subprocess.run([*command, "--rate", "50", "--json"], capture_output=True, text=True, timeout=110, check=True)
    assert json.loads(told.stdout)["nodes"] >= 2
    wrong = subprocess.run(
        [*command, "--rate", "50", "--stride", "129"], capture_output=True, text=True, timeout=110, check=False
    )
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.count("\n") == 1
