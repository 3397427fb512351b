"""A Ray cluster of this machine alone, started here and found again: where a fleet file gives no address.

Ray listens on all of a machine's addresses whatever it is told, and runs what it is sent; so it asks for a token, which
is made here and only the owner can read.
"""

import json
import math
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from kinestream.model.errors import ConfigError, EndpointError, FileError
from kinestream.model.extras import need
from kinestream.model.files import read_plain, write_whole
from kinestream.model.plaindata import parse_json
from kinestream.streamer.fleet.fleetfile import FleetFile, read_fleet
from kinestream.streamer.transport.addresses import somebody_listens

_MOST_BYTES = 1 << 16
_READY_S = 120.0
_END_S = 40.0  # Ray itself takes up to 30 s to part with its tasks
_OBJECTS_BYTES = 100 << 20  # Ray's least is some 75 MB; nothing of ours is kept there


@dataclass(frozen=True)
class LocalCluster:
    """A cluster that was started here.

    Parameters
    ----------
    address : str
        Of its head.
    token : str
        File of its token.
    pid : int
        What ends it.
    """

    address: str
    token: str
    pid: int

    @property
    def is_there(self) -> bool:
        """Whether somebody listens there."""
        return somebody_listens(f"tcp://{self.address}")


def folder_of(fleet: FleetFile) -> Path:
    """Return a fleet's folder on this machine."""
    return Path(fleet.state) / fleet.name


def found(fleet: FleetFile) -> LocalCluster | None:
    """Return the cluster that was started for a fleet and is there; None where there is none."""
    path = _record(fleet)
    if not path.exists():
        return None
    try:
        cluster = LocalCluster(**parse_json(read_plain(path, _MOST_BYTES)))
    except (TypeError, ValueError):
        raise ConfigError(str(path), ["it is damaged: end what runs there, and delete it"]) from None
    return cluster if cluster.is_there else None


def start(fleet: FleetFile) -> LocalCluster:
    """Start a cluster that stays, and wait until it answers.

    Raises
    ------
    MissingExtra
        Where Ray is not installed.
    EndpointError
        Where it does not come up.
    """
    need("a fleet", "ray", extra="fleet")
    folder = folder_of(fleet)
    token, log = folder / "ray.token", folder / "ray.log"
    if not token.exists():
        write_whole(token, secrets.token_hex(32).encode(), private=True)
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    processors = max(os.cpu_count() or 1, math.ceil(fleet.streamers * fleet.processors))
    command = [str(Path(sys.executable).parent / "ray"), "start", "--head", "--block", f"--port={port}"]
    command += ["--node-ip-address=127.0.0.1", "--include-dashboard=false", "--disable-usage-stats"]
    command += [f"--num-cpus={processors}", f"--object-store-memory={_OBJECTS_BYTES}"]
    command += [f"--system-config={json.dumps(fleet.system_config)}"]
    environment = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, env=environment
            )
    except OSError as error:
        raise FileError(f"Ray cannot be started ({error.strerror}): {' '.join(command[:3])}") from None
    cluster = LocalCluster(f"127.0.0.1:{port}", str(token), process.pid)
    write_whole(_record(fleet), json.dumps(asdict(cluster)).encode(), private=True)
    until = time.monotonic() + _READY_S
    while process.poll() is None and time.monotonic() < until:
        if "Ray runtime started" in log.read_text(errors="replace"):
            return cluster
        time.sleep(0.1)
    end(fleet, cluster)
    raise EndpointError(f"Ray does not start: see {log}")


def end(fleet: FleetFile, cluster: LocalCluster) -> None:
    """End a cluster that was started for a fleet, and wait until it is gone."""
    with suppress(ProcessLookupError):
        os.kill(cluster.pid, signal.SIGTERM)
    until = time.monotonic() + _END_S
    while _is_there(cluster.pid) and time.monotonic() < until:
        time.sleep(0.1)
    with suppress(ProcessLookupError):
        os.killpg(cluster.pid, signal.SIGKILL)
    _record(fleet).unlink(missing_ok=True)


def remember(path: Path) -> None:
    """Remember a fleet file as the one that was brought up last."""
    write_whole(_last(), str(path.absolute()).encode())


def forget(path: Path) -> None:
    """Forget it."""
    if _last().exists() and read_plain(_last(), _MOST_BYTES).decode() == str(path.absolute()):
        _last().unlink()


def last() -> Path:
    """Return the fleet file that was brought up last; raises EndpointError where none is."""
    if not _last().exists():
        raise EndpointError(
            "no fleet was brought up from this account: 'kinestream fleet up FLEET.yaml' begins one, and --fleet "
            "FLEET.yaml names one that another account began"
        )
    return Path(read_plain(_last(), _MOST_BYTES).decode())


def loaded(path: Path) -> FleetFile:
    """Return what a fleet file says; raises ConfigError with all that is wrong with it."""
    fleet, problems = read_fleet(path)
    if fleet is None or problems:
        raise ConfigError(str(path), problems)
    return fleet


def _record(fleet: FleetFile) -> Path:
    return folder_of(fleet) / "ray.json"


def _last() -> Path:
    from platformdirs import user_state_path

    return user_state_path("kinestream") / "fleet"


def _is_there(pid: int) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
