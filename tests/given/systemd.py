"""What systemd is to a service: a socket where it is told how the service fares."""

import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Systemd:
    """Listens as systemd does.

    Attributes
    ----------
    environment : dict of str by str
        What the service is started with.
    told : list of dict of str by str
        What it has said so far, a message each.
    """

    def __init__(self, listening: socket.socket, address: str, watchdog_s: float | None = None) -> None:
        self.told: list[dict[str, str]] = []
        self.environment = {"NOTIFY_SOCKET": address}
        if watchdog_s is not None:
            self.environment["WATCHDOG_USEC"] = str(round(watchdog_s * 1e6))
        self._listening = listening

    def wait_for(self, key: str, patience_s: float = 60.0, *, anew: bool = False) -> dict[str, str]:
        """Return the next message, or the first so far, that says something of this."""
        if not anew:
            for message in self.told:
                if key in message:
                    return message
        deadline = time.monotonic() + patience_s
        while (left := deadline - time.monotonic()) > 0:
            message = self.next(left)
            if message is not None and key in message:
                return message
        raise AssertionError(f"nothing was told of {key}, only {self.told}")

    def next(self, timeout_s: float) -> dict[str, str] | None:
        """Return the next message, None where none comes in time."""
        self._listening.settimeout(max(timeout_s, 0.001))
        try:
            text = self._listening.recv(65536).decode()
        except TimeoutError:
            return None
        message = dict(line.split("=", 1) for line in text.splitlines())
        self.told.append(message)
        return message


@contextmanager
def systemd(watchdog_s: float | None = None, *, abstract: bool = False) -> Iterator[Systemd]:
    """Listen until the block ends."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        path = str(Path(folder) / "notify")
        listening.bind("\0" + path if abstract else path)
        yield Systemd(listening, f"@{path}" if abstract else path, watchdog_s)
