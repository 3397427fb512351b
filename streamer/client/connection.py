"""A connection to a streamer, or a fleet of them: samples go out, answers to descriptions come back.

Longer than other files: it is one connection's life, and half of it is what its methods take and raise.
"""

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import zmq

from kinestream.model.errors import ConfigError, EndpointError
from kinestream.streamer.client.checks import check_seconds
from kinestream.streamer.client.deliveries import Deliveries
from kinestream.streamer.client.fleetlinks import FleetLinks
from kinestream.streamer.client.link import HIGH_WATER, Link
from kinestream.streamer.client.reliable import Reliable
from kinestream.streamer.client.spool import Spool
from kinestream.streamer.keys.keyfile import ClientKeys, found_keys
from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire.messages import Answer, Description

_LOOK_EVERY_S = 2.0
_LOOK_BLOCKED_S = 0.5  # while a message waits for room
_ROOM_S = 0.02  # between two looks whether what is kept has become less
_ASKED_S = 1.0  # in a fleet, before it is looked whether a stream has gone elsewhere
_FOLLOW_EVERY_S = 0.05  # between two looks whether streams of a fleet go elsewhere

_logger = logging.getLogger("kinestream.sender")


class SampleConnection:
    """What senders send through; any number of them may share one, as a gateway's do.

    ::

        with SampleConnection() as connection:
            anna = SampleSender("anna", channels, 50.0, connection=connection)
            ben = SampleSender("ben", channels, 50.0, connection=connection)

    Parameters
    ----------
    endpoint : str, optional
        Where the streamer takes samples, its usual address by default; with `publish`, the address to publish from.
    control : str, optional
        Where the streamer answers whether it takes a stream: by default at the usual port, 5572, if `endpoint` is at
        its usual one, 5570, of any machine. At another port, give it: without it a refusal shows in the streamer's log
        and to subscribers only, which is logged.
    publish : bool
        Whether to bind and publish instead of connecting and pushing. Publishing never waits and loses what nobody
        takes; pushing waits and loses nothing.
    timeout_s : float, optional
        How long to wait for a streamer that takes no more; for ever by default.
    reliable : bool or Reliable
        Whether what is sent is kept until the streamer acknowledges it, and sent again where it may have been lost; a
        `Reliable` says how. Needs `control`.
    keys : str, Path or ClientKeys, optional
        The file of your keys, where the streamer asks for them; that which `KINESTREAM_KEYS` names by default.
    fleet : str, optional
        Where the directory of a fleet answers, in place of a streamer's addresses: it is asked who serves each stream,
        and followed. Where that changes, a stream is described anew at its new streamer and goes on there; with
        `reliable`, all of it that is not acknowledged is sent again. While the directory is away, all stays where it
        is.

    Attributes
    ----------
    endpoint : str
        The address; with `publish`, as bound; with `fleet`, the directory's.
    control : str or None
        Where answers come from; with `fleet`, None: from each stream's streamer.
    closed : bool
        Whether it is.
    successors : dict of (int, int) by str
        Sessions, and their origins, that streams went over to because a device's clock was set back: a stream's other
        devices here follow.

    Raises
    ------
    ConfigError
        If the timeout is none.
    EndpointError
        If an address cannot be used, or keys cannot (`AccessError`).
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        control: str | None = None,
        publish: bool = False,
        timeout_s: float | None = None,
        reliable: bool | Reliable = False,
        keys: str | Path | ClientKeys | None = None,
        fleet: str | None = None,
    ) -> None:
        if fleet is not None and (endpoint is not None or control is not None or publish):
            problem = "fleet: its directory says where streamers are; give no other address, and do not publish"
            raise ConfigError("this connection", [problem])
        if reliable and publish:
            raise ConfigError("this connection", ["reliable: what is published is not acknowledged; push it"])
        if fleet is None:
            endpoint, control = _addresses(endpoint, control, publish)
        check_seconds("timeout_s", timeout_s)
        who = found_keys(keys)
        self.control = control
        self.closed = self._is_hurried = False
        self.successors: dict[str, tuple[int, int]] = {}
        self._reported_unreached = False
        self._looked_at = time.monotonic()
        self._followed_at = -math.inf
        self._stream = ""  # described last
        self._timeout_s = timeout_s
        self._context = zmq.Context()
        self._link: Link | None = None
        self._fleet: FleetLinks | None = None
        self._deliveries: Deliveries | None = None
        self._spool: Spool | None = None
        try:
            if endpoint is not None:
                self._link = Link(self._context, endpoint, control, who, publish=publish)
                self.endpoint = self._link.endpoint
            elif fleet is not None:
                self._fleet = FleetLinks(self._context, fleet, who)
                self.endpoint = fleet
            if reliable:
                self._keep(Reliable() if reliable is True else reliable)
        except EndpointError:
            if self._link is not None:
                self._link.close()
            if self._fleet is not None:
                self._fleet.close()
            self._context.destroy(linger=0)
            raise

    @property
    def is_reliable(self) -> bool:
        """Whether what is sent is kept until it is acknowledged."""
        return self._deliveries is not None

    @property
    def unacknowledged(self) -> int:
        """Messages that are kept, since they are not acknowledged yet."""
        return 0 if self._deliveries is None else self._deliveries.unacknowledged

    def open(self, about: Description, description: bytes) -> None:
        """Begin with a key, before its first message is delivered."""
        moved = None if self._fleet is None else self._fleet.open(about, description)
        if moved is not None:
            about, description = moved.about, moved.description
        if self._deliveries is not None:
            self._deliveries.open(about, description)

    def deliver(self, key: int, message: bytes, end: int) -> None:
        """Send a message of a key, whose samples end there; see `kinestream.streamer.reliable.outbox.Kept`.

        Raises
        ------
        ValueError
            If the connection is closed.
        EndpointError
            If no streamer takes it within the timeout, or acknowledges what is kept; if what answers at the address
            takes no samples; or if the spool has no room.
        """
        if self._deliveries is None:
            self._post(key, message)
            return
        self._check_open()
        until = math.inf if self._timeout_s is None else time.monotonic() + self._timeout_s
        while not self._deliveries.has_room(message):
            self._report_if_due(until, key, self._full())
            self._deliveries.service()
            time.sleep(_ROOM_S)
        if self._fleet is not None:
            key, message = self._fleet.addressed(key, message)
        self._deliveries.add(key, message, end)

    def finish(self, key: int) -> None:
        """Note that nothing more is delivered of a key."""
        wire_key = key if self._fleet is None else self._fleet.wire_key(key)
        if self._deliveries is not None:
            self._deliveries.finish(wire_key)
        elif self._fleet is not None:
            self._fleet.forget(wire_key)
        elif self._link is not None and self._link.inquiry is not None:
            self._link.inquiry.finish(key)

    def service(self) -> None:
        """Send again what has to be, and follow a fleet's changes; for whoever sends nothing for long.

        Without `reliable` and `fleet` there is nothing to do.
        """
        self._check_open()
        if self._deliveries is not None:
            self._deliveries.service()
        else:
            self._follow()

    def describe(self, description: bytes, *, key: int, stream: str) -> None:
        """Send a stream's description, and ask what becomes of it where answers come from."""
        self._stream = stream
        self.announce(description, key)
        self.ask(description, key=key, stream=stream)
        if time.monotonic() - self._looked_at >= _LOOK_EVERY_S:
            self._report_if_unreached(key)

    def announce(self, description: bytes, key: int) -> None:
        """Send a key's description ahead of what it describes; where that is kept, it is sent with the first of it."""
        if self._deliveries is None:
            self._post(key, description, describes=True)
            return
        self._check_open()
        link, message = self._described(key, description)
        if link is not None and not self._deliveries.comes_after(key):
            link.post(message)

    def ask(self, description: bytes, *, key: int, stream: str) -> None:
        """Ask what becomes of a stream, where answers come from; waits for nobody.

        Raises
        ------
        ValueError
            If the connection is closed.
        """
        self._check_open()
        link, message = self._described(key, description)
        must_wait = self._deliveries is not None and self._deliveries.comes_after(key)
        if link is not None and link.inquiry is not None and not must_wait:
            link.inquiry.ask(message, key=self._wire_key(key), stream=stream)

    def answer(self, key: int, timeout_s: float = 0.0) -> Answer | None:
        """Return what was last answered to the description of a key, waiting for it if need be; None for nothing.

        Raises
        ------
        AccessError
            If the streamer does not accept the keys, or the lack of them.
        """
        link = self._link_of(key)
        if timeout_s:
            self._check_keys(link)
        if link is None or link.inquiry is None or self.closed:
            return None
        return link.inquiry.answer(self._wire_key(key), timeout_s)

    def wait_answered(self, description: bytes, *, key: int, stream: str, timeout_s: float) -> Answer | None:
        """Ask until a stream is answered anew, and return the answer; None where none comes in time.

        Raises
        ------
        AccessError
            If the streamer does not accept the keys, or the lack of them.
        """
        self._check_open()
        if self._link is not None and self._link.inquiry is None:
            raise EndpointError(f"stream {stream}: give control=, the address where the streamer answers")
        until = time.monotonic() + timeout_s
        while (left := until - time.monotonic()) > 0:
            self._follow()
            link, message = self._described(key, description)
            must_wait = self._deliveries is not None and self._deliveries.comes_after(key, received=True)
            if must_wait:
                self.service()
            if must_wait or link is None or link.inquiry is None:
                self._check_keys(link)
                time.sleep(min(left, _ROOM_S))
                continue
            part_s = left if self._fleet is None else min(left, _ASKED_S)
            answer = link.inquiry.wait(
                message, key=self._wire_key(key), stream=stream, timeout_s=part_s, check=link.check_keys
            )
            if answer is not None:
                return answer
        return None

    def forget(self, key: int) -> None:
        """Let go of what was answered to a key's description."""
        link = self._link_of(key)
        if link is not None and link.inquiry is not None:
            link.inquiry.forget(self._wire_key(key))

    def wait_acknowledged(self, timeout_s: float) -> int:
        """Wait until all that was sent is acknowledged, but what is refused; return how many messages are not."""
        self._check_open()
        return 0 if self._deliveries is None else self._deliveries.wait(timeout_s)

    def wait_no_longer(self) -> None:
        """Wait for no streamer any more: what is sent from now on goes out if it can."""
        self._timeout_s = 0.0
        self._is_hurried = True

    def close(self) -> None:
        """Close the sockets; what they still hold has two seconds to leave. Closing twice does nothing."""
        if self.closed:
            return
        self._wait_acknowledged()
        self.closed = True
        for link in self._links:
            if (why := link.why_unreached()) is not None:
                _logger.warning("%s", why)
        if self._link is not None:
            self._link.close()
        if self._fleet is not None:
            self._fleet.close()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.wait_no_longer()
        self.close()

    @property
    def _links(self) -> list[Link]:
        return self._fleet.links if self._fleet is not None else [] if self._link is None else [self._link]

    def _wire_key(self, key: int) -> int:
        return key if self._fleet is None else self._fleet.wire_key(key)

    def _link_of(self, key: int) -> Link | None:
        """Return where what goes under a sender's key goes."""
        return self._link if self._fleet is None else self._fleet.link(self._fleet.wire_key(key))

    def _described(self, key: int, description: bytes) -> tuple[Link | None, bytes]:
        """Return where a sender's key goes, and what describes it there."""
        if self._fleet is None:
            return self._link, description
        return self._link_of(key), self._fleet.description(key) or description

    def _follow(self) -> None:
        """Have streams go to whom a fleet's directory says, now and then; waits for nobody."""
        if self._fleet is None or (now := time.monotonic()) - self._followed_at < _FOLLOW_EVERY_S:
            return
        self._followed_at = now
        for before, about, description in self._fleet.follow():
            if self._deliveries is not None:
                self._deliveries.move(before, about, description)
            elif (link := self._fleet.link(about.key)) is not None and link.post(description):
                assert link.inquiry is not None
                link.inquiry.ask(description, key=about.key, stream=about.stream)

    def _check_keys(self, link: Link | None) -> None:
        if link is not None:
            link.check_keys()
        elif self._fleet is not None:
            self._fleet.following.check()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError(f"the connection to {self.endpoint} is closed: open another")

    def _keep(self, settings: Reliable) -> None:
        """Keep what is sent from now on, and deliver what the spool holds of who was here before."""
        self._settings = settings
        if settings.spool is not None:
            self._spool = Spool(settings.spool)
        fleet = self._fleet
        inquiry = None if self._link is None else self._link.inquiry
        ask: Callable[[list[int]], None]
        if fleet is not None:
            ask, listen = fleet.ask_acknowledged, fleet.listen
        elif inquiry is not None:
            ask, listen = inquiry.ask_acknowledged, inquiry.listen
        else:
            raise ConfigError(
                "this connection",
                ["reliable: give control=, too, the address that 'kinestream serve' shows after 'control'"],
            )

        def follow_and_listen() -> None:
            self._follow()
            listen()

        post, inquire = self._post_tracked, self._inquire_tracked
        self._deliveries = Deliveries(settings, post, ask, follow_and_listen, inquire, self._spool)
        if fleet is not None:
            fleet.on_acknowledged, fleet.on_answered = self._deliveries.acknowledged, self._deliveries.answered
            self._deliveries.on_removed = fleet.forget
        elif inquiry is not None:
            inquiry.on_acknowledged, inquiry.on_answered = self._deliveries.acknowledged, self._deliveries.answered
            self._deliveries.on_removed = inquiry.finish
        for about, description, outbox in [] if self._spool is None else self._spool.left_over:
            self._deliveries.open(about, description, outbox)
            if fleet is not None and (moved := fleet.open(about, description, is_old=True)) is not None:
                self._deliveries.move(*moved)

    def _post_tracked(self, wire_key: int, message: bytes) -> bool:
        link = self._link if self._fleet is None else self._fleet.link(wire_key)
        return link is not None and link.post(message)

    def _inquire_tracked(self, description: bytes, wire_key: int, stream: str) -> None:
        link = self._link if self._fleet is None else self._fleet.link(wire_key)
        if link is not None and link.inquiry is not None:
            link.inquiry.ask(description, key=wire_key, stream=stream)

    def _wait_acknowledged(self) -> None:
        """Wait for what is not acknowledged yet, and say how much of it never was."""
        if self._deliveries is None:
            return
        left = self._deliveries.wait(0.0 if self._is_hurried else self._settings.close_s)
        self._deliveries.report_lost()
        if left:
            kept = "" if self._spool is None else ": the spool keeps them, and who opens it next delivers them"
            _logger.warning("%s: %d messages were not acknowledged%s", self.endpoint, left, kept)
        if self._spool is not None:
            self._spool.close()

    def _full(self) -> str:
        """Say why what is kept makes no room."""
        where = self.control if self._fleet is None else "the fleet's streamers"
        kept = f"{self._settings.keep_bytes >> 20} MB are kept that no streamer has acknowledged at {where}"
        return f"{kept}: start one, allow more (keep_bytes), or have the oldest given up (when_full='drop')"

    def _report_if_due(self, until: float, key: int | None = None, why: str | None = None) -> None:
        """While something waits: raise EndpointError where it may no longer, and say whom it waits for."""
        link = self._link if key is None or self._fleet is None else self._link_of(key)
        if link is not None:
            link.check()
        elif self._fleet is not None:
            self._fleet.following.check()
        now = time.monotonic()
        if now >= until:
            what = "'kinestream serve BUNDLE'" if self._fleet is None else "'kinestream fleet up'"
            where = self.endpoint if link is None else link.endpoint
            raise EndpointError(why or f"no streamer takes samples at {where}: start one with {what}")
        if now - self._looked_at >= _LOOK_EVERY_S:
            self._report_if_unreached(key)

    def _post(self, key: int, message: bytes, *, describes: bool = False) -> None:
        """Send a message of a key, or what describes it, as soon as there is room for it."""
        self._check_open()
        self._follow()
        link, frame = self._addressed(key, message, describes)
        if link is None or not link.post(frame):
            self._wait_and_post(key, message, describes)

    def _addressed(self, key: int, message: bytes, describes: bool) -> tuple[Link | None, bytes]:
        """Return where a message of a key goes, and what it is there."""
        if self._fleet is None:
            return self._link, message
        if not self._fleet.knows(key):
            raise ValueError("nothing more can be sent of a session that has ended: begin another one")
        if describes:
            return self._described(key, message)
        wire_key, message = self._fleet.addressed(key, message)
        return self._fleet.link(wire_key), message

    def _wait_and_post(self, key: int, message: bytes, describes: bool) -> None:
        """Send a message as soon as there is room for it, and say meanwhile whom it waits for."""
        until = math.inf if self._timeout_s is None else time.monotonic() + self._timeout_s
        look_s = _LOOK_BLOCKED_S if self._fleet is None else _FOLLOW_EVERY_S
        while True:
            self._report_if_due(until, key)
            self._follow()
            link, frame = self._addressed(key, message, describes)
            left = max(until - time.monotonic(), 0.0)
            if link is None:
                time.sleep(min(left, _ROOM_S))
                continue
            link.wait_for_room(min(left, look_s))
            if link.post(frame):
                return

    def _report_if_unreached(self, key: int | None) -> None:
        self._looked_at = time.monotonic()
        link = self._link if key is None or self._fleet is None else self._link_of(key)
        if link is None:
            return
        link.check()
        if link.is_reached:
            self._reported_unreached = False
        elif not self._reported_unreached:
            self._reported_unreached = True
            waits = f"up to {HIGH_WATER:,} messages wait, then send() does"
            _logger.warning("%s: there is no streamer at %s: %s", self._stream, link.endpoint, waits)


def _addresses(endpoint: str | None, control: str | None, publish: bool) -> tuple[str, str | None]:
    """Return where samples go, and where answers come from."""
    if endpoint is None:
        return wire.INGEST, control or (None if publish else wire.CONTROL)
    if control is None and not publish:
        control = usual_control(endpoint, wire.INGEST)
        if control is None:
            _logger.warning(
                "%s: whether streams are accepted shows at the streamer only: give control=, too, the address that "
                "'kinestream serve' shows after 'control'",
                endpoint,
            )
    return endpoint, control


def usual_control(endpoint: str, usual: str) -> str | None:
    """Return where the streamer answers whose address, of some machine, has the port of the usual one; else None."""
    host, _, port = endpoint.rpartition(":")
    is_usual = endpoint.startswith("tcp://") and port == usual.rpartition(":")[2]
    return f"{host}:{wire.CONTROL.rpartition(':')[2]}" if is_usual else None
