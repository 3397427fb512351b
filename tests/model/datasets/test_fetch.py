"""Downloads from a real HTTP server that breaks off, changes its file, ignores ranges, or sends something else."""

import fcntl
import io
import re
import socket
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from kinestream.model.datasets import open_source
from kinestream.model.datasets.fetch import fetch
from kinestream.model.errors import FileError, SourceError
from kinestream.model.progress import Progress
from kinestream.screens.progress import DownloadBar
from tests.given.published import write_opportunity, write_uci_har

NAME = "OpportunityUCIDataset.zip"


@dataclass
class Publisher:
    """What the server offers, and how it behaves."""

    content: bytes
    url: str = ""
    etag: str | None = '"one"'
    ranges: bool = True
    says_length: bool = True
    break_after: int | None = None
    status: int | None = None
    ignores_if_range: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    publisher: Publisher

    def do_GET(self) -> None:
        publisher = self.publisher
        publisher.asked.append(dict(self.headers))
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/file")
            self.end_headers()
            return
        if publisher.status:
            self.send_error(publisher.status)
            return
        start = self._start()
        total = len(publisher.content)
        if start is not None and start >= total:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = publisher.content[start or 0 :]
        self.send_response(200 if start is None else 206)
        if start is not None:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if publisher.etag:
            self.send_header("ETag", publisher.etag)
        if publisher.says_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: publisher.break_after])

    def _start(self) -> int | None:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        unchanged = condition in (None, self.publisher.etag) or self.publisher.ignores_if_range
        return int(asked[1]) if asked and self.publisher.ranges and unchanged else None

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_opportunity(tmp_path_factory.mktemp("p") / "o.zip", runs=["S1-ADL1"]).read_bytes()


@pytest.fixture
def publisher(archive: bytes) -> Iterator[Publisher]:
    publisher = Publisher(archive)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Its", (Handler,), {"publisher": publisher}))
    publisher.url = f"http://127.0.0.1:{server.server_port}/file"
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield publisher
    server.shutdown()
    server.server_close()
    thread.join()


def get(publisher: Publisher, folder: Path, name: str = "opportunity") -> Path:
    return fetch(name, folder, url=publisher.url)


