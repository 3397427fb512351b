"""Checks a streamer's options before anything is started: `serve --check`, and the file of options."""

from collections.abc import Mapping
from typing import Any

from kinestream.model.errors import EndpointError, KinestreamError
from kinestream.streamer.server.exposure import check_unexposed
from kinestream.streamer.transport.addresses import check_bind, check_connect

_BOUND = ("ingest", "labels", "control", "watch")


def wrong_addresses(settings: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the addresses among settings, each starting with its name.

    Parameters
    ----------
    settings : mapping
        Those of `kinestream.streamer.server.serve.serve` that are known, by name.
    """
    problems = []
    bound = {name: settings[name] for name in _BOUND if settings.get(name) is not None}
    connected = [("subscribe", each) for each in settings.get("subscribe", ())]
    for name, endpoint in [*bound.items(), *connected]:
        try:
            (check_connect if name == "subscribe" else check_bind)(endpoint)
        except KinestreamError as error:
            problems.append(f"{name}: {error}")
    for at, (name, endpoint) in enumerate(bound.items()):
        before = [other for other, same in list(bound.items())[:at] if same == endpoint]
        if before and not endpoint.endswith("*"):
            problems.append(f"{name}: {endpoint} is the address of {before[0]} already: give another one")
    return problems


def wrong_keys(settings: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with who is let in, by all settings: keys that cannot be used, or ports open to anybody."""
    from kinestream.streamer.keys.folder import KeyFolder
    from kinestream.streamer.keys.keyfile import read_streamer

    try:
        if settings.get("keys") is not None:
            folder = KeyFolder(settings["keys"])
            folder.allowed()
            if (secret := folder.path / "streamer.secret").exists():  # else the streamer makes one
                read_streamer(secret)
        elif not settings.get("insecure"):
            check_unexposed([settings[name] for name in _BOUND if settings.get(name) is not None])
    except EndpointError:  # said already
        return []
    except KinestreamError as error:
        return [f"keys: {error}"]
    return []


def wrong_bundle(settings: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the bundle that settings name: it is read, checked and tried."""
    from kinestream.model.bundle.bundle import read_bundle
    from kinestream.model.engine.load import load_engine

    if "bundle" not in settings:
        return []
    try:
        load_engine(read_bundle(settings["bundle"]), settings.get("device", "auto"), settings.get("threads", 1))
    except KinestreamError as error:
        return [f"bundle: {error}"]
    return []
