"""Reads and writes whole files; an error is one line.

A file is written under another name and moved into place, so that a crash leaves either the whole new content or what
was there before.
"""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from kinestream.model.errors import FileError


def write_whole(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a file whole or not at all, with the permissions that files get here; its folder is made where needed.

    A `private` one can be read by its owner only, from its first byte on.

    A link stays one: the file it leads to is replaced. What is no plain file, as a pipe or ``/dev/stdout``, is written
    to as it is.

    Raises
    ------
    FileError
        Where that cannot be; what was there before still is.
    """
    try:
        where = Path(os.path.realpath(path))
        where.parent.mkdir(parents=True, exist_ok=True)
        if where.exists() and not where.is_file():
            where.write_bytes(content)
        else:
            _replace(where, content, private)
    except OSError as error:
        raise FileError(not_written(path, error)) from error


def check_writable(path: Path) -> None:
    """Make sure that a file can be written before the work that leads to its content is done; nothing is left of it.

    Raises
    ------
    FileError
        Where its folder cannot be made, or no file in it.
    """
    try:
        where = Path(os.path.realpath(path))
        made = [folder for folder in where.parents if not folder.exists()]  # innermost first
        where.parent.mkdir(parents=True, exist_ok=True)
        try:
            if where.is_dir():
                raise IsADirectoryError(0, "it is a folder")
            if not where.exists() or where.is_file():
                _unfinished(where).unlink()
        finally:
            with suppress(OSError):  # somebody else uses it by now
                for folder in made:
                    folder.rmdir()
    except OSError as error:
        raise FileError(not_written(path, error)) from error


def read_whole(path: Path, most: int | None = None) -> bytes:
    """Return the content of a file.

    Parameters
    ----------
    path : Path
        The file.
    most : int, optional
        More bytes than these are not read.

    Raises
    ------
    FileError
        Where it cannot be read, or is larger.
    """
    try:
        with path.open("rb") as file:
            content = file.read() if most is None else file.read(most + 1)
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({reason(error)})") from error
    if most is not None and len(content) > most:
        raise FileError(f"{path}: larger than {most / 1e6:.0f} MB: that is not what it is taken for")
    return content


def read_plain(path: Path, most: int) -> bytes:
    """Return the content of a plain file, or of one that a link leads to; nothing else is waited for or read.

    Parameters
    ----------
    path : Path
        From somebody who may have put a pipe there, which never ends, or a device.
    most : int
        Of a file of more bytes than these nothing is returned, also where it grows meanwhile.

    Raises
    ------
    FileError
        Where it is no such file, cannot be read, or is larger.
    """
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise FileError(f"{path}: is no plain file: give one")
            content = file.read(most + 1)
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({reason(error)})") from error
    if len(content) > most:
        raise FileError(f"{path}: larger than {most / 1e6:.1f} MB: that is not what it is taken for")
    return content


def not_written(path: Path, error: OSError) -> str:
    """Return in a line that a file or folder could not be written, and why."""
    return f"{path}: cannot be written ({reason(error)}): make room or choose another place"


def reason(error: OSError) -> str:
    """Return why the system refused, in its words, naming the file in the way."""
    text = error.strerror or str(error) or type(error).__name__
    return text if error.filename is None else f"{text}: {os.fsdecode(error.filename)}"


def _replace(where: Path, content: bytes, private: bool) -> None:
    unfinished = _unfinished(where, 0o600 if private else 0o666)
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, where)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe would wait for whoever writes to it


def _unfinished(where: Path, mode: int = 0o666) -> Path:
    """Make an empty file beside another, with the permissions that the umask leaves: `tempfile` would leave none."""
    path = where.with_name(f".unfinished-{secrets.token_hex(8)}")
    path.touch(mode, exist_ok=False)
    return path
