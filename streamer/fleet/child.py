"""A streamer that a keeper has started: a process in a session of its own, and the file by which it is found again.

It outlives whoever started it: it has no pipe to it, and its output goes to files. The next keeper of its slot on the
same machine reads the file, makes sure that the process is still that one, and goes on with it. The file is there
before the streamer begins, since its keeper may be killed at any moment.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from kinestream.model.clock import now_ns
from kinestream.model.errors import EndpointError, FileError, KinestreamError
from kinestream.model.files import read_plain, write_whole
from kinestream.model.plaindata import parse_json
from kinestream.streamer.client.keeper import health
from kinestream.streamer.directory.table import Addresses
from kinestream.streamer.wire.requests import Health

_READY_S = 180.0
_LOOK_S = 0.05
_MOST_BYTES = 1 << 16
_ASK_S = 2.0
_TAIL = 2000
_ONCE_TOLD = ("/bin/sh", "-c", 'read -r line && exec "$@" < /dev/null', "sh")
"""A command that runs another one in its place once it has read a line, and ends where none comes."""


@dataclass(frozen=True)
class Started:
    """A streamer's process, which may not serve yet.

    Parameters
    ----------
    slot : str
        Which slot it is in.
    instance : int
        When it was started, Unix ms.
    pid : int
        The process that watches over the one that serves; its session has the same number.
    began : str
        When the process began, as the system counts, by which another with the same number is told apart.
    bundle : str
        The bundle's folder that it was started with.
    host : str
        Its machine, by which those of others are told apart where machines share a folder.
    """

    slot: str
    instance: int
    pid: int
    began: str
    bundle: str
    host: str

    @property
    def is_there(self) -> bool:
        """Whether its process is."""
        _reap(self.pid)
        return _began(self.pid) == self.began

    def write(self, folder: Path) -> None:
        """Write its file."""
        write_whole(_record(folder, self.slot, self.instance), json.dumps(asdict(self)).encode(), private=True)

    def remove(self, folder: Path) -> None:
        """Remove its files, but for its log."""
        for suffix in (".json", ".out"):
            _record(folder, self.slot, self.instance).with_suffix(suffix).unlink(missing_ok=True)

    def stop(self) -> None:
        """Ask it to end, as SIGTERM does."""
        if self.is_there:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End all of it at once."""
        if self.is_there:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def wait(self, timeout_s: float) -> bool:
        """Wait until it has ended; return whether it has."""
        until = time.monotonic() + timeout_s
        while self.is_there:
            if time.monotonic() >= until:
                return False
            time.sleep(_LOOK_S)
        return True


@dataclass(frozen=True)
class Child(Started):
    """One that serves.

    Parameters
    ----------
    addresses : Addresses
        Where it is.
    """

    addresses: Addresses

    def health(self, keys: str | None, timeout_s: float = _ASK_S) -> Health:
        """Ask it how it fares; raises as `kinestream.streamer.client.keeper.health`."""
        return health(self.addresses.control, timeout_s, keys)


