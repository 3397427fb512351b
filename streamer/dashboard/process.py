"""A dashboard in a process of its own, started by whoever has a streamer, and ended with it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from kinestream.model.errors import EndpointError
from kinestream.streamer.dashboard.streamers import Addresses
from kinestream.streamer.keys.keyfile import VARIABLE

_STOP_S = 5.0


class OwnDashboard:
    """A running ``kinestream dashboard --json``; should whoever started it die, it ends by itself.

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
        What a browser opens.
    pid : int
        Its process.

    Raises
    ------
    EndpointError
        If it ends before it is ready; the message is the dashboard's own.
    """

    def __init__(self, addresses: Addresses, port: int = 0, *, priority: str = "low") -> None:
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
            start_new_session=True,  # Ctrl-C is for whoever started it
        )
        self.pid = self._process.pid
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            _, said = self._process.communicate()
            told = " ".join(said.split()).removeprefix("kinestream: ")
            raise EndpointError(f"the dashboard did not start: {told or 'it said nothing'}")
        self.address: str = json.loads(line)["address"]

    def stop(self) -> None:
        """End it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


@contextmanager
def started_dashboard(addresses: Addresses, port: int = 0, *, priority: str = "low") -> Iterator[OwnDashboard]:
    """Run a dashboard until the block ends.

    Raises
    ------
    EndpointError
        If it ends before it is ready.
    """
    dashboard = OwnDashboard(addresses, port, priority=priority)
    try:
        yield dashboard
    finally:
        dashboard.stop()