def only(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_download(publisher: Publisher, tmp_path: Path, archive: bytes) -> None:
    path = get(publisher, tmp_path / "new" / "folder")
    assert path.read_bytes() == archive
    assert only(path.parent) == [NAME]
    assert open_source(path).ids == ("S1-ADL1",)
    assert get(publisher, path.parent) == path
    assert len(publisher.asked) == 1  # what is there is not fetched again


def test_default_folder_is_where_names_are_looked_for(publisher: Publisher) -> None:
    path = fetch("opportunity", url=publisher.url)
    try:
        assert open_source("opportunity").path == path
    finally:
        path.unlink()
        path.parent.rmdir()


@pytest.mark.parametrize("terminal", [True, False])
def test_redirect_and_progress_bar(
    publisher: Publisher,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
) -> None:
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    publisher.url = publisher.url.replace("/file", "/moved")
    told: list[Progress] = []

    def show(progress: Progress) -> None:
        told.append(progress)
        bar.show(progress)

    with DownloadBar() as bar:
        fetch("opportunity", tmp_path, url=publisher.url, progress=show)
    assert {(each.what, each.total) for each in told} == {("opportunity", len(publisher.content))}
    assert (told[0].done, told[-1].done) == (0, len(publisher.content))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert ("opportunity" in shown.err) is terminal
    assert terminal or shown.err == ""


def test_goes_on_where_it_broke_off(publisher: Publisher, tmp_path: Path, archive: bytes) -> None:
    third = len(archive) // 3
    publisher.break_after = third
    for attempt in (1, 2):
        with pytest.raises(SourceError, match=r"broke off; .* MB are kept, run it again to go on") as error:
            get(publisher, tmp_path)
        assert "\n" not in str(error.value)
        assert (tmp_path / f"{NAME}.part").read_bytes() == archive[: attempt * third]
    publisher.break_after = None
    assert get(publisher, tmp_path).read_bytes() == archive
    assert [asked.get("Range") for asked in publisher.asked] == [None, f"bytes={third}-", f"bytes={2 * third}-"]
    assert publisher.asked[-1]["If-Range"] == '"one"'
    assert only(tmp_path) == [NAME]


@pytest.mark.parametrize("etag", ['"one"', None, 'W/"weak"'])
@pytest.mark.parametrize("ranges", [True, False])
def test_resumes_whatever_the_server_can(
    publisher: Publisher, tmp_path: Path, archive: bytes, etag: str | None, ranges: bool
) -> None:
    publisher.etag, publisher.ranges, publisher.break_after = etag, ranges, 1000
    with pytest.raises(SourceError, match="broke off"):
        get(publisher, tmp_path)
    publisher.break_after = None
    assert get(publisher, tmp_path).read_bytes() == archive


@pytest.mark.parametrize("ignores_if_range", [False, True])
def test_file_that_changed_meanwhile(
    publisher: Publisher, tmp_path: Path, archive: bytes, ignores_if_range: bool
) -> None:
    publisher.break_after = len(archive) // 2
    with pytest.raises(SourceError, match="broke off"):
        get(publisher, tmp_path)
    newer = write_opportunity(tmp_path / "newer.zip", runs=["S1-ADL1"], seed=1).read_bytes()
    publisher.content, publisher.etag, publisher.break_after = newer, '"two"', None
    publisher.ignores_if_range = ignores_if_range
    if ignores_if_range:  # a mixture of both, which only the checksums can tell
        with pytest.raises(SourceError, match="is deleted"):
            get(publisher, tmp_path)
    assert get(publisher, tmp_path).read_bytes() == newer


@pytest.mark.parametrize("excess", [0, 500])
def test_part_that_is_whole_or_too_long(publisher: Publisher, tmp_path: Path, archive: bytes, excess: int) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(archive + bytes(excess))
    assert get(publisher, tmp_path).read_bytes() == archive


def test_without_a_stated_length_a_short_file_is_found_out(publisher: Publisher, tmp_path: Path) -> None:
    publisher.says_length, publisher.break_after = False, 1000
    with pytest.raises(SourceError, match=r"not a whole zip file.*is deleted"):
        get(publisher, tmp_path)
    assert only(tmp_path) == []
    publisher.break_after = None
    get(publisher, tmp_path)


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_the_server_refuses(publisher: Publisher, tmp_path: Path, status: int) -> None:
    publisher.status = status
    with pytest.raises(SourceError, match=f"the server answered {status}"):
        get(publisher, tmp_path)


def test_wrong_content(publisher: Publisher, tmp_path: Path, archive: bytes) -> None:
    publisher.content = b"<html>we have moved</html>"
    with pytest.raises(SourceError, match="not a whole zip file"):
        get(publisher, tmp_path)
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as packed:
        packed.writestr("readme", "nothing")
    publisher.content = other.getvalue()
    with pytest.raises(SourceError, match="holds no dataset"):
        get(publisher, tmp_path)
    publisher.content = write_uci_har(tmp_path / "u.zip").read_bytes()
    with pytest.raises(SourceError, match="it is uci_har, not opportunity"):
        get(publisher, tmp_path)
    damaged = bytearray(archive)
    damaged[len(damaged) // 2] ^= 0xFF
    publisher.content = bytes(damaged)
    with pytest.raises(SourceError, match=r"S1-ADL1\.dat in it does not match its checksum"):
        get(publisher, tmp_path)
    assert only(tmp_path) == ["u.zip"]


def test_damaged_archive_in_place_is_fetched_anew(publisher: Publisher, tmp_path: Path, archive: bytes) -> None:
    (tmp_path / NAME).write_bytes(archive[:-10])
    assert get(publisher, tmp_path).read_bytes() == archive


def test_nobody_there_and_no_url(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/file"
        with pytest.raises(SourceError, match="cannot be reached; check the network"):
            fetch("opportunity", tmp_path, url=url)
    for url in ("ftp://example.org/file", "nonsense", "http://host:port/file"):
        with pytest.raises(SourceError, match=r"not an http or https URL|not a URL"):
            fetch("opportunity", tmp_path, url=url)


def test_unknown_name_and_unwritable_folder(publisher: Publisher, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="did you mean opportunity"):
        fetch("oportunity", tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError, match="cannot be written"):
        get(publisher, tmp_path / "file" / "folder")


def test_two_processes_do_not_write_one_file(publisher: Publisher, tmp_path: Path) -> None:
    with (tmp_path / f"{NAME}.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SourceError, match="another process is downloading it"):
            get(publisher, tmp_path)


def test_a_download_that_gets_nothing_leaves_nothing(publisher: Publisher, tmp_path: Path) -> None:
    publisher.status = 404
    with pytest.raises(SourceError, match="404"):
        get(publisher, tmp_path)
    with pytest.raises(SourceError, match="not a URL"):
        fetch("opportunity", tmp_path, url="http://host:port/file")
    assert only(tmp_path) == []
    publisher.status, publisher.break_after = None, 0
    with pytest.raises(SourceError):
        get(publisher, tmp_path)
    assert only(tmp_path) == []


def test_what_is_here_under_another_roof_is_not_downloaded(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / NAME).write_bytes(publisher.content)
    monkeypatch.setenv("KINESTREAM_DATA", str(here))
    assert fetch("opportunity", url=publisher.url) == here / NAME
    assert not publisher.asked
    assert caplog.messages == [f"{here / NAME}: is here already, so nothing is downloaded"]
    assert get(publisher, tmp_path / "copy") == tmp_path / "copy" / NAME  # asked for in another place
    assert len(publisher.asked) == 1
    (here / NAME).write_bytes(publisher.content[:5000])  # what is damaged is not here
    assert fetch("opportunity", tmp_path / "third", url=publisher.url).exists()
