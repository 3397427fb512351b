"""What streamers publish, fetched: a subscriber like any other, that asks for more only while somebody looks."""

import asyncio

from kinestream.model.clock import monotonic_ns, now_ns, thread_ns
from kinestream.streamer.dashboard.board import Board
from kinestream.streamer.dashboard.member import Member
from kinestream.streamer.dashboard.streamers import Addresses, FleetStreamers, OneStreamer, Streamers
from kinestream.streamer.dashboard.watching import Watching
from kinestream.streamer.keys.keyfile import found_keys
from kinestream.streamer.wire.messages import MalformedMessage
from kinestream.streamer.wire.signals import Signal, signal_topic
from kinestream.streamer.wire.status import STATUS_TOPIC, STREAMS_TOPIC, Status, StreamsStatus
from kinestream.streamer.wire.watched import decode_watched

_TICK_S, _LOOKING_TICK_S = 0.1, 0.05
"""What has come is taken together: to be woken for each label costs several times as much. The second is while somebody
looks at a stream, whose signal moves."""
_TURN_NS = 1_000_000
"""Of a processor, for labels, and as much for what is watched: then it is the pages' turn."""
_PAUSE_S = 0.001  # after a turn that was cut
_TOLD_NS = 5_000_000_000  # for once or twice as long it is told that all that came could not be taken
_HOUSEKEEPING_NS = 10_000_000_000
_STATUS_NS = 60_000_000_000  # after the last page was closed: one may be opened again


class Feed:
    """Keeps a board up to date.

    Parameters
    ----------
    addresses : Addresses
        Where the streamer publishes, or a fleet's directory is.

    Attributes
    ----------
    addresses : Addresses
    streamers : Streamers
        Who is heard.
    board : Board
        What is known.
    watching : Watching
        Whose signals are had.

    Raises
    ------
    EndpointError
        If an address cannot be used. That nobody is there is no error: somebody may come.
    """

    def __init__(self, addresses: Addresses) -> None:
        self.addresses = addresses
        self.board = Board(monotonic_ns())
        self._malformed = 0
        self.watching = Watching(self._subscribe, self._unsubscribe)
        self.board.looked_at = self.watching.has
        keys = found_keys(addresses.keys)
        self.streamers: Streamers = (
            OneStreamer(addresses, self.board, keys)
            if addresses.fleet is None
            else FleetStreamers(addresses.fleet, self.board, keys)
        )
        self._kept_house = 0
        self._taken_at = self._told_from = monotonic_ns()  # all that had come by then
        self._longest = self._longest_before = 0
        self._pages, self._left = 0, 0
        self._has_status = self._has_streams = False

    def behind_ns(self, now: int) -> int:
        """Return how late what is shown may be, or was in the last seconds, ns: for so long not all that came was had.

        It grows where others have the processor, and where more comes than can be taken.
        """
        return max(now - self._taken_at, self._longest, self._longest_before)

    @property
    def malformed(self) -> int:
        """Messages that could not be read and were passed over."""
        return self._malformed + self.streamers.malformed

    async def run(self) -> None:
        """Take what comes, for ever.

        Raises
        ------
        EndpointError
            If what answers at the labels' address is something else.
        AccessError
            If the streamer, or the fleet's directory, does not accept the keys, or the lack of them.
        """
        while True:
            tick_s = _LOOKING_TICK_S if self.watching.is_looking else _TICK_S
            await asyncio.sleep(_PAUSE_S if self.take() else tick_s)

    def take(self) -> bool:
        """Take some of what has come; return whether there may be more."""
        now = monotonic_ns()
        self.streamers.update(now)
        self.board.connect(now)
        if self._has_streams != self.watching.is_looking:  # to make it takes a streamer a while
            self._has_streams = not self._has_streams
            (self.streamers.watch if self._has_streams else self.streamers.unwatch)(STREAMS_TOPIC)
        for message in self.streamers.said(thread_ns() + _TURN_NS):
            self.board.add(message, monotonic_ns(), now_ns())
        for member, frames in self.streamers.watched(thread_ns() + _TURN_NS):
            self._take_watched(member, frames)
        is_cut = self.streamers.was_cut
        if not is_cut:
            self._longest, self._taken_at = max(self._longest, now - self._taken_at), now
        if now - self._told_from >= _TOLD_NS:
            self._longest_before, self._longest, self._told_from = self._longest, 0, now
        if self._pages:
            self.board.look_ahead(monotonic_ns())
        if now - self._kept_house >= _HOUSEKEEPING_NS:
            self._kept_house = now
            self.board.forget(now)
            self.watching.forget(now)
            if self._has_status and not self._pages and now - self._left > _STATUS_NS:
                self._has_status = False
                self.streamers.unwatch(STATUS_TOPIC)
        return is_cut

    def attend(self) -> None:
        """Note that a page was opened: what costs the streamer something is asked for while there is one."""
        self._pages += 1
        if not self._has_status:
            self._has_status = True
            self.streamers.watch(STATUS_TOPIC)

    def leave(self) -> None:
        """Note that a page was closed."""
        self._pages -= 1
        self._left = monotonic_ns()
        if not self._pages:
            self.board.look_away()

    def close(self) -> None:
        """Close the sockets."""
        self.streamers.close()

    def _take_watched(self, member: Member, frames: list[bytes]) -> None:
        try:
            message = decode_watched(frames)
        except MalformedMessage:
            self._malformed += 1
            return
        if isinstance(message, Signal):
            self.watching.add(message)
        elif isinstance(message, Status):
            self.board.add_status(message, member)
        elif isinstance(message, StreamsStatus):
            self.board.add_rates(message, member)

    def _subscribe(self, stream: str) -> None:
        self.streamers.watch(signal_topic(stream))

    def _unsubscribe(self, stream: str) -> None:
        self.streamers.unwatch(signal_topic(stream))
