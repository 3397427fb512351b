"""What a fleet file says: how many streamers of which bundle, where they may listen, and who watches over them."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from kinestream.model.config.checking import check
from kinestream.model.config.file import read_yaml
from kinestream.model.config.section import Count, Positive, Section, contradiction
from kinestream.model.errors import EndpointError
from kinestream.streamer.bridges.rig import WireName
from kinestream.streamer.directory.messages import DIRECTORY, MAX_SLOTS, UPDATES
from kinestream.streamer.transport.addresses import check_bind, is_local

PORTS_EACH = 4
"""A streamer's sockets: samples, control, labels, watch."""
NODE = "node"
"""Stands for each node's own address, as the cluster knows it."""

_PATHS = ("bundle", "state", "keys", "keeper_keys", "token")


def _bound(endpoint: str) -> str:
    try:
        check_bind(endpoint)
    except EndpointError as error:
        raise ValueError(str(error)) from None
    if endpoint.endswith(":*"):
        raise ValueError("should have a port of its own: everybody must know it beforehand")
    return endpoint


def _ports(text: str) -> str:
    first, dash, last = text.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal() and 0 < int(first) <= int(last) < 1 << 16):
        raise ValueError("should be two ports with a dash between, as in 5600-5699")
    return text


Endpoint = Annotated[str, BeforeValidator(lambda value: _bound(value) if isinstance(value, str) else value)]
Ports = Annotated[str, BeforeValidator(lambda value: _ports(value) if isinstance(value, str) else value)]
Text = Annotated[str, Field(min_length=1)]


class FailureSection(Section):
    """How soon a node counts as dead; told to a cluster that is started here, else the cluster's own settings hold.

    Attributes
    ----------
    period_s : float
        How often Ray asks a node whether it is there.
    timeout_s : float
        How long it may take to answer.
    misses : int
        After so many that are not answered in a row the node is dead.
    patience_s : float
        How long the directory hears nothing of a streamer before others get its streams.
    """

    period_s: Annotated[float, Field(ge=0.1, le=60)] = 1.0
    timeout_s: Annotated[float, Field(ge=0.1, le=60)] = 1.0
    misses: Annotated[int, Field(ge=1, le=20)] = 3
    patience_s: Annotated[float, Field(ge=2, le=600)] = 4.0


class AutoscaleSection(Section):
    """When streamers are added and taken away; off unless `enabled`.

    Attributes
    ----------
    enabled : bool
        Whether it is done at all.
    least, most : int
        Never fewer, never more.
    processor : float
        One is added where streamers take more than this share of a processor each, on average, and one is taken away
        where the rest would stay below two thirds of it.
    p99_ms : float
        One is added, too, where 99 of 100 labels take longer than this in any, from a window's last sample.
    every_s : float
        How often it is looked; one at a time is added or taken away, and two looks in a row must say the same.
    """

    enabled: bool = False
    least: Count = 1
    most: Annotated[int, Field(ge=1, le=MAX_SLOTS)] = 8
    processor: Annotated[float, Field(gt=0, le=64)] = 0.7
    p99_ms: Positive = 250.0
    every_s: Annotated[float, Field(ge=1, le=3600)] = 30.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.least > self.most:
            raise contradiction("most", f"should be no less than least, {self.least}, not {self.most}")
        return self


