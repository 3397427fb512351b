"""Streamers in processes of their own, to be killed.

`served` is started again by whoever watches over it, as for users; in the place of `served_at` a test starts another.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from kinestream.replay.process import OwnStreamer
from kinestream.replay.run import Addresses
from tests.given.streamers import free_addresses

DEMO = Path(__file__).resolve().parents[2] / "replay" / "demo_data"
_STOP_S, READY_S = 20.0, 60.0


@contextmanager
def served_at(bundle: Path, addresses: Sequence[str]) -> Iterator[OwnStreamer]:
    """Run ``kinestream serve`` until the block ends, or it was killed.

    Parameters
    ----------
    bundle : Path
        What it runs.
    addresses : sequence of str
        Of samples, control and labels.
    """
    command = [sys.executable, "-P", "-m", "kinestream", "serve", str(bundle), "--json", "--no-restart"]
    for option, address in zip(("--ingest", "--control", "--labels"), addresses, strict=True):
        command += [option, address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield OwnStreamer(process)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def kill(streamer: OwnStreamer) -> None:
    """End a streamer as the kernel does where memory runs out, and wait until it is gone."""
    os.kill(streamer.pid, signal.SIGKILL)
    streamer._process.wait(_STOP_S)


class Served:
    """A ``kinestream serve`` that is started again when it dies.

    Attributes
    ----------
    addresses : Addresses
        Where it is, each time.
    starts : int
        How often it has been ready.
    """

    def __init__(self, process: subprocess.Popen[str], addresses: Addresses, patience_s: float = READY_S) -> None:
        self.addresses = addresses
        self._patience_s = patience_s
        self.starts = 0
        self._process = process
        self._pid = 0
        self._ready = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait_ready(1)

    def kill(self) -> None:
        """Kill the process that serves, as soon as there is one."""
        with self._ready:
            assert self._ready.wait_for(lambda: self._pid, self._patience_s), "it is not started again"
            os.kill(self._pid, signal.SIGKILL)
            self._pid = 0

    def wait_ready(self, starts: int) -> None:
        """Wait until it has been ready so many times."""
        with self._ready:
            assert self._ready.wait_for(lambda: self.starts >= starts, self._patience_s), "it is not started again"

    def _read(self) -> None:
        for line in self._process.stdout or ():
            content = json.loads(line)
            if content.get("ready"):
                with self._ready:
                    self._pid = content["pid"]
                    self.starts += 1
                    self._ready.notify_all()


@contextmanager
def served(
    *options: str,
    bundle: Path = DEMO / "bundle",
    environment: Mapping[str, str] | None = None,
    patience_s: float = READY_S,
    log: int | IO[bytes] = subprocess.DEVNULL,
) -> Iterator[Served]:
    """Serve a bundle until the block ends; `patience_s` is how long it may take to be started again."""
    ingest, labels, control = free_addresses(3)
    command = [sys.executable, "-P", "-m", "kinestream", "serve", str(bundle), "--json", *options]
    command += ["--ingest", ingest, "--labels", labels, "--control", control]
    pipes = {"stdout": subprocess.PIPE, "stderr": log}
    with subprocess.Popen(command, text=True, env={**os.environ, **(environment or {})}, **pipes) as process:
        try:
            yield Served(process, Addresses(ingest, labels, control), patience_s)
        finally:
            process.terminate()
            process.wait(30)