def start(slot: str, bundle: str, options: Sequence[str], folder: Path) -> Child:
    """Start a streamer, and wait until it is ready.

    Parameters
    ----------
    slot, bundle : str
        Which slot it is in; the bundle's folder.
    options : sequence of str
        Of ``serve``, its addresses among them.
    folder : Path
        Where its files are.

    Raises
    ------
    EndpointError
        Where it does not come up; the message is its own.
    FileError
        Where no file can be written.
    """
    instance = now_ns() // 1_000_000
    record = _record(folder, slot, instance)
    out, log = record.with_suffix(".out"), folder / f"{slot}.log"
    command = [sys.executable, "-P", "-m", "kinestream", "serve", bundle, "--json", *options]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with out.open("wb") as stdout, log.open("ab") as stderr:
            begins = stderr.tell()
            process = subprocess.Popen(
                [*_ONCE_TOLD, *command],
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,  # whoever ends this process and its group does not end that one
                env=_environment(),
            )
    except OSError as error:
        raise FileError(f"no streamer can be started in {folder} ({error.strerror}): make room there") from None
    assert process.stdin is not None
    with process.stdin as told:
        started = Started(slot, instance, process.pid, _began(process.pid), bundle, socket.gethostname())
        try:
            started.write(folder)
        except FileError:
            told.close()  # nobody would find it again: it ends
            process.wait()
            started.remove(folder)
            raise
        if hasattr(os, "setpriority"):  # not on Windows
            with suppress(OSError):  # Ray lets its processes come after all others; only who may undoes that here
                os.setpriority(os.PRIO_PROCESS, process.pid, 0)
        with suppress(BrokenPipeError):
            told.write(b"\n")
            told.flush()
    if (child := _awaited(started, folder)) is not None:
        process.returncode = 0  # it goes on, and `_reap` takes note of its end: else Popen warns of both
        return child
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    started.remove(folder)
    said = " ".join(log.read_bytes()[begins:][-_TAIL:].decode(errors="replace").split())
    raise EndpointError(f"{slot} does not come up: {said or 'it said nothing'}")


def children(folder: Path) -> Iterator[Started]:
    """Yield the streamers that have a file in a folder and whose process is there; the files of others are removed.

    One that has not come up yet is no `Child`.
    """
    known = {each.name for each in fields(Started)}
    for record in sorted(folder.glob("*.json")):
        try:
            content = parse_json(read_plain(record, _MOST_BYTES))
            started = Started(**{name: content[name] for name in known})
        except (FileError, ValueError, KeyError, TypeError):
            continue  # something else, or just removed
        if started.host != socket.gethostname():
            continue
        if started.is_there:
            yield _serving(started, folder) or started
        else:
            started.remove(folder)


def adopted(slot: str, folder: Path, keys: str | None, since: int = 0) -> Child | None:
    """Return the youngest streamer of a slot, started since that Unix ms, that is there and answers; else None.

    One that has not come up yet, since its keeper ended while it waited for it, is waited for; where it does not come
    up, it is ended.
    """
    for started in sorted(children(folder), key=lambda each: each.instance, reverse=True):
        if started.slot != slot or started.instance < since:
            continue
        child = started if isinstance(started, Child) else _awaited(started, folder)
        if child is None:
            started.kill()
            started.remove(folder)
            continue
        with suppress(KinestreamError):
            if child.health(keys).ready:
                return child
    return None


def _awaited(started: Started, folder: Path) -> Child | None:
    """Return a streamer once it serves; None where it ends before, or does not come up in time."""
    until = time.monotonic() + _READY_S
    while time.monotonic() < until:
        if (child := _serving(started, folder)) is not None:
            return child
        if not started.is_there:
            return None
        time.sleep(_LOOK_S)
    return None


def _record(folder: Path, slot: str, instance: int) -> Path:
    return folder / f"{slot}@{instance}.json"


def _serving(started: Started, folder: Path) -> Child | None:
    """Return a streamer once it has said in its output where it serves."""
    with suppress(OSError, ValueError, KeyError):
        line, newline, _ = (
            _record(folder, started.slot, started.instance).with_suffix(".out").read_bytes().partition(b"\n")
        )
        if newline:
            told = parse_json(line)
            addresses = Addresses(told["samples"], told["control"], told["labels"], told["watch"])
            return Child(**asdict(started), addresses=addresses)
    return None


def _environment() -> dict[str, str]:
    """Return what a streamer finds in its environment: nothing of Ray's, which limits threads and names sessions."""
    ours = ("RAY_", "KINESTREAM_SUPERVISED", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _began(pid: int) -> str:
    """Return when a process began, empty where it is not there or has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state, *fields = text.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]  # proc(5): the 22nd of all


def _reap(pid: int) -> None:
    """Take note of the end of a process, where it is a child of this one."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
