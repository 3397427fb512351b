"""Sends a wearer's samples to a streamer.

Longer than other files: it is one class, and most of it says what its methods take.
"""

import logging
import math
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from kinestream.model.clock import monotonic_ns, wall_clock
from kinestream.model.errors import ChannelMismatch, ConfigError, EndpointError
from kinestream.model.recordings.recording import Channel
from kinestream.streamer.client import checks
from kinestream.streamer.client.checks import number
from kinestream.streamer.client.connection import SampleConnection
from kinestream.streamer.client.pauses import Pauses
from kinestream.streamer.client.reliable import Reliable
from kinestream.streamer.client.stepbacks import StepBacks
from kinestream.streamer.keys.keyfile import ClientKeys
from kinestream.streamer.wire import codec
from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire.messages import Description

DESCRIBE_EVERY_S = 2.0
"""How often a stream is described again, so that a streamer that was restarted learns of it soon."""

_logger = logging.getLogger("kinestream.sender")


class SampleSender:
    """Sends one wearer's samples to a streamer.

    Parameters
    ----------
    stream : str
        Name of the stream; 1 to 64 letters, digits and ``_ . : @ + -``.
    channels : sequence of Channel or str
        The C channels in the order of the samples' columns. The streamer matches them to its bundle by name.
    rate_hz : float
        Samples per second.
    endpoint, control, publish, timeout_s, reliable, keys, fleet
        Of the connection that it opens for itself; see `SampleConnection`.
    device : str
        What the wearer's device is called.
    timing : {"grid", "times"}
        Whether a reading's number says where it lies, at the bundle's rate, or each is sent with its time. Readings
        with times may come at any rate, from several devices of one stream, each with a sender of its own.
    origin : int
        With times: Unix time in ns of the session's sample 0; the same for all devices of a session.
    session : int, optional
        Number of the first session, greater than any this stream had before; Unix ns by default. With times it is 0 by
        default, which senders that know nothing of one another share, and which does not end. Where the times that are
        sent step back, the session ends and another one begins, which is logged; senders of the stream that share a
        connection all go over to it.
    connection : SampleConnection, optional
        What it shares with other senders, instead of opening one of its own.

    Attributes
    ----------
    endpoint : str
        The address; with `publish`, as bound.
    session : int
        Number of the current session.
    seq : int
        Number of the next sample.

    Raises
    ------
    ConfigError
        If the stream cannot be called or described so.
    EndpointError
        If the address cannot be used.
    """

    def __init__(
        self,
        stream: str,
        channels: Sequence[Channel | str],
        rate_hz: float,
        *,
        endpoint: str | None = None,
        control: str | None = None,
        device: str = wire.DEVICE,
        timing: wire.Timing = "grid",
        origin: int = 0,
        session: int | None = None,
        publish: bool = False,
        timeout_s: float | None = None,
        reliable: bool | Reliable = False,
        keys: str | Path | ClientKeys | None = None,
        fleet: str | None = None,
        connection: SampleConnection | None = None,
    ) -> None:
        described = checks.checked_channels(channels, stream)
        checks.check_rate(rate_hz, stream)
        self.stream = stream
        if session is None:
            session = 0 if timing == "times" else wall_clock.now_ns()
        self.session = number("session", session)
        self.seq = 0
        self._about = Description(
            stream, _new_key(), self.session, rate_hz, described, device, number("origin", origin), timing
        )
        checks.check_description(self._about)
        self._columns = len(described)
        self._ns_per_sample = 1e9 / rate_hz if rate_hz else 0.0
        self._description = codec.encode_description(self._about)
        self._described_at = -math.inf
        self._ended = False
        self._answered: bool | None = None  # when it ended
        self._step_backs, self._by_clock = StepBacks(), True
        self._begin_numbering()
        given = (endpoint, control, publish, timeout_s, reliable, keys, fleet)
        if connection is not None and given != (None, None, False, None, False, None, None):
            problem = "connection: it has addresses, keys and a timeout already; give them there"
            raise ConfigError(f"stream {stream[:80]!r}", [problem])
        self._owns_connection = connection is None
        self._connection = connection or SampleConnection(
            endpoint,
            control=control,
            publish=publish,
            timeout_s=timeout_s,
            reliable=reliable,
            keys=keys,
            fleet=fleet,
        )
        self._connection.open(self._about, self._description)
        self._furthest = 0  # where what was sent ends
        self.endpoint = self._connection.endpoint

    def send(
        self,
        x: npt.ArrayLike,
        t: int | None = None,
        seq: int | None = None,
        *,
        times: npt.ArrayLike | None = None,
    ) -> None:
        """Send consecutive samples, in one message unless they are more than a message may hold.

        Parameters
        ----------
        x : array-like of float, shape (n, C) or (C,)
            NaN where there is no reading.
        t : int, optional
            When the last of them was taken, Unix ns; now by default.
        seq : int, optional
            Number of the first of them. By default they follow those sent before; on the grid, where the caller has
            been silent for longer than its samples explain (see `kinestream.streamer.client.pauses`), by `t` or else by
            the clock, the numbers of those that are missing are left out: the streamer tells of a gap.
            ``seq=sender.seq`` says that they follow all the same.
        times : array-like of int, shape (n,) or (), optional
            When each of them was taken, Unix ns: needed where `timing` is "times", and only there.

        Raises
        ------
        ValueError
            If `x` has another shape, a number is negative or none, or the session has ended.
        EndpointError
            If no streamer takes them within the timeout; `seq` is then the number of the first that was not sent.
        """
        rows = checks.checked_rows(x, self._columns, self.stream)
        if self._ended:
            raise ValueError(f"session {self.session} of {self.stream} has ended: call new_session() first")
        moments = checks.checked_times(times, len(rows), self._about)
        if t is not None:
            t = number("t", t)
        if seq is not None:
            seq = number("seq", seq)
        if not len(rows):
            return
        if moments is None:
            self._send_on_grid(rows, t, seq)
        else:
            self._send_timed(rows, moments, seq)

    def describe(self) -> None:
        """Tell the streamer what the columns are; `send` does so by itself, first of all and then every two seconds.

        The streamer answers with an event, ``accepted`` or ``refused``, to which a `LabelSubscriber` can listen, and at
        its control endpoint, if that is known: a refusal is logged, and `wait_accepted` waits for the answer.
        """
        self._connection.describe(self._description, key=self._about.key, stream=self.stream)
        self._described_at = time.monotonic()

    def wait_accepted(self, timeout_s: float = 10.0) -> dict[str, Any]:
        """Ask until a streamer has accepted the stream; return what it said of its bundle.

        Returns
        -------
        dict
            As an ``accepted`` event: ``bundle``, ``classes``, ``window``, with times ``undelivered``, and more.

        Raises
        ------
        ChannelMismatch
            If it refuses the stream; the message says why.
        EndpointError
            If none answers in time, or its control endpoint is not known.
        """
        about, connection = self._about, self._connection
        answer = connection.wait_answered(self._description, key=about.key, stream=self.stream, timeout_s=timeout_s)
        if answer is None:
            where = connection.control or f"the fleet of {connection.endpoint}"
            raise EndpointError(
                f"no streamer answered at {where} within {timeout_s:g} s: start one with 'kinestream serve BUNDLE'"
            )
        if not answer.accepted:
            raise ChannelMismatch(f"the streamer refuses stream {self.stream}: {answer.details['reason']}")
        return answer.details

    @property
    def accepted(self) -> bool | None:
        """Whether the streamer takes the stream, as far as it has answered: None where it has not, or is not asked."""
        if self._ended:
            return self._answered
        answer = self._connection.answer(self._about.key)
        return None if answer is None else answer.accepted

    def annotate(self, activity: str, begin: int, end: int) -> None:
        """Say what the activity was, for those who watch, record or score; it never reaches what names the windows.

        Parameters
        ----------
        activity : str
            Its name, 1 to 255 printable characters; it need not be one of the bundle's classes.
        begin, end : int
            From when to when, Unix ns on the clock of the samples' times.

        Raises
        ------
        ValueError
            If it can have no such name, or ends before it begins.
        """
        remark = checks.checked_remark(self._about.key, activity, begin, end)
        self._describe_if_due()
        self._deliver(codec.encode_remark(remark))

    def end(self) -> None:
        """End the session: the streamer forgets what is left of it. Ending twice does nothing."""
        if not self._ended:
            self._answered = self.accepted  # in a fleet, nobody is asked any more about what has ended
            self._ended = True  # it is said once: where that fails, whoever goes on with another session can
            try:
                self._describe_if_due()
                self._deliver(codec.encode_end(self._about.key))
            finally:
                self._connection.finish(self._about.key)

    def new_session(self, session: int | None = None) -> None:
        """End the session and begin another one, whose samples count from 0.

        Parameters
        ----------
        session : int, optional
            Its number; Unix ns by default.
        """
        following = max(wall_clock.now_ns(), self.session + 1) if session is None else number("session", session)
        self._go_over(following, self._about.origin)

    def close(self) -> None:
        """Close the connection, unless it is shared; what it still holds has two seconds to leave."""
        if self._owns_connection:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._owns_connection:
            self._connection.wait_no_longer()
        try:
            self.end()
        except EndpointError:
            if error is None:
                raise
        finally:
            self.close()

    def _send_on_grid(self, rows: npt.NDArray[np.float32], t: int | None, seq: int | None) -> None:
        by_clock = t is None
        if by_clock is not self._by_clock or seq is not None:
            self._by_clock, self._pauses = by_clock, Pauses(self._about.rate_hz)
        missing = self._pauses.missing(len(rows), monotonic_ns() if t is None else t)
        self.seq = self.seq + missing if seq is None else seq
        self._send_parts(rows, wall_clock.now_ns() if t is None else t, None)
        if by_clock:
            self._pauses.resume(monotonic_ns())

    def _send_timed(self, rows: npt.NDArray[np.float32], moments: npt.NDArray[np.int64], seq: int | None) -> None:
        """Send readings with their times; where those step back, begin another session."""
        successor = self._connection.successors.get(self.stream)
        if successor is not None and 0 < self.session < successor[0]:
            self._go_over(*successor)
        if seq is not None and seq < self.seq:  # once more, or behind others: not when the clock was set
            self.seq = seq
            self._send_parts(rows, int(moments[-1]), moments)
            return
        if seq is not None:
            self.seq = seq
        for part in self._step_backs.parts(rows, moments):
            if part.stepped_from is not None:
                self._follow_step(part.stepped_from, int(part.moments[0]))
                self.seq = 0 if seq is None else seq + part.first
            self._send_parts(part.rows, int(part.moments[-1]), part.moments)

    def _follow_step(self, before: int, after: int) -> None:
        ended = self.session
        # Session 0 is shared with senders that know nothing of this one: in it, a device begins anew with a new key.
        following = max(wall_clock.now_ns(), ended + 1) if ended else 0
        origin = min(self._about.origin, after) if ended else self._about.origin
        self._go_over(following, origin)
        if ended:
            self._connection.successors[self.stream] = (following, origin)
        _logger.warning(
            "%s: the clock of %s was set back by %.3f s: session %d has ended, session %d begins",
            *(self.stream, self._about.device, (before - after) / 1e9, ended, following),
        )

    def _send_parts(self, rows: npt.NDArray[np.float32], t: int, moments: npt.NDArray[np.int64] | None) -> None:
        self._describe_if_due()
        parts = codec.encode_split(self._about.key, self.seq, t, rows, self._ns_per_sample, moments)
        for end, message in parts:
            self._furthest = max(self._furthest, end if moments is None else t + 1)
            self._deliver(message)
            self.seq = end

    def _deliver(self, message: bytes) -> None:
        self._connection.deliver(self._about.key, message, self._furthest)

    def _go_over(self, session: int, origin: int) -> None:
        """End the session and begin another one."""
        self.end()
        self.session = session
        self.seq = 0
        self._connection.forget(self._about.key)
        self._about = self._about._replace(session=session, origin=origin, key=_new_key())
        self._description, self._furthest = codec.encode_description(self._about), 0
        self._connection.open(self._about, self._description)
        # A question would go another way, and could overtake what was sent.
        self._connection.announce(self._description, self._about.key)
        self._described_at = time.monotonic()
        self._ended = False
        self._begin_numbering()

    def _begin_numbering(self) -> None:
        self._step_backs.forget()
        self._by_clock = True
        self._pauses = Pauses(self._about.rate_hz or 1.0)

    def _describe_if_due(self) -> None:
        if time.monotonic() - self._described_at >= DESCRIBE_EVERY_S:
            self.describe()


def _new_key() -> int:
    """Return a key: nobody else may guess or choose the same."""
    return secrets.randbits(64)
