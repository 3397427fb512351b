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

from kinestream.model.errors import AccessError, EndpointError
from kinestream.model.extras import need

LOCAL = "local"
"""In place of an address: a cluster of this machine alone, which is started and ends with this process."""
RUNNING = "auto"
"""In place of an address: the cluster that this machine is a node of, or that RAY_ADDRESS names."""
_PATIENCE = 5.0  # s for a head node to take a connection; Ray itself tries for many minutes


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
    EndpointError
        Where there is no cluster, nobody answers, or its Ray or Python is of another version.
    """
    if token is not None:
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
        if address != RUNNING:
            _knock(str(address))
        options["address"] = address
    try:
        with _silent():
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
    """Make sure that somebody listens there: Ray would try for many minutes and write lines all the while."""
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdecimal() and 0 < int(port) < 65536):
        raise EndpointError(f"Ray cluster at {address!r}: give host:port of its head node, {RUNNING} or {LOCAL}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    except OSError as error:
        raise EndpointError(
            f"Ray cluster at {address}: nobody answers ({error.strerror or error}): start its head node there with "
            f"'ray start --head', or use --ray alone for one on this machine"
        ) from None


def _in_a_line(address: str | None, error: Exception) -> EndpointError:
    """Return what to tell of an error of Ray's, which has many lines."""
    where = "a Ray cluster on this machine" if address in (None, LOCAL, RUNNING) else f"Ray cluster at {address}"
    text = " ".join(str(error).split())
    if "ersion mismatch" in text:
        return EndpointError(f"{where}: {text:.300}: install the same versions of Ray and Python on both sides")
    if "any running Ray instance" in text:
        return EndpointError(f"{where}: none is running: start one with 'ray start --head', or name its address")
    if "uthentication" in text or "oken" in text:
        return AccessError(
            f"{where}: it asks for a token that is not at hand: set RAY_AUTH_MODE=token, and name the token's file in "
            "RAY_AUTH_TOKEN_PATH"
        )
    if isinstance(error, ConnectionError) or "onnect" in text:
        return EndpointError(
            f"{where}: what listens there lets this process into no cluster: give its head's address and, where it "
            "asks for a token, RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH"
        )
    return EndpointError(f"{where}: {text[:300] or type(error).__name__}")
