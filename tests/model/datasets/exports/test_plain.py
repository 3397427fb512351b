"""Any folder or zip with a CSV for each sensor: its description says the rest."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinestream.model.datasets import Source, open_source
from kinestream.model.errors import ConfigError, SourceError
from tests.given.exports import moments, wave, written

WRIST, ANKLE = moments(104, 4, first_s=1.0), moments(52, 4, first_s=1.3)


def table(seconds: np.ndarray, separator: str = ";", decimal: str = ",") -> str:
    lines = [separator.join(["when", "x", "y", "z", "note"])]
    for at, row in zip(seconds, wave(seconds), strict=True):
        lines.append(
            separator.join([f"{at * 1000:.0f}", *(f"{value:.6f}" for value in row), "-"]).replace(".", decimal)
        )
    return "\n".join(lines) + "\n"


def described(tmp_path: Path, **changed: Any) -> Source:
    sensor = {"rate_hz": 104, "channels": {"wrist_x": {"column": "x", "unit": "g"}, "wrist_z": {"column": 3}}}
    export = {
        "format": "csv",
        "files": ["{person}/{label}_{recording}.zip", "{person}/{label}_{recording}"],
        "text": {"separator": ";", "decimal": ","},
        "time": {"column": "when", "unit": "ms"},
        "rate_hz": 50,
        "sensors": {
            "wrist": {"source": "acc-wrist", **sensor},
            "acc-ankle": {"rate_hz": 52, "channels": {"ankle_y": {"column": "y", "factor": 2.0}}},
        },
        "labels": {"names": {"walk": "walking", "sit": "sitting"}},
        **changed,
    }
    (tmp_path / "mine.yaml").write_text(json.dumps({"dataset": {"name": "mine", "source": "data", "export": export}}))
    return open_source(tmp_path / "mine.yaml")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    tables = {"acc-wrist.csv": table(WRIST), "acc-ankle.csv": table(ANKLE), "about.csv": "key;value\na;b\n"}
    written(tmp_path / "data" / "anna" / "walk_1", tables)
    written(tmp_path / "data" / "anna" / "sit_1.zip", tables)
    return tmp_path


def test_folders_and_zips_are_recordings_whose_sensors_are_joined_by_their_times(data: Path) -> None:
    source = described(data)
    assert source.ids == ("anna_sit_1", "anna_walk_1")
    recordings = [source.read(each) for each in source.ids]
    assert [(each.person, int(each.labels[0])) for each in recordings] == [("anna", 1), ("anna", 0)]
    samples = recordings[0].samples
    np.testing.assert_array_equal(samples, recordings[1].samples)
    seconds = recordings[0].timestamps / 1e9
    np.testing.assert_allclose(samples[2:190, :2], wave(seconds)[2:190, [0, 2]], atol=0.03)
    np.testing.assert_allclose(samples[17:190, 2], 2 * wave(seconds)[17:190, 1], atol=0.06)
    assert np.isnan(samples[:14, 2]).all()
    wrist, ankle = source.devices("anna_walk_1")
    assert [(each.name, each.rate_hz, len(each.times)) for each in (wrist, ankle)] == [
        ("wrist", 104, 416),
        ("acc-ankle", 52, 208),
    ]


def test_a_column_of_times_may_be_counted(data: Path) -> None:
    counted = described(data, time={"column": 1, "unit": "ms"}).devices("anna_walk_1")
    np.testing.assert_array_equal(counted[0].times, described(data).devices("anna_walk_1")[0].times)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"time": None}, "time: missing"),
        ({"format": "phyphox"}, "what phyphox writes says so itself"),
        ({"time": {"column": "when", "unit": "ms", "packets": True}}, "are of one table"),
        ({"text": {"header": False}}, "text.header: false"),
    ],
)
def test_what_contradicts_is_told_by_its_key(data: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        described(data, **changed)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"time": {"column": "then", "unit": "ms"}}, "acc-ankle.csv: no column then: there are when, x"),
        ({"sensors": {"acc-ankle": {"channels": {"a": {"column": "note"}}}}}, "no column note of numbers"),
        ({"sensors": {"acc-ankle": {"channels": {"a": {"column": 4}}}}}, "no column 4 of numbers"),
        ({"text": {"separator": ";"}}, "is not a number"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line(data: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(SourceError, match=said) as found:
        described(data, **changed).read("anna_walk_1")
    assert "walk_1" in str(found.value)
    assert "\n" not in str(found.value)
