"""A fleet without a cluster: a directory in a thread, streamers in processes, and what says that they are there."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from kinestream.replay.process import OwnStreamer
from kinestream.streamer.directory.directory import Directory
from kinestream.streamer.directory.messages import Told, Where
from kinestream.streamer.directory.registration import Registration, ask, set_plan
from kinestream.streamer.directory.table import Addresses, Table, slot_names
from kinestream.streamer.keys.folder import KeyFolder
from kinestream.streamer.keys.keyfile import ClientKeys
from tests.given.streamers import free_addresses

PATIENCE_S = 50.0
_BEAT_S = 0.2
_STOP_S = 20.0


def until(is_so: Callable[[], object], what: str) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, f"not so after {PATIENCE_S:g} s: {what}"
        time.sleep(0.02)


@contextmanager
def children(bundle: Path, count: int, *options: str) -> Iterator[list[OwnStreamer]]:
    """Run so many ``kinestream serve`` until the block ends, or they were killed."""
    command = [sys.executable, "-P", "-m", "kinestream", "serve", str(bundle), "--json", "--no-restart", *options]
    for option in ("--ingest", "--control", "--labels", "--watch"):
        command += [option, "tcp://127.0.0.1:*"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen(command, text=True, **pipes) for _ in range(count)]
    try:
        yield [OwnStreamer(process) for process in processes]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.communicate(timeout=_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def addresses_of(streamer: OwnStreamer) -> Addresses:
    """Return where a streamer is, as a directory tells it."""
    at = streamer.addresses
    return Addresses(at.ingest, at.control, at.labels, streamer.watch)


class Fleet:
    """A directory, and what registers streamers there.

    Parameters
    ----------
    patience_s : float
        The directory's.
    folder : KeyFolder, optional
        The fleet's keys, where it asks for them.
    keys : ClientKeys, optional
        Those of whoever keeps it.

    Attributes
    ----------
    address : str
        Where the directory answers, each time.
    """

    def __init__(
        self, patience_s: float = 20.0, *, folder: KeyFolder | None = None, keys: ClientKeys | None = None
    ) -> None:
        self._patience_s, self._folder, self._keys = patience_s, folder, keys
        self.address, self._updates = free_addresses()
        self._registered: dict[str, Registration] = {}
        self._silent: set[str] = set()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep)
        self._ends = threading.Event()
        self._runner: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start_directory()
        self._keeper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._keeper.join()
        self.stop_directory()
        for each in self._registered.values():
            each.close()

    def start_directory(self) -> None:
        """Begin with a directory that knows nothing."""
        directory = Directory("wards", self.address, self._updates, patience_s=self._patience_s, keys=self._folder)
        self._ends = threading.Event()
        self._runner = threading.Thread(target=directory.run, args=(self._ends.is_set,))
        self._runner.start()

    def stop_directory(self) -> None:
        """End it."""
        self._ends.set()
        if self._runner is not None:
            self._runner.join()

    def register(self, slot: str, addresses: Addresses) -> None:
        """Say from now on that a streamer is there."""
        with self._lock:
            if (before := self._registered.pop(slot, None)) is not None:
                before.close()
            self._registered[slot] = Registration(self.address, slot, addresses, keys=self._keys)
            self._silent.discard(slot)

    def silence(self, slot: str) -> None:
        """Say no more that a streamer is there."""
        with self._lock:
            self._silent.add(slot)

    def plan(self, slots: int, draining: Sequence[str] = ()) -> Table:
        """Set the plan, and return the table once all slots are served by it."""
        names = slot_names(slots)
        set_plan(self.address, names, frozenset(draining), timeout_s=PATIENCE_S, keys=self._keys)
        until(lambda: set(self.table.serving) == set(names) - set(draining), f"{slots} streamers serve")
        return self.table

    @property
    def table(self) -> Table:
        """What the directory tells; without slots where it does not yet."""
        answer = ask(self.address, Where(), timeout_s=PATIENCE_S, keys=self._keys)
        return answer.table if isinstance(answer, Told) else Table("wards", 0)

    def _keep(self) -> None:
        while not self._over.wait(_BEAT_S):
            with self._lock:
                for slot, registration in self._registered.items():
                    if slot not in self._silent:
                        registration.beat()
