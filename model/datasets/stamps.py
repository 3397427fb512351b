"""Remembers the CRC-32 of files in folders, so that an unchanged file is not read only to see that it is unchanged.

A file is taken for unchanged while its size, modification and status-change times and inode are: the last two cannot
be set back by an unpacker or a copy. As in git's index, a file changed within the last two seconds is not remembered,
for it could change again without its times showing it.
"""

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

from kinestream.model.datasets.files import FileTree, Stamp
from kinestream.model.errors import FileError
from kinestream.model.files import write_whole

RACY_NS = 2_000_000_000


class StampBook:
    """Stamps of files, by path.

    Parameters
    ----------
    folder : Path
        Where the book is kept, a small file for each file it knows.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def stamp(self, files: FileTree, name: str) -> Stamp:
        """Return the stamp of a file, remembered or computed."""
        file = files.on_disk(name)
        if file is None:
            return files.stamp(name)
        try:
            status = file.stat()
        except OSError:
            return files.stamp(name)  # which says what is wrong
        seen = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        page = self.folder / f"{hashlib.sha256(os.fsencode(file.absolute())).hexdigest()[:32]}.json"
        try:
            remembered = json.loads(page.read_bytes())
            if remembered["seen"] == seen:
                return Stamp(status.st_size, int(remembered["crc32"]))
        except (OSError, ValueError, KeyError, TypeError):  # never seen, or a damaged page
            pass
        stamp = files.stamp(name)
        if max(status.st_mtime_ns, status.st_ctime_ns) < time.time_ns() - RACY_NS:
            self._remember(page, seen, stamp)
        return stamp

    @staticmethod
    def _remember(page: Path, seen: list[int], stamp: Stamp) -> None:
        # A book that cannot be written only costs time; the cache says so once for both.
        with contextlib.suppress(FileError):
            write_whole(page, json.dumps({"seen": seen, "crc32": stamp.crc32}).encode())
