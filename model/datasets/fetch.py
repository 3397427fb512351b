"""Downloads a dataset from its publisher: resumable, and checked before it counts as there."""

import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx

from kinestream.model.datasets.files import ZipTree
from kinestream.model.datasets.reader import DatasetInfo
from kinestream.model.datasets.source import download_folder, find_download, info_named, open_source
from kinestream.model.errors import FileError, SourceError
from kinestream.model.files import not_written, write_whole
from kinestream.model.progress import Progress, ProgressCallback, ignore_progress
from kinestream.model.system import lock

_log = logging.getLogger(__name__)

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_Came = Callable[[int, int | None], None]  # bytes, of how many
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


def fetch(
    name: str, folder: Path | None = None, *, url: str | None = None, progress: ProgressCallback = ignore_progress
) -> Path:
    """Download a dataset's archive unless it is there, going on where an earlier attempt stopped.

    Parameters
    ----------
    name : str
        A dataset, as in ``hapt``.
    folder : Path, optional
        Where to keep it. By default where `open_source` looks for a dataset by its name; what it finds there, or where
        KINESTREAM_DATA says, is not downloaded again, as a warning says that is logged.
    url : str, optional
        Another place to download it from than its publisher's.
    progress : callable
        Called with the bytes that have come, of how many where the server says it.

    Returns
    -------
    Path
        The archive: whole, every checksum right, and recognised as that dataset; or the folder it was unpacked to.

    Raises
    ------
    SourceError
        If the server does not have it, cannot be reached, or sent something else. What has come so far is kept in a
        ``.part`` file unless it is proven wrong.
    FileError
        If it cannot be written.
    """
    info = info_named(name)
    url = url or info.url
    final = (folder or download_folder()) / info.archive
    if found := _found(final, info, elsewhere=folder is None):
        _log.warning("%s: is here already, so nothing is downloaded", found)
        return found
    part = final.with_name(final.name + ".part")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with _alone(part) as file:
            try:
                _download(url, file, part, lambda done, total: progress(Progress(info.name, done, total)))
                file.flush()
            finally:
                if not part.stat().st_size:  # an empty one is nothing to go on with
                    _discard(part)
            if flaw := _flaw(part, info):
                _discard(part)
                raise SourceError(f"{url}: {flaw}; what it sent is deleted")
            os.replace(part, final)
            _validator_file(part).unlink(missing_ok=True)
    except OSError as error:
        raise FileError(not_written(final.parent, error)) from error
    return final


def _found(final: Path, info: DatasetInfo, *, elsewhere: bool) -> Path | None:
    """Return where the dataset is whole already, if anywhere: in the place asked for, or wherever its name leads."""
    places = [final] if final.exists() else []
    if elsewhere and (named := find_download(info)):
        places.append(named)
    return next((place for place in places if _flaw(place, info) is None), None)


def _download(url: str, file: IO[bytes], part: Path, came: _Came) -> None:
    """Bring the open ``.part`` file to its full length."""
    try:
        with httpx.Client(follow_redirects=True, timeout=TIMEOUT) as client:
            if not _attempt(client, url, file, part, came):
                _truncate(file, part)  # the server's file is another one now: from the start
                _attempt(client, url, file, part, came)
    except (httpx.TransportError, httpx.TooManyRedirects) as error:
        have = file.seek(0, os.SEEK_END)
        again = f"{have / 1e6:.1f} MB are kept, run it again to go on" if have else "check the network and the URL"
        raise SourceError(f"{url}: {_reason(error)}; {again}") from error
    except httpx.InvalidURL as error:
        raise SourceError(f"{url}: not a URL ({error})") from error


def _attempt(client: httpx.Client, url: str, file: IO[bytes], part: Path, came: _Came) -> bool:
    """Ask for what is missing and append it; tell whether the file can be whole now."""
    have = file.seek(0, os.SEEK_END)
    with client.stream("GET", url, headers=_headers(have, part)) as response:
        total = _total(response, have)
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            return total == have
        if response.status_code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
            raise SourceError(f"{url}: the server answered {response.status_code} {response.reason_phrase}")
        if response.status_code == httpx.codes.PARTIAL_CONTENT:
            if _first_byte(response) != have:
                return False
        else:
            _truncate(file, part)
            _remember_validator(response, part)
            have = 0
        came(have, total)
        for piece in response.iter_raw():
            file.write(piece)
            have += len(piece)
            came(have, total)
    return True


def _headers(have: int, part: Path) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity", "User-Agent": "kinestream"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if validator := _remembered_validator(part):
            headers["If-Range"] = validator
    return headers


def _total(response: httpx.Response, have: int) -> int | None:
    """Return the length of the whole file, if the server says it."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match:
        return int(match[2]) if match[2] != "*" else None
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() and response.status_code == httpx.codes.OK else None


def _first_byte(response: httpx.Response) -> int | None:
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return int(match[1]) if match and match[1] else None


def _flaw(archive: Path, info: DatasetInfo) -> str | None:
    """Say what is wrong with an archive, if anything is."""
    try:
        if archive.is_file() and (damaged := ZipTree(archive).first_damage()):
            return f"{damaged} in it does not match its checksum"
        found = open_source(archive).info.name
    except SourceError as error:
        return str(error).removeprefix(f"{archive}: ")
    return None if found == info.name else f"it is {found}, not {info.name}"


def _validator_file(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _remember_validator(response: httpx.Response, part: Path) -> None:
    """Keep what tells this version of the server's file from a later one; only a strong ETag may be used so."""
    etag = response.headers.get("ETag", "")
    validator = etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
    write_whole(_validator_file(part), json.dumps({"validator": validator}).encode())


def _remembered_validator(part: Path) -> str:
    try:
        return str(json.loads(_validator_file(part).read_text())["validator"])
    except (OSError, ValueError, KeyError, TypeError):  # the checksums will tell
        return ""


def _truncate(file: IO[bytes], part: Path) -> None:
    file.seek(0)
    file.truncate()
    _validator_file(part).unlink(missing_ok=True)


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _validator_file(part).unlink(missing_ok=True)


@contextmanager
def _alone(part: Path) -> Iterator[IO[bytes]]:
    """Open the ``.part`` file for appending, unless another process has it."""
    with part.open("ab") as file:
        if not lock(file):
            raise SourceError(f"{part}: another process is downloading it")
        yield file


def _reason(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "the server did not answer in time"
    if isinstance(error, httpx.ConnectError):
        return "the server cannot be reached"
    if isinstance(error, httpx.UnsupportedProtocol):
        return "not an http or https URL"
    if isinstance(error, httpx.TooManyRedirects):
        return "the server redirects without end"
    return "the connection broke off"
