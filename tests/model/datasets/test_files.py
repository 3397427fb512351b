"""A damaged or odd archive ends in one line, and a zip and its folder are the same dataset."""

import zipfile
from pathlib import Path

import pytest

from model.datasets.files import FolderTree, ZipTree, open_tree
from model.errors import SourceError
from tests.published import write_opportunity, write_uci_har


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
