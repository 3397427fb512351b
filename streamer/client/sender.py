"""Sends a wearer's samples to a streamer."""

import math
import operator
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from kinestream.model.clock import wall_clock
from kinestream.model.errors import ChannelMismatch, ConfigError, EndpointError
from kinestream.model.recordings.recording import Channel
from kinestream.streamer.client.connection import SampleConnection
from kinestream.streamer.wire import codec
from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire.messages import Description

DESCRIBE_EVERY_S = 2.0
"""How often a stream is described again, so that a streamer that was restarted learns of it soon."""
_ASK_AGAIN_S = 0.2


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
    endpoint, control, publish, timeout_s
        Of the connection that it opens for itself; see `SampleConnection`.
    device : str
        What the wearer's device is called.
    session : int, optional
        Number of the first session, greater than any this stream had before; Unix ns by default.
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
        session: int | None = None,
        publish: bool = False,
        timeout_s: float | None = None,
        connection: SampleConnection | None = None,
    ) -> None:
        if isinstance(channels, str):
            raise ConfigError(
                f"stream {stream[:80]!r}", [f"channels: {channels[:80]!r} is a text; give a list of names"]
            )
        described = tuple(Channel(channel) if isinstance(channel, str) else channel for channel in channels)
        self.stream = stream
        self.session = wall_clock.now_ns() if session is None else _number("session", session)
        self.seq = 0
        self._about = Description(stream, _new_key(), self.session, rate_hz, described, device)
        check_description(self._about)
        self._columns = len(described)
        self._ns_per_sample = 1e9 / rate_hz
        self._description = codec.encode_description(self._about)
        self._described_at = -math.inf
        self._ended = False
        if connection is not None and (endpoint, control, publish, timeout_s) != (None, None, False, None):
            raise ConfigError(
                f"stream {stream[:80]!r}", ["connection: it has addresses and a timeout already; give them there"]
            )
        self._owns_connection = connection is None
        self._connection = connection or SampleConnection(
            endpoint, control=control, publish=publish, timeout_s=timeout_s
        )
        self.endpoint = self._connection.endpoint

    def send(self, x: npt.ArrayLike, t: int | None = None, seq: int | None = None) -> None:
        """Send consecutive samples, in one message unless they are more than a message may hold.

        Parameters
        ----------
        x : array-like of float, shape (n, C) or (C,)
            NaN where there is no reading.
        t : int, optional
            When the last of them was taken, Unix ns; now by default.
        seq : int, optional
            Number of the first of them; by default they follow those sent before. A number that leaves some out says
            that those were lost.

        Raises
        ------
        ValueError
            If `x` has another shape, a number is negative or none, or the session has ended.
        EndpointError
            If no streamer takes them within the timeout; `seq` is then the number of the first that was not sent.
        """
        rows = np.atleast_2d(np.asarray(x, dtype=np.float32))
        if rows.ndim != 2 or rows.shape[1] != self._columns:
            raise ValueError(
                f"x has shape {np.shape(x)}, stream {self.stream} has {self._columns} channels: "
                f"give ({self._columns},) or (n, {self._columns})"
            )
        if self._ended:
            raise ValueError(f"session {self.session} of {self.stream} has ended: call new_session() first")
        end_t = wall_clock.now_ns() if t is None else _number("t", t)
        first = self.seq if seq is None else _number("seq", seq)
        self._describe_if_due()
        for end, message in codec.encode_split(self._about.key, first, end_t, rows, self._ns_per_sample):
            self._post(message)
            self.seq = end

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
            ``bundle``, ``classes``, ``window``, ``rate_hz`` and more, as in an ``accepted`` event.

        Raises
        ------
        ChannelMismatch
            If it refuses the stream; the message says why.
        EndpointError
            If none answers in time, or its control endpoint is not known.
        """
        connection = self._connection
        if connection.control is None:
            raise EndpointError(f"stream {self.stream}: give control=, the address where the streamer answers")
        connection.forget(self._about.key)
        until = time.monotonic() + timeout_s
        while (left := until - time.monotonic()) > 0:
            connection.ask(self._description, key=self._about.key, stream=self.stream)
            answer = connection.answer(self._about.key, min(left, _ASK_AGAIN_S))
            if answer is not None and not answer.accepted:
                raise ChannelMismatch(f"the streamer refuses stream {self.stream}: {answer.details['reason']}")
            if answer is not None:
                return answer.details
        raise EndpointError(
            f"no streamer answered at {connection.control} within {timeout_s:g} s: "
            "start one with 'kinestream serve BUNDLE'"
        )

    @property
    def accepted(self) -> bool | None:
        """Whether the streamer takes the stream, as far as it has answered: None where it has not, or is not asked."""
        answer = self._connection.answer(self._about.key)
        return None if answer is None else answer.accepted

    def end(self) -> None:
        """End the session: the streamer forgets what is left of it. Ending twice does nothing."""
        if not self._ended:
            self._describe_if_due()
            self._post(codec.encode_end(self._about.key))
            self._ended = True

    def new_session(self, session: int | None = None) -> None:
        """End the session and begin another one, whose samples count from 0.

        Parameters
        ----------
        session : int, optional
            Its number; Unix ns by default.
        """
        self.end()
        self.session = max(wall_clock.now_ns(), self.session + 1) if session is None else _number("session", session)
        self.seq = 0
        self._connection.forget(self._about.key)
        self._about = self._about._replace(session=self.session, key=_new_key())
        self._description = codec.encode_description(self._about)
        self._described_at = -math.inf  # a key means nothing before it is described
        self._ended = False

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

    def _describe_if_due(self) -> None:
        if time.monotonic() - self._described_at >= DESCRIBE_EVERY_S:
            self.describe()

    def _post(self, message: bytes) -> None:
        self._connection.post(message)


def _number(name: str, value: int) -> int:
    """Return what a streamer will read as a number; whole numbers of NumPy are welcome."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} is {value!r}: give a whole number (of nanoseconds for t)") from None
    if not 0 <= number < wire.MAX_INT:
        raise ValueError(f"{name} is {number}: give a number from 0 to 2**62")
    return number


