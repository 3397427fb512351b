"""A bundle from somebody who means harm, or that broke on its way, is refused in a line before it costs anything."""

import os
import random
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import save

from kinestream.model.bundle.bundle import DESCRIPTION, MOST_WEIGHTS, WEIGHTS, read_bundle
from kinestream.model.engine.load import load_engine
from kinestream.model.errors import KinestreamError
from tests.given.bundles import random_bundle

MADE = random_bundle()
ROUNDS = 300


def written(folder: Path, *, signed: bool = True) -> Path:
    """Write a bundle, if need be without the digest that tells every change of its weights."""
    MADE.write(folder)
    if not signed:
        about = yaml.safe_load((folder / DESCRIPTION).read_text())
        (folder / DESCRIPTION).write_text(yaml.dump(about | {"weights_sha256": None}))
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(KinestreamError) as caught:
        read_bundle(folder)
    line = str(caught.value)
    assert "\n" not in line
    assert line.isprintable()
    assert len(line) < 2000
    return line


def flipped(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 10))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def stirred(content: bytes, rng: random.Random) -> bytes:
    """Put some bytes of it, or any, elsewhere in it; more often near its head."""
    at, size = rng.randrange(min(len(content), rng.choice((8, 300, 10**6)))), rng.randrange(1, 40)
    piece = rng.choice((rng.randbytes(size), content[at : at + size] * 3, b"\xff" * size, b"{" * size))
    return content[:at] + piece + content[at + rng.choice((0, size)) :]


@pytest.mark.parametrize("change", [flipped, cut, stirred])
@pytest.mark.parametrize("name", [DESCRIPTION, WEIGHTS])
@pytest.mark.parametrize("signed", [True, False])
def test_whatever_happens_to_a_file_is_a_line_or_a_bundle_that_works(
    tmp_path: Path, change: Callable[[bytes, random.Random], bytes], name: str, signed: bool
):
    """Without a digest a change may make another sound bundle; with one, no change of the weights goes unnoticed."""
    folder = written(tmp_path / "bundle", signed=signed)
    content = (folder / name).read_bytes()
    rng = random.Random(f"{change.__name__} {name} {signed}")
    read, said = 0, []
    for _ in range(ROUNDS):
        changed = change(content, rng)
        (folder / name).write_bytes(changed)
        try:
            bundle = read_bundle(folder)
        except KinestreamError as error:
            said.append(str(error))
            continue
        read += 1
        assert all(np.isfinite(weight).all() for weight in bundle.weights.values())
        if bundle.grid.length == MADE.grid.length and read < 10:
            load_engine(bundle, "cpu").probabilities(np.zeros((1, bundle.grid.length, 3), dtype=np.float32))
        assert not (signed and name == WEIGHTS) or changed == content
    assert said
    assert all(line.isprintable() and len(line) < 2000 for line in said)


@pytest.mark.parametrize("name", [DESCRIPTION, WEIGHTS])
def test_a_pipe_is_not_waited_for(tmp_path, name):
    folder = written(tmp_path)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    began = time.monotonic()
    refused(folder)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("name", [DESCRIPTION, WEIGHTS])
def test_a_link_to_a_device_or_a_folder_is_not_read(tmp_path, name):
    for target in ("/dev/zero", "/dev/urandom", str(tmp_path)):
        folder = written(tmp_path / f"bundle-{len(target)}")
        (folder / name).unlink()
        (folder / name).symlink_to(target)
        refused(folder)


def test_a_file_of_weights_takes_no_more_memory_than_its_network(tmp_path):
    """It is refused by its size, unread; one that grows while it is read is read no further."""
    folder = written(tmp_path)
    with (folder / WEIGHTS).open("ab") as file:
        file.truncate(MOST_WEIGHTS - 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "larger than its network" in refused(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB


def test_links_to_files_and_folders_are_followed(tmp_path):
    """As in Kubernetes, where every file of a volume is a link."""
    real = written(tmp_path / "real")
    (tmp_path / "files").mkdir()
    for name in (DESCRIPTION, WEIGHTS):
        (tmp_path / "files" / name).symlink_to(real / name)
    (tmp_path / "folder").symlink_to(real)
    for folder in ("files", "folder"):
        assert read_bundle(tmp_path / folder).id == MADE.id


def test_two_files_of_different_bundles_are_told(tmp_path):
    folder = written(tmp_path / "one")
    other = random_bundle(seed=1)
    other.write(tmp_path / "other")
    shutil.copy(tmp_path / "other" / WEIGHTS, folder / WEIGHTS)
    assert "is damaged (it is not the file that was written)" in refused(folder)


def test_weights_of_a_network_of_another_size_are_refused(tmp_path):
    folder = written(tmp_path, signed=False)
    weights = dict(MADE.weights) | {"head.bias": np.zeros(5, dtype=np.float32)}
    (folder / WEIGHTS).write_bytes(save(weights))
    assert "do not fit its description" in refused(folder)


@pytest.mark.parametrize("text", ['format: "a\\n\\x1b[2J"', "format: " + "9" * 5000, 'format: 1\n"a\\nb": 1'])
def test_what_a_file_says_cannot_command_a_terminal_nor_fill_it(tmp_path, text):
    folder = written(tmp_path)
    (folder / DESCRIPTION).write_text(text)
    refused(folder)


def test_python_objects_are_not_made(tmp_path):
    folder = written(tmp_path)
    (folder / DESCRIPTION).write_text("!!python/object/apply:os.system ['touch /tmp/never']")
    assert "is not YAML" in refused(folder)


@pytest.mark.parametrize("text", ["a: [" + "1," * 2_000_000 + "1]", "\n".join(f"k{i}: v" for i in range(300_000))])
def test_a_description_of_a_million_values_does_not_keep_other_threads_waiting(tmp_path, text):
    """A streamer reads it while labels are due: what takes long must be done a piece at a time."""
    folder = written(tmp_path)
    (folder / DESCRIPTION).write_text(text)
    began = time.thread_time()
    assert "more than 100,000 values" in refused(folder)
    assert time.thread_time() - began < 5  # all of it took 13 s, 3 of them in one piece
