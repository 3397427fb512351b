"""What a fleet file may say, and what is said of one that is wrong: all of it at once, a line each."""

from pathlib import Path

import pytest
import yaml

from kinestream.replay.demo import BUNDLE
from kinestream.streamer.fleet.fleetfile import read_fleet
from tests.test_commands import run

WHOLE = {"bundle": str(BUNDLE), "streamers": 2, "state": "state"}


def written(folder: Path, **keys: object) -> Path:
    path = folder / "fleet.yaml"
    path.write_text(yaml.safe_dump({**WHOLE, **keys}))
    return path


def test_a_file_of_three_keys_is_one_and_its_paths_start_from_its_folder(tmp_path: Path):
    fleet, problems = read_fleet(written(tmp_path))
    assert problems == []
    assert fleet is not None
    assert (fleet.bundle, fleet.state) == (str(BUNDLE), str(tmp_path / "state"))
    assert fleet.directory == "tcp://127.0.0.1:5560"
    assert not fleet.autoscale.enabled


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"streamers": 0}, "streamers: "),
        ({"nmae": "wards"}, "nmae: unknown key (did you mean name?)"),
        ({"host": "10.0.0.1"}, "keys: missing: whoever reaches host and directory may do it all without"),
        ({"directory": "tcp://10.0.0.1:5560"}, "keys: missing"),
        ({"host": "node"}, "keys: missing"),
        ({"keys": "keys"}, "keeper_keys: missing: keys is given"),
        ({"ports": "5600-5606"}, "ports: has room for 1 streamers at 4 ports each, fewer than 2"),
        ({"ports": "many"}, "ports: should be two ports with a dash between"),
        ({"directory": "tcp://127.0.0.1:*"}, "directory: should have a port of its own"),
        ({"updates": "tcp://127.0.0.1:5560"}, "updates: is the address of directory already"),
        ({"autoscale": {"least": 3, "most": 2}}, "autoscale.most: should be no less than least, 3, not 2"),
    ],
)
def test_what_is_wrong_is_said_by_its_key(tmp_path: Path, keys: dict[str, object], problem: str):
    _, problems = read_fleet(written(tmp_path, **keys))
    assert len(problems) == 1, problems
    assert problem in problems[0]


def test_three_errors_are_told_at_once_in_a_line_each(tmp_path: Path):
    done = run("fleet", "up", str(written(tmp_path, streamers=0, nmae="x", bundle="nowhere", ports="1")))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 3, done.stderr
    for line, key in zip(sorted(done.stderr.splitlines()), ("nmae", "ports", "streamers"), strict=True):
        assert f"fleet.yaml: {key}: " in line


def test_a_bundle_that_is_none_is_told_before_anything_is_started(tmp_path: Path):
    done = run("fleet", "up", str(written(tmp_path, bundle="nowhere")))
    assert done.returncode == 2
    assert "fleet.yaml: bundle: " in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "state").exists()
