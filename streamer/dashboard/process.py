"""A dashboard in a process of its own, started by whoever has a streamer, and ended with it."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kinestream.model.errors import EndpointError
from kinestream.streamer.dashboard.streamers import Addresses
from kinestream.streamer.keys.keyfile import VARIABLE

_STOP_S = 5.0


class OwnDashboard:
    """A ``kinestream dashboard --json`` that is started; should whoever started it die, it ends by itself.

    Parameters
    ----------
    addresses : Addresses
        Where the streamer is.
    port : int
        Where it shall listen on this machine; 0 for any port that is free.
    priority : str
        As ``kinestream dashboard --priority``.

    Attributes
    ----------
    address : str
        What a browser opens, once it is ready.
    pid : int
        Its process.
    """

    def __init__(self, addresses: Addresses, port: int = 0, *, priority: str) -> None:
        # -P: modules in the current folder that are called like ours are not imported.
        command = [sys.executable, "-P", "-m", "kinestream", "dashboard", "--json", "--with-starter"]
        command += [*addresses.as_options(), "--port", str(port), "--priority", priority]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if addresses.keys is None or name != VARIABLE},
            # Ctrl-C is for whoever started it. Not a session of its own: Linux shares processors between sessions first
            # (autogroups, sched(7)), and one that gives way within its own takes as much as the streamer.
            process_group=0,
        )
        self.pid = self._process.pid
        self.address = ""
        self._reads, self._is_stopped = threading.Lock(), False

    def wait_ready(self) -> None:
        """Wait until it serves, or has been stopped.

        Raises
        ------
        EndpointError
            If it ends before it is ready; the message is the dashboard's own.
        """
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        with self._reads:
            if self._is_stopped:
                return
            if line := self._process.stdout.readline():
                self.address = json.loads(line)["address"]
                return
            told = " ".join(self._process.stderr.read().split()).removeprefix("kinestream: ")
        if not self._is_stopped:
            raise EndpointError(f"the dashboard did not start: {told or 'it said nothing'}")

    def stop(self) -> None:
        """End it; another thread may wait for it meanwhile."""
        self._is_stopped = True
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with self._reads:
            for pipe in (self._process.stdout, self._process.stderr):
                if pipe is not None:
                    pipe.close()


@contextmanager
def started_dashboard(addresses: Addresses, port: int = 0, *, priority: str = "low") -> Iterator[OwnDashboard]:
    """Run a dashboard until the block ends; unless told otherwise it is there to be looked at.

    Raises
    ------
    EndpointError
        If it ends before it is ready.
    """
    dashboard = OwnDashboard(addresses, port, priority=priority)
    try:
        dashboard.wait_ready()
        yield dashboard
    finally:
        dashboard.stop()
