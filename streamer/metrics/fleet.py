"""How a fleet's streamers fare, each by its slot, and what the fleet's directory tells of them."""

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

import zmq

from kinestream.model.errors import AccessError, EndpointError
from kinestream.streamer.client.following import Following
from kinestream.streamer.client.watcher import WatchSubscriber
from kinestream.streamer.directory.table import Addresses
from kinestream.streamer.keys.keyfile import ClientKeys
from kinestream.streamer.metrics.families import families
from kinestream.streamer.wire.status import Status

_STATES = ("serving", "draining", "away")

_logger = logging.getLogger("kinestream.metrics")


class FleetStatus:
    """The status of each streamer that a directory tells of.

    Parameters
    ----------
    fleet : str
        Where the directory answers.
    keys : ClientKeys, optional
        What is shown to directory and streamers.

    Attributes
    ----------
    statuses : dict of (Status or None) by str
        The newest of each slot, by its name; None where none has come.

    Raises
    ------
    EndpointError
        If the address cannot be used. That nobody is there is no error: somebody may come.
    """

    def __init__(self, fleet: str, keys: ClientKeys | None) -> None:
        self.statuses: dict[str, Status | None] = {}
        self._keys = keys
        self._watched: dict[Addresses, WatchSubscriber] = {}
        self._names: dict[Addresses, str] = {}
        self._told: Counter[str] = Counter()
        self._troubles: dict[Addresses, str] = {}
        self._context: zmq.Context[Any] = zmq.Context()
        try:
            self._following = Following(self._context, fleet, keys)
        except EndpointError:
            self._context.destroy(linger=0)
            raise

    def take(self) -> None:
        """Take what has come; waits for nothing.

        Raises
        ------
        AccessError
            If the directory does not accept the keys, or the lack of them.
        """
        self._following.check()
        if self._following.update():
            self._follow()
        for addresses, watched in self._watched.items():
            name = self._names[addresses]
            try:
                while (message := watched.receive(0)) is not None:
                    if isinstance(message, Status):
                        self.statuses[name] = message
                self._troubles.pop(addresses, None)
            except (AccessError, EndpointError) as error:  # one streamer's trouble is not the others'
                if self._troubles.get(addresses) != str(error):
                    _logger.warning("%s: %s", name, error)
                self._troubles[addresses] = str(error)

    def families(self, now: int) -> Iterator[Any]:
        """Yield what is known at a Unix time in ns: as of one streamer, with a label ``streamer``, and of the fleet."""
        from prometheus_client.core import GaugeMetricFamily

        answers, table = self._following.is_answered, self._following.table
        text = "Whether the fleet's directory answers"
        yield GaugeMetricFamily("kinestream_fleet_directory_up", text, value=float(answers))
        if table is not None:
            text = "When it last changed who serves which stream, as the directory told last"
            yield GaugeMetricFamily("kinestream_fleet_epoch_timestamp_seconds", text, value=table.epoch / 1000)
            slots = GaugeMetricFamily("kinestream_fleet_slots", "Slots, by what the directory says", labels=["state"])
            for state in _STATES:
                slots.add_metric([state], self._told[state])
            yield slots
        merged: dict[tuple[str, str], Any] = {}  # a counter's name is without its _total
        for name, status in list(self.statuses.items()):
            for family in families(status, now):
                samples = [each._replace(labels={"streamer": name, **each.labels}) for each in family.samples]
                known = merged.setdefault((family.name, family.type), family)
                known.samples = samples if known is family else known.samples + samples
        yield from merged.values()

    def close(self) -> None:
        """Close the sockets."""
        for watched in self._watched.values():
            watched.close()
        self._following.close()
        self._context.destroy(linger=0)

    def _follow(self) -> None:
        """Listen to the streamers that the directory tells of."""
        table = self._following.table
        assert table is not None
        self._told = Counter(slot.state for slot in table.slots)
        named = table.named
        before = {self._names[addresses]: addresses for addresses in self._watched}
        self._names = {slot.addresses: name for name, slot in named.items() if slot.addresses is not None}
        for addresses in self._watched.keys() - self._names.keys():
            self._watched.pop(addresses).close()
        for addresses in self._names.keys() - self._watched.keys():
            try:
                self._watched[addresses] = WatchSubscriber(addresses.watch, status=True, keys=self._keys)
            except EndpointError as error:
                _logger.warning("%s cannot be connected to: %s", self._names[addresses], error)
        # What the one before it said of a slot says nothing of a streamer that has taken its place.
        self.statuses = {
            name: self.statuses.get(name) if slot.addresses == before.get(name) else None
            for name, slot in named.items()
        }
