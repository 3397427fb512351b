"""Cuts a process off from everybody by the kernel's packet filter: what it sends and is sent is dropped, or broken off.

Needs nft, and to be root. Loopback connections are cut like any other; a rule is gone with the block it was made for.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_TABLE = "kinestream_severed"

can_sever = shutil.which("nft") is not None and os.geteuid() == 0
"""Whether it can be done here."""


@contextmanager
def severed(addresses: Sequence[str], *, reset: bool = False) -> Iterator[None]:
    """Let nothing pass to or from some ``tcp://HOST:PORT`` until the block ends.

    Parameters
    ----------
    addresses : sequence of str
        Where sockets listen, each with a number for the host.
    reset : bool
        Whether connections are broken off (both sides learn of it), rather than silent.
    """
    verdict = "tcp flags & rst == 0 reject with tcp reset" if reset else "drop"
    rules = [f"add table inet {_TABLE}", f"add chain inet {_TABLE} input {{ type filter hook input priority 0; }}"]
    for address in addresses:
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        rules += [f"add rule inet {_TABLE} input ip {side}addr {host} tcp {side}port {port} {verdict}" for side in "ds"]
    _nft("\n".join(rules))
    try:
        yield
    finally:
        _nft(f"delete table inet {_TABLE}")


def _nft(script: str) -> None:
    subprocess.run(["nft", "-f", "-"], input=script, text=True, check=True)
