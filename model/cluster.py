"""The connection to a Ray cluster, of which this process then is a part; Ray is imported nowhere else without need."""

import logging
import os
import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kinestream.model.errors import AccessError, EndpointError, FileError
from kinestream.model.extras import need

LOCAL = "local"
"""In place of an address: a cluster of this machine alone, which is started and ends with this process."""
RUNNING = "auto"
"""In place of an address: the cluster that this machine is a node of, or that RAY_ADDRESS names."""
_PATIENCE = 10.0  # s for a head node to take a connection, and to answer; Ray itself tries for many minutes
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""How HTTP/2, which Ray speaks, begins: a preface and empty settings (RFC 9113, sections 3.4 and 6.5)."""
_SETTINGS = 4  # the type of the frame that is answered with, its fourth byte


def connect(
    address: str | None = None,
    *,
    cpus: int | None = None,
    namespace: str = "kinestream",
    token: str | Path | None = None,
) -> None:
    """Make this process part of a Ray cluster; where it is part of one already, nothing changes.

    Parameters
    ----------
    address : str, optional
        Of its head node, ``host:port``; `LOCAL`, or None, starts one on this machine, `RUNNING` finds one here.
    cpus : int, optional
        Processors of a cluster that is started; by default all there are.
    namespace : str
        Where actors that have names are looked up.
    token : str or Path, optional
        The file of the cluster's token; without it Ray looks where it always does (``RAY_AUTH_TOKEN``,
        ``RAY_AUTH_TOKEN_PATH``, ``~/.ray/auth_token``).

    Raises
    ------
    MissingExtra
        Where Ray is not installed.
    AccessError
        Where the cluster asks for a token that this process does not have.
    FileError
        Where there is no file of a token.
    EndpointError
        Where there is no cluster, nobody answers, or its Ray or Python is of another version.
    """
    if token is not None:
        if not Path(token).is_file():
            raise FileError(f"{token}: there is no such file: copy the token of the cluster's head there")
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    elif address in (None, LOCAL) and "ray" not in sys.modules:
        # Ray's ports are open to all networks, whatever address it is given, and run anybody's code: hence a token. Ray
        # looks for it when it is imported.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    ray = imported()
    if ray.is_initialized():
        return
    options: dict[str, Any] = {"namespace": namespace, "log_to_driver": False, "logging_level": logging.ERROR}
    if address in (None, LOCAL):
        options |= {"address": LOCAL, "num_cpus": cpus, "include_dashboard": False}
    else:
        named = os.environ.get("RAY_ADDRESS", RUNNING) if address == RUNNING else str(address)
        if named != RUNNING:
            _knock(named)
        options["address"] = address
    try:
        with _silent():
            if address not in (None, LOCAL) and named != RUNNING:
                ray._raylet.GcsClient(address=named, cluster_id=None)  # asks once; init asks 20 times
            ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        with suppress(Exception):
            ray.shutdown()
        raise _in_a_line(address, error) from None


def imported() -> Any:
    """Return Ray, which keeps to itself; MissingExtra where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody unasked
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # as Ray will do anyway; else it warns
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what fails is told in one line, below
    need("a cluster", "ray", extra="fleet")
    import ray

    return ray


def disconnect() -> None:
    """Part from the cluster; one of this process alone ends."""
    import ray

    ray.shutdown()


@contextmanager
def _silent() -> Iterator[None]:
    """Keep to ourselves what Ray's part in C++ writes to stderr whenever it asks once more; what it raises is told."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _knock(address: str) -> None:
    """Make sure that a head node may listen there: Ray would try for many minutes and write lines all the while."""
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdecimal() and 0 < int(port) < 65536):
        raise EndpointError(f"Ray cluster at {address!r}: give host:port of its head node, {RUNNING} or {LOCAL}")
    try:
        connection = socket.create_connection((host.strip("[]"), int(port)), _PATIENCE)
    except OSError as error:
        raise EndpointError(
            f"Ray cluster at {address}: nobody answers ({error.strerror or error}): start its head node there with "
            "'ray start --head'"
        ) from None
    with connection:
        if os.environ.get("RAY_USE_TLS", "0").lower() not in ("1", "true") and not _speaks_http2(connection):
            raise EndpointError(
                f"Ray cluster at {address}: what listens there is no head node of Ray: give the address at which "
                "'ray start --head' listens, by default its machine's port 6379"
            )


def _speaks_http2(connection: socket.socket) -> bool:
    answer = b""
    try:
        connection.sendall(_HELLO)
        while len(answer) < 4 and (part := connection.recv(4 - len(answer))):
            answer += part
    except OSError:
        return False
    return len(answer) == 4 and answer[3] == _SETTINGS


def _in_a_line(address: str | None, error: Exception) -> EndpointError:
    """Return what to tell of an error of Ray's, which has many lines."""
    where = "a Ray cluster on this machine" if address in (None, LOCAL, RUNNING) else f"Ray cluster at {address}"
    text = " ".join(str(error).split())
    if "ersion mismatch" in text:
        return EndpointError(f"{where}: {text:.300}: install the same versions of Ray and Python on both sides")
    if "any running Ray instance" in text:
        return EndpointError(f"{where}: none is running: start one with 'ray start --head', or name its address")
    if "uthentication" in f"{text} {error.__cause__}" or "oken" in text:
        return AccessError(_wants_token(where))
    if isinstance(error, ConnectionError) or "onnect" in text:
        return EndpointError(f"{where}: what listens there lets this process into no cluster: give its head's address")
    return EndpointError(f"{where}: {text[:300] or type(error).__name__}")


def _wants_token(where: str) -> str:
    if os.environ.get("RAY_AUTH_MODE") != "token":
        return (
            f"{where}: it asks for a token: name its file by 'token' in the fleet file, or set RAY_AUTH_MODE=token and "
            "RAY_AUTH_TOKEN_PATH"
        )
    file = os.environ.get("RAY_AUTH_TOKEN_PATH")
    which = f"that in {file}" if file else "that in RAY_AUTH_TOKEN or ~/.ray/auth_token"
    return f"{where}: it asks for another token than {which}: copy that of its head there"
