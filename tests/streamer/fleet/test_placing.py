"""Where streamers are placed, on a cluster that counts what is placed at once, as a quick one does, or not at all."""

from dataclasses import replace
from typing import Any

import pytest

from kinestream.model.errors import EndpointError
from kinestream.streamer.fleet.fleetfile import FleetFile
from kinestream.streamer.fleet.keeper import Post
from kinestream.streamer.fleet.manager import Manager, Node, Placed, Spec

FLEET = {
    "name": "wards",
    "bundle": "bundle",
    "state": "state",
    "streamers": 3,
    "address": "10.0.0.1:6379",
    "processors": 0.5,
    "memory_mb": 100,
}


class Nodes:
    """Three machines of one processor each; see `kinestream.streamer.fleet.manager.Cluster`."""

    def __init__(self, counts: bool) -> None:
        self.placed: list[Placed] = []
        self._counts = counts
        self._nodes = [Node(f"n{i}", f"n{i}", f"10.0.0.{i}", 1.0, 1000.0) for i in range(3)]

    def nodes(self) -> list[Node]:
        on = [each.node for each in self.placed] if self._counts else []
        return [replace(each, processors=each.processors - 0.5 * on.count(each.id)) for each in self._nodes]

    def keepers(self, fleet: str) -> list[Placed]:
        return list(self.placed)

    def place(self, fleet: FleetFile, placed: Placed, post: Post) -> None:
        self.placed.append(placed)

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **options: None


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("count", [1, 3, 4, 6])
def test_as_many_are_placed_as_there_is_room_for_and_evenly(counts, count):
    nodes = Nodes(counts)
    manager = Manager(nodes, "wards")
    manager._place([f"streamer-{i}" for i in range(count)], Spec(FLEET, "bundle"))
    on = [each.node for each in nodes.placed]
    assert len(on) == count
    assert max(on.count(node) for node in set(on)) == -(-count // 3)


def test_where_there_is_no_room_a_line_says_what_is_needed():
    manager = Manager(Nodes(counts=False), "wards")
    with pytest.raises(EndpointError, match=r"^no node has room .* 0\.5 processors and 100 MB: add a node$"):
        manager._place([f"streamer-{i}" for i in range(7)], Spec(FLEET, "bundle"))