class FleetFile(Section):
    """A fleet. Relative paths start from the file's folder; on every node they must lead to the same.

    Attributes
    ----------
    name : str
        What it is called.
    bundle : str
        The bundle's folder.
    streamers : int
        How many.
    address : str
        ``host:port`` of a Ray cluster's head; without it one is started for this machine alone.
    token : str
        File of the cluster's token; without it Ray looks where it always does.
    directory, updates : str
        Where the directory answers and publishes, on the head's machine, as all others connect to it.
    bind : str
        Address that it listens on, where others know it by another: ``0.0.0.0`` behind a name of Kubernetes.
    host : str
        Where streamers listen: an address that every node has, as the loopback, or ``node`` for each one's own.
    ports : str
        Which ports they may take, as in ``5600-5699``: four each; without it any that are free.
    keys : str
        Folder of keys, as for ``serve --keys``; needed where `host` is no loopback.
    keeper_keys : str
        File of a client's keys that has the rights to administer and to watch; needed with `keys`.
    state : str
        Folder where each node keeps which streamers run there, and their logs.
    history, drain : float
        As for ``serve``, s.
    processors : float
        Of a node, for each streamer.
    memory_mb : int
        Of a node, for each streamer.
    serve : list of str
        More options of ``serve``, as in ``[--patience, "0.5"]``.
    failure : FailureSection
        How soon a node counts as dead.
    autoscale : AutoscaleSection
        When streamers are added and taken away.
    """

    name: WireName = "kinestream"
    bundle: Text
    streamers: Annotated[int, Field(ge=1, le=MAX_SLOTS)]
    address: Text | None = None
    token: Text | None = None
    directory: Endpoint = DIRECTORY
    updates: Endpoint = UPDATES
    bind: Text | None = None
    host: Text = "127.0.0.1"
    ports: Ports | None = None
    keys: Text | None = None
    keeper_keys: Text | None = None
    state: Text
    history: Annotated[float, Field(ge=0, le=3600)] = 5.0
    drain: Annotated[float, Field(ge=0, le=600)] = 10.0
    processors: Annotated[float, Field(ge=0, le=64)] = 1.0
    memory_mb: Annotated[int, Field(ge=0)] = 500
    serve: tuple[str, ...] = ()
    failure: FailureSection = FailureSection()
    autoscale: AutoscaleSection = AutoscaleSection()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.directory == self.updates:
            raise contradiction("updates", "is the address of directory already: give another one")
        if (self.keys is None) != (self.keeper_keys is None):
            missing, given = ("keys", "keeper_keys") if self.keys is None else ("keeper_keys", "keys")
            raise contradiction(missing, f"missing: {given} is given, and one is of no use without the other")
        if self.keys is None and not self.is_local:
            raise contradiction("keys", "missing: whoever reaches host and directory may do it all without")
        if self.ports is not None and self.room < self.streamers:
            room = f"{self.room} streamers at {PORTS_EACH} ports each, fewer than {self.streamers}"
            raise contradiction("ports", f"has room for {room}: give more ports")
        return self

    @property
    def is_local(self) -> bool:
        """Whether only machines themselves reach their streamers and the directory."""
        hosts = [self.host, *(() if self.bind is None else (self.bind,))]
        others = self.host != NODE and all(is_local(f"tcp://{host}:1") for host in hosts)
        return others and is_local(self.directory) and is_local(self.updates)

    @property
    def bound(self) -> tuple[str, str]:
        """Where the directory binds what it answers and what it publishes at."""
        if self.bind is None:
            return self.directory, self.updates
        ports = [each.rpartition(":")[2] for each in (self.directory, self.updates)]
        return f"tcp://{self.bind}:{ports[0]}", f"tcp://{self.bind}:{ports[1]}"

    @property
    def port_range(self) -> tuple[int, int] | None:
        """The first and the last port; None for any."""
        if self.ports is None:
            return None
        first, _, last = self.ports.partition("-")
        return int(first), int(last)

    @property
    def room(self) -> int:
        """How many streamers on one machine there are ports for."""
        ports = self.port_range
        return MAX_SLOTS if ports is None else (ports[1] - ports[0] + 1) // PORTS_EACH

    @property
    def system_config(self) -> dict[str, int]:
        """What Ray is told: when a node is dead, and that what it runs comes after nobody, as else by 15 steps."""
        return {
            "worker_niceness": 0,
            "health_check_initial_delay_ms": round(1000 * self.failure.period_s),
            "health_check_period_ms": round(1000 * self.failure.period_s),
            "health_check_timeout_ms": round(1000 * self.failure.timeout_s),
            "health_check_failure_threshold": self.failure.misses,
        }


def read_fleet(path: Path) -> tuple[FleetFile | None, list[str]]:
    """Read a fleet file.

    Returns
    -------
    FleetFile or None, list of str
        None where it cannot be made sense of, and every problem, each starting with its key.

    Raises
    ------
    ConfigError
        Where it is not YAML, or no keys and values.
    FileError
        Where it cannot be read.
    """
    content, problems = read_yaml(path)
    fleet, more = check(content, FleetFile)
    problems += more
    if fleet is None:
        return None, problems
    folder = path.absolute().parent
    given = {name: getattr(fleet, name) for name in _PATHS}
    anchored = {name: str(folder / Path(value).expanduser()) for name, value in given.items() if value is not None}
    fleet = fleet.model_copy(update=anchored)
    return fleet, problems


def wrong_fleet(fleet: FleetFile) -> list[str]:
    """Return what is wrong with what a fleet file names on this machine: the bundle is tried, keys are read."""
    from kinestream.model.errors import KinestreamError
    from kinestream.streamer.keys.keyfile import found_keys
    from kinestream.streamer.server.settings import wrong_bundle, wrong_keys

    problems = wrong_bundle({"bundle": fleet.bundle, "device": "cpu"})
    if fleet.keys is not None:
        problems += wrong_keys({"keys": Path(fleet.keys)})
        try:
            found_keys(fleet.keeper_keys)
        except KinestreamError as error:
            problems.append(f"keeper_keys: {error}")
    return problems
