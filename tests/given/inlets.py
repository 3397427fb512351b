"""Both ways in which messages are received."""

from collections.abc import Callable
from typing import Any

import pytest
import zmq

from kinestream.streamer.transport.inlet import Inlet, PlainInlet, new_inlet


class Sockets:
    """Makes sockets and closes them in the end."""

    def __init__(self) -> None:
        self._context = zmq.Context()
        self._made: list[zmq.Socket[bytes]] = []

    def socket(self, kind: int) -> zmq.Socket[bytes]:
        self._made.append(self._context.socket(kind))
        return self._made[-1]

    def close(self) -> None:
        for each in self._made:
            each.close(linger=0)
        self._context.term()


Way = Callable[..., Inlet]


def _best() -> type[Inlet]:
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        return type(new_inlet(socket))


WAYS: list[Any] = list({PlainInlet, _best()})
"""Those there are here."""

each_way = pytest.mark.parametrize("way", sorted(WAYS, key=lambda way: way.__name__), ids=lambda way: way.__name__)
"""Runs a test once for each."""
