"""HTTP with short timeouts: a client that sends a request a byte at a time is cut off, so that others find room."""

import asyncio
from collections import Counter
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_S = 10.0
"""How long a connection may be open, or go on, without having sent a request."""


class ImpatientProtocol(H11Protocol):
    """One connection; uvicorn itself would wait for the head of a request for ever.

    Where half of the connections that there may be ask for nothing, each that comes ends one of those: the oldest of
    the address that has most. So whoever opens hundreds and says nothing keeps nobody out.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to look whether requests come."""
        super().connection_made(transport)
        self._looked_at: Any = None
        self._came_at = self.loop.time()
        self._make_room()
        self.loop.call_later(REQUEST_S, self._look)

    @property
    def _is_http(self) -> bool:
        """Whether it is still open, and no websocket by now."""
        return not self.transport.is_closing() and self.transport.get_protocol() is self

    @property
    def _is_idle(self) -> bool:
        return self._is_http and (self.cycle is None or self.cycle.response_complete)

    def _make_room(self) -> None:
        if self.limit_concurrency is None:
            return
        idle = [each for each in self.connections if isinstance(each, ImpatientProtocol) and each._is_idle]
        if len(idle) <= self.limit_concurrency // 2:
            return
        of_address = Counter(_address(each) for each in idle)
        others = [each for each in idle if each is not self]
        max(others, key=lambda each: (of_address[_address(each)], -each._came_at)).transport.close()

    def _look(self) -> None:
        if not self._is_http:
            return
        if self.cycle is self._looked_at and self._is_idle:
            self.transport.close()
            return
        self._looked_at = self.cycle
        self.loop.call_later(REQUEST_S, self._look)


def _address(connection: ImpatientProtocol) -> str:
    return connection.client[0] if connection.client else ""
