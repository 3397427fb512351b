"""Tracked messages on their way out: kept until they are acknowledged, and sent again where they may have been lost.

`kinestream.streamer.reliable.outbox` says what is kept and what is sent next; here are the time, the sockets and the
order. All of it happens while something is sent, and in `service`: there is no thread. So who sends nothing for long
calls `service` now and then, if a streamer that was started anew meanwhile is to get what it needs before the next
samples.

Messages of one session are all received before those of a later one of the same stream are sent: a streamer that
begins the later one takes no more of the earlier. So are those of a device that was restarted, and whose messages come
under another key since: the streamer waits for nothing of the earlier key once it knows of the later (`comes_after`).
But what is on its way when a streamer is killed comes to the next one, which has had nothing of the earlier: so the
first message of the later session says what it comes `after`, as long as anything of that is kept. Where what is sent
does not get through (a streamer that has no room for a device's readings, as others must come first), only a few
messages are tried until it does.

A streamer may refuse a key for good (its channels do not fit) or for now (it is full, or is about to end), and does not
say which. So of what is refused nothing is sent but what describes it, every two seconds. A later session that waits
behind it is described, too, and goes on without it only where the streamer has accepted the later and then refused the
earlier once more.

Longer than other files: what a streamer says of one key changes what may be sent of the stream's others.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator

from kinestream.model.counted import counted
from kinestream.streamer.client.delivery import Delivery, Keeper
from kinestream.streamer.client.reliable import Reliable
from kinestream.streamer.reliable.outbox import Outbox, size_of
from kinestream.streamer.wire.messages import Description
from kinestream.streamer.wire.tracked import UNKNOWN, Acknowledgement, mark_of

_ASK_EVERY_S, _ASK_CLOSING_S = 1.0, 0.1
_STALLED_S = 3.0  # without anything new received, of messages that were sent
_DESCRIBE_AGAIN_S = 0.5
_DESCRIBE_REFUSED_S = 2.0
_TRIED = 4  # messages that are sent where nothing got through
_AT_A_TIME = 64  # messages of one key, before it is others' turn
_LOGGED_EVERY_S = 60.0
_FULL_S = 10.0  # that a full store makes no room, though a streamer answers, before it is told
_SERVICE_EVERY_S = 0.05

_logger = logging.getLogger("kinestream.sender")


class Deliveries:
    """All that a connection keeps.

    Parameters
    ----------
    settings : Reliable
        How.
    post : callable
        Sends a message of a key to where that goes, if there is room; returns whether there was.
    ask : callable
        Asks what has come of some keys, if there is room for the question.
    listen : callable
        Has answers that have come handed to `acknowledged`.
    inquire : callable
        Asks what becomes of a description; given it, its key and its stream.
    keeper : Keeper, optional
        What keeps all on a disk as well.

    Attributes
    ----------
    lost : int
        Messages that were given up to make room.
    on_removed : callable
        Called with a key of which all was acknowledged and nothing more comes.
    """

    def __init__(
        self,
        settings: Reliable,
        post: Callable[[int, bytes], bool],
        ask: Callable[[list[int]], None],
        listen: Callable[[], None],
        inquire: Callable[[bytes, int, str], None],
        keeper: Keeper | None = None,
    ) -> None:
        self.lost = 0
        self.on_removed: Callable[[int], None] = lambda key: None
        self._inquire = inquire
        self._count = 0
        self._settings, self._post, self._ask, self._listen, self._keeper = settings, post, ask, listen, keeper
        self._of: dict[int, Delivery] = {}
        self._of_stream: dict[str, list[Delivery]] = {}  # in their order
        self._asked_at = self._serviced_at = time.monotonic()
        self._logged_at = -_LOGGED_EVERY_S
        self._lost_told, self._lost_of = 0, ""
        self._answered_at = self._full_told = -math.inf
        self._full_since = math.inf  # nothing was let go of
        self._bytes = 0

    def open(self, about: Description, description: bytes, outbox: Outbox | None = None) -> None:
        """Begin with a key, or go on with what another kept of it: that is described anew, and gets no more."""
        self._count += 1
        delivery = Delivery(outbox or Outbox(about.key), about, description, opened=self._count)
        self._of[about.key] = delivery
        self._of_stream.setdefault(about.stream, []).append(delivery)
        if outbox is not None:
            delivery.is_over = True
            self._bytes += outbox.bytes
        elif self._keeper is not None:
            self._keeper.open(about.key, about, description, 0)

    def finish(self, key: int) -> None:
        """Note that no more is added of a key."""
        if (delivery := self._of.get(key)) is not None:
            self._count += 1
            delivery.is_over, delivery.ended = True, self._count
            if delivery.outbox.is_empty:
                self._remove(delivery)

    def move(self, key: int, about: Description, description: bytes) -> None:
        """Have what is kept of a key go to another streamer: described anew, under another key, all of it again."""
        if (delivery := self._of.pop(key, None)) is None:
            return
        self._of[about.key] = delivery
        outbox, before = delivery.outbox, delivery.outbox.bytes
        outbox.move(about.key)
        self._bytes += outbox.bytes - before
        delivery.about, delivery.description = about, description
        delivery.must_describe, delivery.limit, delivery.accepted = True, None, None
        delivery.progressed_at = time.monotonic()
        if self._keeper is not None:
            self._keeper.open(about.key, about, description, outbox.oldest)
            for number, (message, end) in enumerate(outbox.kept, outbox.oldest):
                self._keeper.add(about.key, number, message, end)
            if key != about.key:
                self._keeper.remove(key)

    def comes_after(self, key: int, *, received: bool = False) -> bool:
        """Tell whether an earlier key of the same device is still kept, or, if `received`, has not come as a whole.

        Until then the streamer is not to be told of the later one out of turn: it is with its first message.
        """
        if (delivery := self._of.get(key)) is None:
            return False
        device = delivery.about.session, delivery.about.device
        for other in self._of_stream[delivery.about.stream]:
            if other is delivery:
                return False
            is_done = other.is_refused or (other.has_come if received else other.outbox.is_empty)
            if (other.about.session, other.about.device) == device and not is_done:
                return True
        return False

    def has_room(self, message: bytes) -> bool:
        """Tell whether there is room for a message; where the oldest are given up for it, there is."""
        self._service_if_due()
        if self._settings.when_full == "drop":
            while self._bytes + size_of(message) > self._settings.keep_bytes and self._drop_oldest():
                continue
        if self._bytes + size_of(message) <= self._settings.keep_bytes:
            self._full_since = math.inf
            return True
        self._report_full()
        return False

    def _report_full(self) -> None:
        """Say so where nothing makes room, though a streamer answers: whoever waits would not know why."""
        now = time.monotonic()
        self._full_since = min(self._full_since, now)
        is_answered = now - self._answered_at < _STALLED_S
        if is_answered and now - self._full_since > _FULL_S and now - self._full_told >= _LOGGED_EVERY_S:
            self._full_told = now
            _logger.warning(
                "%d MB are kept, and the streamer takes none of it as done: windows that are open need all of it, or "
                "it is of refused streams; allow more (keep_bytes), or have the oldest given up (when_full)",
                self._settings.keep_bytes >> 20,
            )

    def add(self, key: int, message: bytes, end: int) -> None:
        """Keep a message, and send it, if it is its turn; see `Kept`."""
        delivery = self._of[key]
        outbox = delivery.outbox
        if self._keeper is not None:
            self._keeper.add(key, outbox.next, message, end)
        if outbox.is_received:
            delivery.progressed_at = time.monotonic()
        outbox.add(message, end)
        self._bytes += size_of(message)
        self._push(delivery)

    def service(self, ask_every_s: float = _ASK_EVERY_S) -> None:
        """Take what was acknowledged, ask for more, and send what is to be sent; waits for nobody."""
        self._serviced_at = now = time.monotonic()
        self._listen()
        if now - self._asked_at >= ask_every_s:
            self._asked_at = now
            keys = [key for key, delivery in self._of.items() if not delivery.outbox.is_empty]
            if keys:
                self._ask(keys)
        for delivery in list(self._of.values()):
            outbox = delivery.outbox
            if outbox.sent > outbox.received and now - delivery.progressed_at > _STALLED_S:
                delivery.progressed_at, delivery.limit = now, _TRIED
                outbox.send_again()
            self._push(delivery)

    def acknowledged(self, keys: list[Acknowledgement]) -> None:
        """Take what a streamer says of some keys."""
        self._answered_at = now = time.monotonic()
        for acknowledgement in keys:
            delivery = self._of.get(acknowledgement.key)
            if delivery is None:
                continue
            outbox = delivery.outbox
            received, before, oldest = outbox.received, outbox.bytes, outbox.oldest
            goes_back = outbox.acknowledge(acknowledgement)
            self._bytes += outbox.bytes - before
            if outbox.bytes < before:
                self._full_since = math.inf
            if acknowledgement.received == UNKNOWN:
                if received > oldest:
                    self._doubt(delivery, now)
                if now - delivery.described_at >= _DESCRIBE_AGAIN_S and not delivery.is_refused:
                    delivery.must_describe = True
                # Where it does not say either that it takes the key, most of what is sent may be in vain.
                delivery.limit, delivery.progressed_at = None if delivery.accepted else _TRIED, now
            elif outbox.received > received:
                delivery.progressed_at = now
                delivery.limit = None if delivery.limit is None or not goes_back else 2 * delivery.limit
            elif goes_back:
                delivery.limit = _TRIED
            if outbox.oldest > oldest and self._keeper is not None:
                self._keeper.forget(acknowledgement.key, outbox.oldest)
            if outbox.is_empty and delivery.is_over:
                self._remove(delivery)

    def answered(self, key: int, accepted: bool) -> None:
        """Take what a streamer says of a key that was described."""
        if (delivery := self._of.get(key)) is None or delivery.accepted is accepted:
            return
        before, delivery.accepted = delivery.accepted, accepted
        others = [each for each in self._of_stream[delivery.about.stream] if each is not delivery]
        if accepted:
            delivery.limit, delivery.progressed_at = None, time.monotonic()
            self._describe_anew(each for each in others if each.is_refused)  # it may be accepted now as well
            return
        delivery.outbox.send_again()
        if before:  # it is another streamer, or has changed its mind
            self._describe_anew(each for each in others if each.accepted)

    def wait(self, seconds: float) -> int:
        """Wait until all is acknowledged, but what is refused; return how many messages are not."""
        until = time.monotonic() + seconds
        while left := [each for each in list(self._of.values()) if each.is_waited_for]:
            if time.monotonic() >= until:
                return sum(each.outbox.next - each.outbox.oldest for each in left)
            self.service(_ASK_CLOSING_S)
            time.sleep(0.01)
        return 0

    def report_lost(self) -> None:
        """Log how many messages were given up, unless that is known already."""
        if self.lost == self._lost_told:
            return
        self._logged_at, self._lost_told = time.monotonic(), self.lost
        _logger.warning(
            "%s so far given up unacknowledged, the latest of stream %s: %d MB are kept at most; "
            "allow more (keep_bytes), or have send() wait (when_full)",
            *(counted(self.lost, "message"), self._lost_of, self._settings.keep_bytes >> 20),
        )

    @property
    def unacknowledged(self) -> int:
        """Messages that are kept."""
        return sum(delivery.outbox.next - delivery.outbox.oldest for delivery in self._of.values())

    def _service_if_due(self) -> None:
        if time.monotonic() - self._serviced_at >= _SERVICE_EVERY_S:
            self.service()

    def _push(self, delivery: Delivery) -> None:
        """Post what is to be sent of a key, while there is room and it is its turn."""
        outbox = delivery.outbox
        if outbox.sent >= outbox.next:
            return
        earlier = [other for other in self._before(delivery) if not other.has_come]
        if not all(other.is_refused for other in earlier):
            return
        is_held = delivery.is_refused or (bool(earlier) and not delivery.accepted)
        if is_held and time.monotonic() - delivery.described_at >= _DESCRIBE_REFUSED_S:
            delivery.must_describe = True
        if delivery.must_describe:
            if not self._post(delivery.about.key, delivery.description):
                return
            delivery.must_describe, delivery.described_at = False, time.monotonic()
            self._inquire(delivery.description, delivery.about.key, delivery.about.stream)
        if is_held or delivery.is_refused:
            return
        most = outbox.next if delivery.limit is None else min(outbox.received + delivery.limit, outbox.next)
        for _ in range(_AT_A_TIME):
            if outbox.sent >= most:
                return
            frame = outbox.frame(self._after(delivery) if outbox.sent == outbox.oldest else 0)
            if frame is None or not self._post(outbox.key, frame):
                return
            outbox.posted()

    def _after(self, delivery: Delivery) -> int:
        """Return what stands for the latest key that comes before and is still kept; 0 where there is none."""
        marks = [mark_of(other.outbox.key) for other in self._before(delivery) if other.is_waited_for]
        return marks[-1] if marks else 0

    def _before(self, delivery: Delivery) -> Iterator[Delivery]:
        """Yield what of the same stream must be received first, in its order."""
        about = delivery.about
        for other in self._of_stream[about.stream]:
            if other is delivery:
                return
            goes_first = other.about.session != about.session or other.about.device == about.device
            if goes_first or other.ended < delivery.opened:  # as where a clock was set back in a session that goes on
                yield other

    def _describe_anew(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            delivery.accepted, delivery.must_describe, delivery.limit = None, True, _TRIED

    def _doubt(self, delivery: Delivery, now: float) -> None:
        """Ask anew what has come of a stream: a streamer that has forgotten one of its keys may be another one."""
        self._describe_anew(each for each in self._of_stream[delivery.about.stream] if each.accepted is not None)
        for other in self._of_stream[delivery.about.stream]:
            if other is not delivery:
                other.outbox.doubt()
                other.progressed_at = now
        self._asked_at = -math.inf

    def _remove(self, delivery: Delivery) -> None:
        about = delivery.about
        del self._of[about.key]
        of_stream = self._of_stream[about.stream]
        of_stream.remove(delivery)
        if not of_stream:
            del self._of_stream[about.stream]
        if self._keeper is not None:
            self._keeper.remove(about.key)
        self.on_removed(about.key)

    def _drop_oldest(self) -> bool:
        """Give up the oldest message of whoever keeps most; tell whether there was one."""
        delivery = max(self._of.values(), key=lambda each: each.outbox.bytes, default=None)
        if delivery is None:
            return False
        before = delivery.outbox.bytes
        if not delivery.outbox.drop_oldest():
            return False
        self._bytes += delivery.outbox.bytes - before
        self.lost += 1
        if self._keeper is not None:
            self._keeper.forget(delivery.outbox.key, delivery.outbox.oldest)
        self._lost_of = delivery.about.stream
        if delivery.outbox.is_empty and delivery.is_over:
            self._remove(delivery)
        if time.monotonic() - self._logged_at >= _LOGGED_EVERY_S:
            self.report_lost()
        return True
