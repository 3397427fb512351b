"""The published files of a dataset, read alike from a zip, from a zip inside a zip, or from a folder."""

import lzma
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

from kinestream.model.errors import SourceError

try:
    from isal import isal_zlib as fast_zlib
except ImportError:  # it comes with the extra `datasets`, and unpacks nearly three times as fast
    fast_zlib = zlib  # type: ignore[misc]

DEPTH = 6
"""How many folders deep a dataset is looked for; publishers nest three, unpackers add one or two."""

MOST_FILES = 20_000
"""A folder or zip with more files than this is not a dataset but somebody's home."""

FREE_BYTES = 256 << 20
"""What a zip, or a file in it, may unpack to without a question."""

MOST_RATIO = 100
"""So many bytes for each packed one it may unpack to beyond that; recordings come to 3 or 10, a zip bomb to 1,000."""

MOST_BYTES = 4 << 30
"""What a file in a zip may unpack to at all: it is read into memory. Opportunity's largest has 0.1 GB."""

NESTED = 3
"""Zips within zips; publishers nest one."""

_LOCAL_HEADER = 30  # bytes before a packed file's name
_ENCRYPTED = 1  # bit of a file's flags

ZIP_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    cast(type[Exception], fast_zlib.error),  # its stubs call it an instance
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OSError,
)
"""What the standard library raises when an archive is truncated, corrupt, encrypted or oddly compressed."""


@dataclass(frozen=True)
class Stamp:
    """What tells one content of a file from another: its size in bytes and its CRC-32."""

    size: int
    crc32: int


class FileTree(Protocol):
    """Named files below one path; names are relative and separated by ``/``."""

    path: Path
    names: tuple[str, ...]

    def read(self, name: str) -> bytes:
        """Return the content of a file; `SourceError` if it is missing or damaged."""

    def stamp(self, name: str) -> Stamp:
        """Return the size and CRC-32 of a file's content."""

    def on_disk(self, name: str) -> Path | None:
        """Return where a file lies by itself on the disk, or None if it is packed."""

    def unpack(self, name: str) -> "ZipTree":
        """Open a file of this tree that is itself a zip."""


class ZipTree:
    """The files of a zip.

    Parameters
    ----------
    path : Path
        The archive the user named.
    opened : Path, optional
        What to read instead of `path`: a copy of a zip that was inside it.
    inner : str, optional
        Name of that inner zip, for messages.
    depth : int
        In how many other zips it lies.

    Raises
    ------
    SourceError
        Where it is none, is damaged, or unpacks to more than any recordings do.
    """

    def __init__(self, path: Path, opened: Path | None = None, inner: str = "", depth: int = 0) -> None:
        self.path = path
        self._depth = depth
        self._label = f"{path} ({inner})" if inner else str(path)
        try:
            self._opened = opened or path
            self._zip = zipfile.ZipFile(self._opened)
        except PermissionError as error:
            raise SourceError(f"{self._label}: cannot be read ({error.strerror})") from error
        except ZIP_DAMAGE as damage:
            raise SourceError(f"{self._label}: not a whole zip file ({damage}); download it again") from damage
        members = [info for info in self._zip.infolist() if not info.is_dir() and not _is_litter(info.filename)]
        self._members = {info.filename.replace("\\", "/"): info for info in members}
        self.names = tuple(sorted(self._members))
        if len(self.names) > MOST_FILES:
            raise SourceError(f"{self._label}: holds more than {MOST_FILES} files; name the dataset's own zip")
        refuse_bomb(self._label, "it", sum(info.file_size for info in members), self._opened.stat().st_size)

    def read(self, name: str) -> bytes:
        """Return the content of a file, its CRC-32 checked."""
        member = self._checked(name)
        try:
            plain = member.compress_type == zipfile.ZIP_DEFLATED and not member.flag_bits & _ENCRYPTED
            # A temporary copy has no name any more by which each reader could open it for itself.
            return self._inflated(member) if plain and self._opened == self.path else self._zip.read(member)
        except ZIP_DAMAGE as damage:
            raise self._damaged(name, damage) from damage

    def stamp(self, name: str) -> Stamp:
        """Return size and CRC-32 as the central directory states them."""
        member = self._member(name)
        return Stamp(member.file_size, member.CRC)

    def on_disk(self, name: str) -> Path | None:
        """Return None: the files are packed."""
        return None

    def unpack(self, name: str) -> "ZipTree":
        """Open a zip inside this zip, from a temporary copy on disk (UCI HAR's has 60 MB)."""
        if self._depth >= NESTED:
            raise SourceError(f"{self._label}: zips within zips within zips; unpack it and name the innermost")
        member = self._checked(name)
        with tempfile.NamedTemporaryFile() as copy:
            try:
                with self._zip.open(member) as packed:
                    while piece := packed.read(1 << 20):
                        _write(copy, piece)
            except ZIP_DAMAGE as damage:
                raise self._damaged(name, damage) from damage
            _write(copy)
            # It stays open when its name is gone.
            return ZipTree(self.path, Path(copy.name), inner=name, depth=self._depth + 1)

    def first_damage(self) -> str | None:
        """Return the name of the first file whose content does not match its CRC-32, if any."""
        for name in self.names:
            try:
                with self._zip.open(self._members[name]) as packed:
                    while packed.read(1 << 20):
                        pass
            except ZIP_DAMAGE:
                return name
        return None

    def _inflated(self, member: zipfile.ZipInfo) -> bytes:
        """Return the content of a deflated file; the standard library's inflate takes more than twice as long."""
        with open(self._opened, "rb") as file:
            file.seek(member.header_offset)
            header = file.read(_LOCAL_HEADER)
            # The local header's name and extra field need not be as long as the central directory's.
            file.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), os.SEEK_CUR)
            packed = file.read(member.compress_size)
        # No more than the size that is stated: a file may unpack to a thousand times as much as it says.
        unpacking = fast_zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        content: bytes = unpacking.decompress(packed, max_length=member.file_size + 1)
        if len(content) != member.file_size or fast_zlib.crc32(content) != member.CRC:
            raise zipfile.BadZipFile(f"Bad CRC-32 for file {member.filename!r}")
        return content

    def _member(self, name: str) -> zipfile.ZipInfo:
        try:
            return self._members[name]
        except KeyError:
            raise SourceError(f"{self._label}: holds no file {name}") from None

    def _checked(self, name: str) -> zipfile.ZipInfo:
        """Return a file's entry if what it says it unpacks to is reasonable."""
        member = self._member(name)
        refuse_bomb(self._label, name, member.file_size, member.compress_size)
        if member.file_size > MOST_BYTES:
            raise SourceError(f"{self._label}: {name} has {member.file_size / 1e9:.1f} GB: divide the recording")
        return member

    def _damaged(self, name: str, damage: BaseException) -> SourceError:
        return SourceError(f"{self._label}: {name} is damaged ({damage}); download the archive again")


