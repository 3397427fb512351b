"""A file is written whole, as the umask has it, or not at all, and then one line says why."""

import os
import stat
import subprocess
import sys

import pytest

from kinestream.model.errors import FileError
from kinestream.model.files import check_writable, read_whole, write_whole


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077, 0o002])
def test_a_file_gets_the_permissions_that_the_umask_leaves(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "new" / "file", b"content")
        (tmp_path / "usual").write_bytes(b"")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new" / "file", tmp_path / "usual")]
    assert modes[0] == modes[1] == 0o666 & ~umask
    assert os.listdir(tmp_path / "new") == ["file"]


def test_a_link_stays_one_and_a_pipe_is_written_to(tmp_path):
    target, link, pipe = tmp_path / "target", tmp_path / "link", tmp_path / "pipe"
    target.write_text("old")
    link.symlink_to(target)
    write_whole(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    check_writable(pipe)
    write_whole(pipe, b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_full_disk_leaves_what_was_there(tmp_path):
    path = tmp_path / "file"
    path.write_text("precious")
    script = (
        "import resource, sys; from pathlib import Path; from kinestream.model.files import write_whole\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "write_whole(Path(sys.argv[1]), b'x' * 1000)"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    why = "cannot be written (File too large): make room or choose another place"
    assert last == f"kinestream.model.errors.FileError: {path}: {why}"
    assert path.read_text() == "precious"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("place", ["taken/file", "taken/below/file", "folder", "x" * 300])
def test_what_is_in_the_way_is_told_before_and_when_it_is_written(tmp_path, place):
    (tmp_path / "taken").write_text("mine")
    (tmp_path / "folder").mkdir()
    for write in (check_writable, lambda path: write_whole(path, b"")):
        with pytest.raises(FileError, match=r"^[^\n]+cannot be written[^\n]+$"):
            write(tmp_path / place)
    assert sorted(os.listdir(tmp_path)) == ["folder", "taken"]


def test_looking_whether_a_file_can_be_written_leaves_no_folder(tmp_path):
    check_writable(tmp_path / "new" / "folder" / "file")
    assert os.listdir(tmp_path) == []
    write_whole(tmp_path / "there" / "kept", b"")
    check_writable(tmp_path / "there" / "new" / "file")
    assert os.listdir(tmp_path / "there") == ["kept"]


def test_a_file_that_cannot_be_read_or_is_too_large_is_told(tmp_path):
    with pytest.raises(FileError, match=r"none: cannot be read \(No such file"):
        read_whole(tmp_path / "none")
    with pytest.raises(FileError, match=r"cannot be read \(Is a directory"):
        read_whole(tmp_path)
    (tmp_path / "five").write_bytes(b"12345")
    assert read_whole(tmp_path / "five", 5) == b"12345"
    with pytest.raises(FileError, match="larger than"):
        read_whole(tmp_path / "five", 4)
