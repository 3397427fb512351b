"""XDF: streams on clocks of their own are devices, markers are labels, and damage is one line."""

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest

from kinestream.model.datasets import Source, open_source
from kinestream.model.datasets.drafts.first import first_draft, write_first_draft
from kinestream.model.errors import MissingExtra, SourceError
from tests.given.exports import moments, wave, xdf, xdf_stream

pytest.importorskip("pyxdf")

WRIST, ANKLE = moments(50, 8, first_s=100.0), moments(40, 8, first_s=7000.005)
AXES = [(f"acc_{axis}", "m/s^2") for axis in "xyz"]
STREAMS = [
    xdf_stream(1, "Wrist", WRIST.tolist(), wave(WRIST - 100), rate_hz=50, offset_s=900.0, channels=AXES),
    xdf_stream(2, "Ankle", ANKLE.tolist(), wave(ANKLE - 7000), rate_hz=40, offset_s=-6000.0),
    xdf_stream(3, "Activity", [1002.0, 1005.0], ["walking", "jumping"]),
    xdf_stream(4, "Silent", [], np.empty((0, 2)), rate_hz=10),
    xdf_stream(5, "Protocol", [1001.0], ["<xml>" + "long " * 40]),
]


def opened(tmp_path: Path, content: bytes, name: str = "lab.xdf") -> tuple[Source, tuple[str, ...]]:
    (tmp_path / name).write_bytes(content)
    draft = write_first_draft(tmp_path / name, tmp_path / "mine.yaml")
    return open_source(tmp_path / "mine.yaml"), draft.to_check


@pytest.mark.parametrize("name", ["lab.xdf", "lab.xdfz", "lab.xdf.gz"])
def test_streams_come_to_one_clock_by_the_offsets_that_were_measured(tmp_path: Path, name: str) -> None:
    content = xdf(STREAMS)
    source, said = opened(tmp_path, content if name == "lab.xdf" else gzip.compress(content), name)
    ankle, wrist = source.devices(source.ids[0])
    assert [(each.name, each.rate_hz) for each in (ankle, wrist)] == [("ankle", 40), ("wrist", 50)]
    np.testing.assert_allclose(wrist.times / 1e9, WRIST + 900, atol=1e-6)
    np.testing.assert_allclose(ankle.times / 1e9, ANKLE - 6000, atol=1e-6)
    np.testing.assert_allclose(wrist.values, wave(WRIST - 100), atol=1e-6)
    assert [(channel.name, channel.unit) for channel in source.channels] == [
        *((f"ankle_{number}", "") for number in (1, 2, 3)),
        *((f"acc_{axis}", "m/s2") for axis in "xyz"),
    ]
    assert any("left out Silent: without a reading" in each for each in said)


def test_markers_are_labels_until_the_next(tmp_path: Path) -> None:
    source, said = opened(tmp_path, xdf(STREAMS))
    assert source.classes == ("walking", "jumping")
    recording = source.read(source.ids[0])
    seconds = recording.timestamps / 1e9
    assert (recording.labels == np.select([seconds < 1002, seconds < 1005], [-1, 0], 1)).all()
    assert any("only guessed that the texts of Activity are activities" in each for each in said)


def test_a_file_without_readings_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"lab.xdf: no sensor in it has a reading: record it again"):
        opened(tmp_path, xdf([STREAMS[2], STREAMS[3]]))


WHOLE = xdf(STREAMS)
BACK = xdf_stream(1, "Wrist", [*WRIST.tolist(), *WRIST[:100].tolist()], wave(np.append(WRIST, WRIST[:100])), rate_hz=50)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "does not begin with XDF:"),
        (b"XDF;" + WHOLE[4:], "does not begin with XDF:"),
        (WHOLE[:9000], "a damaged XDF file"),
        (WHOLE.replace(b"<channel_count>3", b"<channel_count>?"), "a damaged XDF file"),
        (WHOLE.replace(b"double64", b"trouble4"), "a damaged XDF file"),
        (WHOLE.replace(b"</name>", b"</noon>"), "a damaged XDF file"),
        (gzip.compress(WHOLE)[:3000], "not a whole gzip file"),
        (gzip.compress(b"XDF:" + bytes(300 << 20)), "it unpacks from 0.3 MB to 2.. MB, as no recordings do"),
        (xdf([BACK]), "the clock steps back by 7.98 s"),
    ],
    ids=["empty", "another", "cut", "width", "type", "XML", "packed and cut", "bomb", "set back"],
)
def test_damage_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(SourceError, match=said) as found:
        opened(tmp_path, content)
    assert "\n" not in str(found.value)


def outcome(path: Path) -> str:
    """Return what was said of a file, or nothing where it is read."""
    try:
        first_draft(path)
    except SourceError as error:
        return str(error)
    return ""


def test_bytes_that_were_changed_never_end_in_a_traceback(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "lab.xdf"
    outcomes = []
    for _ in range(60):
        content = bytearray(WHOLE)
        for at in rng.integers(4, len(content), 20):
            content[at] = rng.integers(256)
        path.write_bytes(content)
        outcomes.append(outcome(path))
    assert not any("\n" in each for each in outcomes)
    assert len(set(outcomes)) > 2


def test_without_pyxdf_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kinestream.model.extras.find_spec", lambda package: None if package == "pyxdf" else package)
    with pytest.raises(MissingExtra, match=r"reading XDF needs pyxdf: pip install .*\[xdf\]"):
        opened(tmp_path, WHOLE)


def test_nothing_loads_it_before_it_is_needed(tmp_path: Path) -> None:
    import subprocess

    script = "import sys, kinestream.model.datasets.drafts.first; print('pyxdf' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
