"""Requests to the streamers of a fleet, as its directory tells of them: health, and forgetting a stream."""

import time
from collections import Counter
from pathlib import Path

from kinestream.model.errors import EndpointError, KinestreamError
from kinestream.streamer.client.keeper import forget, health
from kinestream.streamer.directory.messages import Gathering, Told, Where
from kinestream.streamer.directory.registration import ask
from kinestream.streamer.directory.table import Addresses, Table
from kinestream.streamer.keys.keyfile import ClientKeys
from kinestream.streamer.wire.requests import Forgotten, Health

_AGAIN_S = 0.2


def told_table(fleet: str, *, timeout_s: float = 5.0, keys: str | Path | ClientKeys | None = None) -> Table:
    """Ask a directory who serves what.

    Raises
    ------
    AccessError
        If it does not accept the keys, or the lack of them.
    EndpointError
        If the address cannot be used, or no directory answers there in time, or none that knows yet.
    """
    until = time.monotonic() + timeout_s
    answer = ask(fleet, Where(), timeout_s=timeout_s, keys=keys)
    while isinstance(answer, Gathering) and time.monotonic() < until:  # it has just been started
        time.sleep(_AGAIN_S)
        answer = ask(fleet, Where(), timeout_s=timeout_s, keys=keys)
    if not isinstance(answer, Told):
        why = getattr(answer, "reason", "it is of another version")
        raise EndpointError(f"the directory at {fleet} does not say who serves what: {why}")
    return answer.table


def owner(stream: str, fleet: str, *, timeout_s: float = 5.0, keys: str | Path | ClientKeys | None = None) -> Addresses:
    """Return where the streamer is that has a stream; raises as `told_table`, or EndpointError where there is none."""
    found = told_table(fleet, timeout_s=timeout_s, keys=keys).owner(stream)
    if found is None:
        raise EndpointError(f"no streamer serves, says the directory at {fleet}: 'kinestream fleet status' says why")
    return found


def fleet_health(
    fleet: str, timeout_s: float = 5.0, keys: str | Path | ClientKeys | None = None
) -> dict[str, Health | str]:
    """Ask each streamer for its health.

    Returns
    -------
    dict of (Health or str) by str
        By slot; in place of what does not answer, why.

    Raises
    ------
    AccessError, EndpointError
        As `told_table`.
    """
    found: dict[str, Health | str] = {}
    for name, slot in told_table(fleet, timeout_s=timeout_s, keys=keys).named.items():
        if slot.addresses is None:
            found[name] = "away: the directory has not heard of it for too long"
            continue
        try:
            found[name] = health(slot.addresses.control, timeout_s, keys)
        except KinestreamError as error:
            found[name] = str(error)
    return found


def fleet_forget(
    stream: str, fleet: str, timeout_s: float = 5.0, keys: str | Path | ClientKeys | None = None
) -> Forgotten:
    """Have every streamer of a fleet remove what it knows of a stream: one that had it before may know of it still.

    Raises
    ------
    KinestreamError
        If any refuses, or cannot be asked; the message says which, and all others have forgotten it.
    AccessError, EndpointError
        As `told_table`.
    """
    removed: Counter[str] = Counter()
    failures = []
    for name, slot in told_table(fleet, timeout_s=timeout_s, keys=keys).named.items():
        if slot.addresses is None:
            failures.append(f"{name} is away")
            continue
        try:
            removed.update(forget(stream, slot.addresses.control, timeout_s, keys).removed)
        except KinestreamError as error:
            failures.append(f"{name}: {error}")
    if failures:
        raise KinestreamError(
            f"not every streamer has forgotten {stream}: {'; '.join(failures)}; the others have: say it again later"
        )
    return Forgotten(stream, dict(removed))
