"""A cached recording equals the parsed one, is never trusted when damaged, and no crash leaves half of one."""

import mmap
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinestream.model.datasets import Recording, open_source
from kinestream.model.datasets.cache import load, store
from kinestream.model.errors import SourceError
from kinestream.model.recordings.recording import Channel
from tests.given.published import opportunity_rows, write_opportunity


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KINESTREAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def entries(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.safetensors"))


def same(first: Recording, second: Recording) -> bool:
    arrays = ("samples", "timestamps", "labels")
    return all(
        np.array_equal(getattr(first, name), getattr(second, name), equal_nan=name == "samples") for name in arrays
    ) and all(getattr(first, name) == getattr(second, name) for name in vars(first) if name not in arrays)


def mapped(array: npt.NDArray[Any] | None) -> bool:
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, mmap.mmap)


def recording(rows: int, seed: int = 0) -> Recording:
    rng = np.random.default_rng(seed)
    return Recording(
        id="a/b é",
        person="p1",
        dataset="hapt",
        rate_hz=50.0,
        channels=(Channel("x", "g"), Channel("y")),
        samples=rng.normal(size=(rows, 2)).astype(np.float32),
        timestamps=rng.integers(-(2**60), 2**60, rows),
        labels=rng.integers(-1, 3, rows).astype(np.int16),
        classes=("a", "b", "c"),
        null_class=0,
        split=None,
        window=128,
    )


@given(st.integers(0, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_what_is_stored_comes_back(tmp_path_factory: pytest.TempPathFactory, rows: int, seed: int) -> None:
    path = tmp_path_factory.mktemp("entry") / "r.safetensors"
    store(recording(rows, seed), path)
    assert same(load(path), recording(rows, seed))


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_no_damage_is_trusted(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    whole = recording(9)
    store(whole, path)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    path.write_bytes(content)
    try:
        read = load(path)
    except (OSError, ValueError, KeyError, TypeError):
        return
    assert same(read, whole)  # a change that changes nothing, as in the header's padding


def test_the_second_reading_comes_from_the_cache(tmp_path: Path, cache: Path) -> None:
    archive = write_opportunity(tmp_path / "o.zip", runs=["S1-ADL1", "S2-ADL5"])
    source = open_source(archive)
    parsed = source.read("S1-ADL1")
    assert len(entries(cache)) == 1
    again = open_source(archive).read("S1-ADL1")
    assert same(parsed, again)
    assert mapped(again.samples)
    assert not mapped(parsed.samples)
    open_source(archive, task="locomotion").read("S1-ADL1")
    assert len(entries(cache)) == 2


def test_zip_folder_and_renamed_copy_share_entries(tmp_path: Path, cache: Path) -> None:
    for path in (tmp_path / "a.zip", tmp_path / "b.zip", tmp_path / "folder"):
        open_source(write_opportunity(path, runs=["S1-ADL1"])).read("S1-ADL1")
    assert len(entries(cache)) == 1


def test_damaged_entry_is_rebuilt(tmp_path: Path, cache: Path) -> None:
    archive = write_opportunity(tmp_path / "o.zip", runs=["S1-ADL1"])
    parsed = open_source(archive).read("S1-ADL1")
    (entry,) = entries(cache)
    whole = entry.read_bytes()
    for damage in (whole[:100], b"", whole[:-40] + bytes(40), b"\xff" * len(whole)):
        entry.unlink()  # the parsed arrays may still be mapped from it
        entry.write_bytes(damage)
        assert same(open_source(archive).read("S1-ADL1"), parsed)
        assert same(load(entry), parsed)


def test_changed_file_in_a_folder_is_read_anew(tmp_path: Path, cache: Path) -> None:
    """Even if its size and modification time are those of before, as some unpackers make them."""
    folder = write_opportunity(tmp_path / "folder", runs=["S1-ADL1"])
    run = folder / "OpportunityUCIDataset" / "dataset" / "S1-ADL1.dat"
    os.utime(run, ns=(10**18, 10**18))
    first = open_source(folder).read("S1-ADL1")
    lines = run.read_bytes().splitlines()
    run.write_bytes(b"\n".join([lines[0], lines[2], lines[1], *lines[3:]]) + b"\n")
    os.utime(run, ns=(10**18, 10**18))
    second = open_source(folder).read("S1-ADL1")
    np.testing.assert_array_equal(second.samples[[0, 2, 1]], first.samples[:3])


def test_unchanged_file_is_not_read_again(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_opportunity(tmp_path / "folder", runs=["S1-ADL1"])
    # As if some time had passed since the files were written.
    monkeypatch.setattr("kinestream.model.datasets.stamps.RACY_NS", -(10**12))
    open_source(folder).read("S1-ADL1")
    source = open_source(folder)
    monkeypatch.setattr(type(source.reader.files), "read", lambda *_: pytest.fail("read again"))
    source.read("S1-ADL1")


def test_unwritable_cache_is_said_once_and_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("KINESTREAM_CACHE", str(tmp_path / "file" / "cache"))
    source = open_source(write_opportunity(tmp_path / "folder", runs=["S1-ADL1", "S1-ADL2"]))
    assert [recording.id for recording in source.recordings()] == ["S1-ADL1", "S1-ADL2"]
    (told,) = caplog.messages
    assert "cannot write to the cache" in told


def test_damaged_source_is_not_cached(tmp_path: Path, cache: Path) -> None:
    folder = write_opportunity(tmp_path / "folder", runs=["S1-ADL1"])
    (folder / "OpportunityUCIDataset" / "dataset" / "S1-ADL1.dat").write_text("1 2 3\n")
    for _ in range(2):
        with pytest.raises(SourceError, match="line 1 has 3 columns where 250 belong"):
            open_source(folder).read("S1-ADL1")
    assert entries(cache) == []


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from kinestream.model.datasets.cache import store
from tests.model.datasets.test_cache import recording
whole = recording(400_000)
print("ready", flush=True)
while True:
    store(whole, Path({path!r}))
"""


def test_a_writer_killed_half_way_leaves_a_whole_entry_or_none(tmp_path: Path) -> None:
    path = tmp_path / "r.safetensors"
    whole = recording(400_000)
    program = WRITER.format(root=str(Path(__file__).parents[3]), path=str(path))
    unfinished = []
    for patience in np.linspace(0, 0.02, 3):
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            deadline = time.monotonic() + 30
            while not list(tmp_path.glob(".unfinished-*")) and time.monotonic() < deadline:
                pass
            time.sleep(patience)  # to die at different points of the writing
            writer.send_signal(signal.SIGKILL)
        if path.exists():
            assert same(load(path), whole)
        unfinished += list(tmp_path.glob(".unfinished-*"))
    store(whole, path)  # leftovers are in nobody's way
    assert same(load(path), whole)
    assert unfinished


def read_all(archive: Path) -> int:
    source = open_source(archive)
    return sum(
        np.array_equal(each.timestamps, opportunity_rows(each.id, 120)[:, 0] * 1_000_000)
        for each in source.recordings()
    )


def test_many_processes_at_once(tmp_path: Path, cache: Path) -> None:
    archive = write_opportunity(tmp_path / "o.zip", runs=["S1-ADL1", "S1-ADL2", "S1-ADL3"])
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert pool.map(read_all, [archive] * 3) == [3, 3, 3]
    assert len(entries(cache)) == 3
    assert not list(cache.rglob(".unfinished-*"))
    shutil.rmtree(cache)
    assert read_all(archive) == 3
