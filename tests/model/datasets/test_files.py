"""A damaged or odd archive ends in one line, and a zip and its folder are the same dataset."""

import io
import resource
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest

from kinestream.model.datasets import open_source
from kinestream.model.datasets.files import MOST_FILES, FolderTree, ZipTree, open_tree
from kinestream.model.errors import SourceError
from tests.given.published import write_opportunity, write_uci_har


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write_opportunity(tmp_path / "data.zip", runs=["S1-ADL1", "S1-Drill"])


def test_zip_and_folder_hold_the_same(archive: Path, tmp_path: Path) -> None:
    folder = write_opportunity(tmp_path / "folder", runs=["S1-ADL1", "S1-Drill"])
    packed, loose = ZipTree(archive), FolderTree(folder)
    assert packed.names == loose.names
    for name in packed.names:
        assert packed.read(name) == loose.read(name)
        assert packed.stamp(name) == loose.stamp(name)


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_truncated_zip_says_so(archive: Path, kept: float) -> None:
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(kept if kept > 1 else kept * len(whole))])
    with pytest.raises(SourceError, match=r"data\.zip: not a whole zip file .* download it again") as error:
        open_tree(archive)
    assert "\n" not in str(error.value)


def test_flipped_byte_is_found_by_checksum(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as members:
        victim = members.getinfo("OpportunityUCIDataset/dataset/S1-ADL1.dat")
    content[victim.header_offset + 1000] ^= 0xFF
    archive.write_bytes(content)
    tree = ZipTree(archive)
    with pytest.raises(SourceError, match=r"S1-ADL1\.dat is damaged"):
        tree.read(victim.filename)
    assert tree.first_damage() == victim.filename
    tree.read("OpportunityUCIDataset/dataset/S1-Drill.dat")


def test_whole_zip_has_no_damage(archive: Path) -> None:
    assert ZipTree(archive).first_damage() is None


def test_missing_file_and_text_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file or folder"):
        open_tree(tmp_path / "none.zip")
    (tmp_path / "note.txt").write_text("hello")
    with pytest.raises(SourceError, match="not a whole zip file"):
        open_tree(tmp_path / "note.txt")


def test_zip_in_zip_and_macos_litter(tmp_path: Path) -> None:
    outer = ZipTree(write_uci_har(tmp_path / "outer.zip", nested=True))
    inner = outer.unpack("UCI HAR Dataset.zip")
    assert "UCI HAR Dataset/train/y_train.txt" in inner.names
    assert not any("MACOSX" in name for name in inner.names)


def test_file_that_vanishes_is_named(tmp_path: Path) -> None:
    folder = write_opportunity(tmp_path / "folder", runs=["S1-ADL1"])
    tree = FolderTree(folder)
    (folder / tree.names[0]).unlink()
    with pytest.raises(SourceError, match="cannot be read"):
        tree.read(tree.names[0])


def bomb(path: Path, megabytes: int, name: str = "S1-ADL1.dat") -> Path:
    """Write a zip whose only file is zeros."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w", force_zip64=True) as file:
        for _ in range(megabytes):
            file.write(bytes(1 << 20))
    return path


def test_a_zip_of_two_megabytes_that_holds_two_gigabytes_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    megabyte = bytes(1 << 20)
    packer = zlib.compressobj(9, wbits=-15)
    packed = b"".join(packer.compress(megabyte) for _ in range(300)) + packer.flush()
    path.write_bytes(_stored(packed, stated=2 << 30))
    assert path.stat().st_size < 1 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SourceError, match=r"^[^\n]*unpacks from 0\.\d MB to 2,147 MB[^\n]*$"):
        open_tree(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def _stored(packed: bytes, stated: int) -> bytes:
    """Return a zip whose file is deflated to `packed` and said to have `stated` bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.dat", packed)
        info = archive.getinfo("a.dat")
        info.compress_type, info.file_size = zipfile.ZIP_DEFLATED, stated
    return buffer.getvalue()


def test_a_file_that_unpacks_to_more_than_it_says_is_damaged_and_takes_no_more_memory(tmp_path: Path) -> None:
    packed = zlib.compressobj(9, wbits=-15)
    content = packed.compress(bytes(300 << 20)) + packed.flush()
    path = tmp_path / "liar.zip"
    path.write_bytes(_stored(content, stated=1000))
    script = (
        "import resource, sys; from pathlib import Path; from kinestream.model.datasets.files import ZipTree\n"
        "tree = ZipTree(Path(sys.argv[1])); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: tree.read('a.dat')\n"
        "except Exception as error: print(error)\n"
        "assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    assert "a.dat is damaged" in done.stdout


def test_large_files_that_are_recordings_are_read(tmp_path: Path) -> None:
    lines = "".join(f"{i} {i % 97} {i % 89}\n" for i in range(1_000_000)).encode()
    path = tmp_path / "large.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(3):
            archive.writestr(f"{number}.dat", lines)
    assert ZipTree(path).read("2.dat") == lines
    bomb(tmp_path / "zeros.zip", 100)  # a sensor that was off: a thousand to one, and not much
    assert len(ZipTree(tmp_path / "zeros.zip").read("S1-ADL1.dat")) == 100 << 20


def test_a_bomb_within_a_zip_and_a_zip_within_itself_are_refused(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, wbits=-15)
    packed = packer.compress(bytes(10 << 20)) + packer.flush()
    outer = tmp_path / "outer.zip"
    with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.zip", _stored(packed, stated=1 << 30))
    with pytest.raises(SourceError, match=r"outer\.zip \(inner\.zip\): it unpacks from"):
        open_tree(outer).unpack("inner.zip")
    content = b""
    for _ in range(50):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("again.zip", content)
        content = buffer.getvalue()
    (tmp_path / "again.zip").write_bytes(content)
    with pytest.raises(SourceError, match="zips within zips"):
        open_source(tmp_path / "again.zip")


def test_a_zip_of_more_files_than_any_dataset_has_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for number in range(MOST_FILES + 1):
            archive.writestr(str(number), b"")
    with pytest.raises(SourceError, match="holds more than 20000 files"):
        open_tree(tmp_path / "many.zip")


def test_a_full_disk_is_not_taken_for_damage(tmp_path: Path) -> None:
    outer = write_uci_har(tmp_path / "outer.zip", nested=True)
    script = (
        "import resource, sys; from pathlib import Path; from kinestream.model.datasets.files import ZipTree\n"
        "tree = ZipTree(Path(sys.argv[1])); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "tree.unpack('UCI HAR Dataset.zip')"
    )
    done = subprocess.run([sys.executable, "-c", script, outer], capture_output=True, text=True, check=False)
    assert "no room to unpack a zip (File too large)" in done.stderr.splitlines()[-1]
