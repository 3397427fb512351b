"""A streamer in a process of its own, started as a user would start it."""

import json
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kinestream.model.errors import EndpointError
from kinestream.replay.run import Addresses

_ANY_PORT = "tcp://127.0.0.1:*"
_STOP_S = 20.0
_LINES = 1000


class OwnStreamer:
    """A running ``kinestream serve --json``.

    Parameters
    ----------
    process : Popen of str
        It, with pipes for stdout and stderr; it is waited for until it is ready.

    Attributes
    ----------
    addresses : Addresses
        Where it is.
    watch : str
        Where it tells whoever watches it.
    pid : int
        Its process.

    Raises
    ------
    EndpointError
        If it ends before it is ready; the message is the streamer's own.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.pid = process.pid
        self._said: deque[str] = deque(maxlen=_LINES)
        self._process = process
        # An unread pipe fills up and blocks the process.
        self._reader = threading.Thread(target=self._said.extend, args=(process.stderr or (),), daemon=True)
        self._reader.start()
        self.watch = ""
        self.addresses = self._awaited_addresses()

    @property
    def said(self) -> list[str]:
        """The latest lines of its stderr."""
        return list(self._said)

    def stop(self) -> dict[str, Any]:
        """Let it publish the labels of what has arrived and end; return its counters."""
        self._process.terminate()
        self._process.wait(_STOP_S)
        self._reader.join(_STOP_S)
        assert self._process.stdout is not None
        return _read(self._process.stdout.readlines()[-1])

    def _awaited_addresses(self) -> Addresses:
        for line in self._process.stdout or ():
            content = _read(line)
            if content.get("ready"):
                self.watch = content["watch"]
                return Addresses(content["samples"], content["labels"], content["control"])
        self._reader.join(_STOP_S)
        said = " ".join(line.strip() for line in self._said)
        raise EndpointError(f"the streamer did not start: {said or 'it said nothing'}")


@contextmanager
def started_streamer(bundle: Path, *options: str) -> Iterator[OwnStreamer]:
    """Run ``kinestream serve`` on free ports until the block ends.

    Raises
    ------
    EndpointError
        If it ends before it is ready; the message is the streamer's own.
    """
    # -P: modules in the current folder that are called like ours are not imported.
    command = [sys.executable, "-P", "-m", "kinestream", "serve", str(bundle), "--json", "--no-restart", *options]
    command += ["--ingest", _ANY_PORT, "--labels", _ANY_PORT, "--control", _ANY_PORT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield OwnStreamer(process)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(_STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()


def _read(line: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(line)
    return content