def refuse_bomb(label: str, what: str, size: int, packed: int) -> None:
    """Raise `SourceError` where `packed` bytes unpack to `size` as no recordings do; `label` names the file."""
    if size > FREE_BYTES and size > MOST_RATIO * packed:
        came = f"{what} unpacks from {packed / 1e6:.1f} MB to {size / 1e6:,.0f} MB"
        raise SourceError(f"{label}: {came}, as no recordings do; if it is right, unpack it yourself")


def _write(copy: IO[bytes], piece: bytes = b"") -> None:
    """Write to a temporary copy: what goes wrong here is no damage of the zip."""
    try:
        copy.write(piece)
        if not piece:
            copy.flush()
    except OSError as error:
        folder = tempfile.gettempdir()
        raise SourceError(f"{folder}: no room to unpack a zip ({error.strerror}); name another by TMPDIR") from error


class FolderTree:
    """The files below a folder, at most `DEPTH` folders deep."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: tuple[str, ...] = tuple(sorted(_walk(path)))
        if len(self.names) > MOST_FILES:
            raise SourceError(f"{path}: holds more than {MOST_FILES} files; name the dataset's own folder")

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise SourceError(f"{self.path / name}: cannot be read ({error.strerror})") from error

    def stamp(self, name: str) -> Stamp:
        """Return size and CRC-32, which takes reading the whole file."""
        content = self.read(name)
        return Stamp(len(content), zlib.crc32(content))

    def on_disk(self, name: str) -> Path | None:
        """Return where the file lies."""
        return self.path / name

    def unpack(self, name: str) -> ZipTree:
        """Open a zip that lies in this folder."""
        return ZipTree(self.path / name)


class LoneFile(FolderTree):
    """One file of a folder, as a tree of files.

    Parameters
    ----------
    file : Path
        Where it lies.
    """

    def __init__(self, file: Path) -> None:
        self.path = file.parent
        self.names = (file.name,)


class Subtree:
    """The files of a tree whose names start with a prefix, named without it."""

    def __init__(self, tree: FileTree, prefix: str) -> None:
        self.path = tree.path
        self.names = tuple(name[len(prefix) :] for name in tree.names if name.startswith(prefix))
        self._tree = tree
        self._prefix = prefix

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        return self._tree.read(self._prefix + name)

    def stamp(self, name: str) -> Stamp:
        """Return the size and CRC-32 of a file's content."""
        return self._tree.stamp(self._prefix + name)

    def on_disk(self, name: str) -> Path | None:
        """Return where a file lies by itself on the disk, or None if it is packed."""
        return self._tree.on_disk(self._prefix + name)

    def unpack(self, name: str) -> ZipTree:
        """Open a file of this tree that is itself a zip."""
        return self._tree.unpack(self._prefix + name)


def open_tree(path: Path) -> FileTree:
    """Open a zip or a folder; `SourceError` if it is neither."""
    if not is_there(path):
        raise SourceError(f"{path}: no such file or folder")
    return FolderTree(path) if path.is_dir() else ZipTree(path)


def is_there(path: Path) -> bool:
    """Tell whether there is such a file or folder; `SourceError` where a folder above it keeps that to itself."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:  # a loop of links, a name too long or with a zero in it
        why = error.strerror if isinstance(error, OSError) else error
        raise SourceError(f"{path}: cannot be opened ({why})") from error
    return True


def _walk(top: Path) -> Iterator[str]:
    found = 0
    seen = set()
    for folder, subfolders, files in os.walk(top, onerror=_refuse, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:  # a link that leads round in a circle
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        relative = Path(folder).relative_to(top)
        if len(relative.parts) >= DEPTH:
            subfolders.clear()
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for file in files:
            name = (relative / file).as_posix()
            if not _is_litter(name):
                found += 1
                yield name
        if found > MOST_FILES:
            return


def _refuse(error: OSError) -> None:
    """Refuse a folder that cannot be looked into: whose recordings would be missing is not known."""
    what = f"{error.filename}: cannot be looked into ({error.strerror})"
    raise SourceError(f"{what}: allow it, or move the folder out of the source") from error


def _is_litter(name: str) -> bool:
    """Tell what macOS adds to archives and folders: UCI's zips are full of it."""
    return name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith("._")
