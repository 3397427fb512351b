"""The connection to a Ray cluster, of which this process then is a part; Ray is imported nowhere else without need."""

import logging
import os
import secrets
import socket
import sys
from contextlib import suppress
from typing import Any

from kinestream.model.errors import EndpointError
from kinestream.model.extras import need

LOCAL = "local"
"""In place of an address: a cluster of this machine alone, which is started and ends with this process."""
RUNNING = "auto"
"""In place of an address: the cluster that this machine is a node of, or that RAY_ADDRESS names."""
_PATIENCE = 5.0  # s for a head node to take a connection; Ray itself tries for many minutes


def connect(address: str | None = None, *, cpus: int | None = None, namespace: str = "kinestream") -> None:
    """Make this process part of a Ray cluster; where it is part of one already, nothing changes.

    Parameters
    ----------
    address : str, optional
        Of its head node, ``host:port``; `LOCAL`, or None, starts one on this machine, `RUNNING` finds one here.
    cpus : int, optional
        Processors of a cluster that is started; by default all there are.
    namespace : str
        Where actors that have names are looked up.

    Raises
    ------
    MissingExtra
        Where Ray is not installed.
    EndpointError
        Where there is no cluster, nobody answers, its Ray or Python is of another version, or it wants another token.
    """
    if address in (None, LOCAL) and "ray" not in sys.modules:
        # Ray's ports are open to all networks, whatever address it is given, and run anybody's code: hence a token. Ray
        # looks for it when it is imported.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody unasked
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # as Ray will do anyway; else it warns
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what fails is told in one line, below
    need("a cluster", "ray", extra="fleet")
    import ray

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
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        with suppress(Exception):
            ray.shutdown()
        raise EndpointError(f"{_told(address)}: {_reason(error)}") from None


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


def _told(address: str | None) -> str:
    return "a Ray cluster on this machine" if address in (None, LOCAL, RUNNING) else f"Ray cluster at {address}"


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if "ersion mismatch" in text:
        return f"{text}: install the same versions of Ray and Python on both sides"
    if "any running Ray instance" in text:
        return "none is running: start one with 'ray start --head', or name its address"
    if "uthentication" in text or "token" in text or "Failed to connect" in text:
        return f"{text[:200]}: set RAY_AUTH_MODE and RAY_AUTH_TOKEN as on its head node"
    return text[:300] or type(error).__name__