def _new_key() -> int:
    """Return a key: nobody else may guess or choose the same."""
    return secrets.randbits(64)


def check_description(description: Description) -> None:
    """Raise ConfigError with everything that a streamer would refuse unread."""
    problems = []
    if not wire.name_is_valid(description.stream):
        problems.append(f"stream: {description.stream[:80]!r} is no name; use 1 to 64 letters, digits and _ . : @ + -")
    if not wire.name_is_valid(description.device):
        problems.append(f"device: {description.device[:80]!r} is no name; use 1 to 64 letters, digits and _ . : @ + -")
    if not 0 < description.rate_hz < math.inf:
        problems.append(f"rate_hz: {description.rate_hz} is no rate; give samples per second")
    wrong = [channel for channel in description.channels if not wire.channel_is_valid(channel.name, channel.unit)]
    if wrong:
        what = f"{wrong[0].name[:80]!r} in {wrong[0].unit[:80]!r}"
        problems.append(
            f"channels: {what} is no name and unit: use up to {wire.MAX_TEXT} printable characters for each"
        )
    if twice := [name for name, count in Counter(each.name for each in description.channels).items() if count > 1]:
        problems.append(f"channels: {twice[0][:80]!r} is there twice; name each once")
    if not 0 < len(description.channels) <= wire.MAX_CHANNELS:
        problems.append(f"channels: there are {len(description.channels)}; give 1 to {wire.MAX_CHANNELS}")
    if not problems and len(codec.encode_description(description)) > wire.MAX_BYTES:
        problems.append(f"channels: to name them all takes more than {wire.MAX_BYTES} bytes; shorten their names")
    if problems:
        raise ConfigError(f"stream {description.stream[:80]!r}", problems)
