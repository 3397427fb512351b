"""Tells systemd what a streamer is doing: that it is ready, reads a bundle again, still runs, and stops.

systemd names a socket in the environment (NOTIFY_SOCKET) and reads lines off the datagrams that come there; where it
did not start the process, nothing is told. It needs no library: sd_notify(3) has all of the protocol.
"""

import logging
import os
import socket
from collections.abc import Mapping

from kinestream.model.clock import monotonic_ns
from kinestream.model.printable import printable
from kinestream.model.system import has_unix_sockets

_logger = logging.getLogger(__name__)

_LONGEST = 400  # characters of a status


class Notifier:
    """Sends states and signs of life to systemd.

    Parameters
    ----------
    environment : mapping of str to str
        Where it was told how to be spoken to.
    watched : sequence of int
        The processes of which a sign of life may be wanted: this one, and the one that watches over it.

    Attributes
    ----------
    period_s : float or None
        Within how long a sign of life is wanted, again and again; None where none is.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ, *watched: int) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self.period_s = _period_s(environment, watched or (os.getpid(),)) if self._address else None

    def ready(self, status: str) -> None:
        """Tell that it serves, again or still, and what there is to say of that."""
        self._tell("READY=1", _status(status))

    def reloading(self) -> None:
        """Tell that another bundle is being loaded; `ready` must follow."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={monotonic_ns() // 1000}", _status("loading a bundle"))

    def alive(self) -> None:
        """Give a sign of life."""
        if self.period_s is not None:
            self._tell("WATCHDOG=1")

    def stopping(self, status: str) -> None:
        """Tell that it is about to end."""
        self._tell("STOPPING=1", _status(status))

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)  # labels do not wait for whoever reads it
                sender.sendto("\n".join(lines).encode(errors="replace"), self._address)
        except OSError as error:
            _logger.warning("systemd was not told %s: %s", lines[0], error)


def _address(name: str) -> str:
    """Return where to send to; empty where nobody listens or that cannot be spoken to from here."""
    if not has_unix_sockets or not name.startswith(("/", "@")):
        return ""
    return "\0" + name[1:] if name.startswith("@") else name


def _period_s(environment: Mapping[str, str], watched: tuple[int, ...]) -> float | None:
    """Return within how long one of these processes must give a sign of life, as sd_watchdog_enabled(3) has it."""
    told, whose = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not (told.isascii() and told.isdecimal() and int(told)):
        return None
    if whose and whose not in [str(each) for each in watched]:
        return None
    return int(told) / 1e6


def _status(text: str) -> str:
    return f"STATUS={printable(text)[:_LONGEST]}"
