"""Checks a sender's arguments: an error says in one line everything that is wrong with them."""

import math
import operator
from collections import Counter
from collections.abc import Sequence
from numbers import Real

import numpy as np
import numpy.typing as npt

from kinestream.model.errors import ConfigError
from kinestream.model.recordings.recording import Channel
from kinestream.streamer.wire import codec
from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire.messages import Description, Remark


def is_number(value: object) -> bool:
    """Tell whether a value is a number, of Python or NumPy."""
    return isinstance(value, Real) and not isinstance(value, bool)


def check_seconds(name: str, seconds: float | None) -> None:
    """Raise ConfigError where a number of seconds is none; None is one."""
    if seconds is None:
        return
    if not is_number(seconds) or not seconds >= 0:
        raise ConfigError("this connection", [f"{name}: {seconds!r} is no number of seconds; give one from 0, or None"])


def number(name: str, value: int) -> int:
    """Return what a streamer will read as a number; whole numbers of NumPy are welcome.

    Raises
    ------
    ValueError
        If it is none from 0 to 2**62.
    """
    try:
        whole = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} is {value!r}: give a whole number (of nanoseconds for a time)") from None
    if not 0 <= whole < wire.MAX_INT:
        raise ValueError(f"{name} is {whole}: give a number from 0 to 2**62")
    return whole


def checked_rows(x: npt.ArrayLike, columns: int, stream: str) -> npt.NDArray[np.float32]:
    """Return samples of a stream of so many columns, shape (n, columns).

    Raises
    ------
    ValueError
        If they have another shape.
    """
    rows = np.atleast_2d(np.asarray(x, dtype=np.float32))
    if rows.ndim != 2 or rows.shape[1] != columns:
        raise ValueError(
            f"x has shape {np.shape(x)}, stream {stream} has {columns} channels: give ({columns},) or (n, {columns})"
        )
    return rows


def checked_times(times: npt.ArrayLike | None, count: int, about: Description) -> npt.NDArray[np.int64] | None:
    """Return the times of so many readings, shape (count,), Unix ns; None where they lie on the grid.

    Raises
    ------
    ValueError
        If there are none where the device was described to have them, or the other way round, or they are no times.
    """
    if times is None and about.timing == "grid":
        return None
    if times is None or about.timing == "grid":
        raise ValueError(
            f"stream {about.stream} has timing {about.timing!r}: "
            + ("give times=, Unix ns of each reading" if times is None else "open it with timing='times' to give them")
        )
    moments = np.atleast_1d(np.asarray(times))
    if moments.shape != (count,) or (count and moments.dtype.kind not in "iu"):
        raise ValueError(f"times are {moments.dtype} of shape {moments.shape}: give {count} whole numbers, Unix ns")
    if count and (moments.min() < 0 or moments.max() >= wire.MAX_INT):
        raise ValueError("times are Unix ns, from 0 to 2**62")
    return moments.astype(np.int64)


def check_description(description: Description) -> None:
    """Raise ConfigError with everything that a streamer would refuse unread."""
    problems = []
    if not wire.name_is_valid(description.stream):
        problems.append(f"stream: {description.stream[:80]!r} is no name; use 1 to 64 letters, digits and _ . : @ + -")
    if not wire.name_is_valid(description.device):
        problems.append(f"device: {description.device[:80]!r} is no name; use 1 to 64 letters, digits and _ . : @ + -")
    if description.timing not in wire.TIMINGS:
        problems.append(f"timing: {description.timing!r} is neither 'grid' nor 'times'")
    if not 0 < description.rate_hz < math.inf and not (description.rate_hz == 0 and description.timing == "times"):
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


def check_rate(rate_hz: float, stream: str) -> None:
    """Raise ConfigError where a stream's rate is no number."""
    if not is_number(rate_hz):
        raise ConfigError(f"stream {stream[:80]!r}", [f"rate_hz: {rate_hz!r} is no number; give samples per second"])


def checked_channels(channels: Sequence[Channel | str], stream: str) -> tuple[Channel, ...]:
    """Return channels, of those that were named only with an empty unit; raise ConfigError where they are none."""
    if isinstance(channels, str):
        raise ConfigError(f"stream {stream[:80]!r}", [f"channels: {channels[:80]!r} is a text; give a list of names"])
    return tuple(checked_channel(channel, stream) for channel in channels)


def checked_channel(channel: Channel | str, stream: str) -> Channel:
    """Return a channel, of a name as well."""
    if isinstance(channel, Channel):
        return channel
    if not isinstance(channel, str):
        raise ConfigError(f"stream {stream[:80]!r}", [f"channels: {channel!r} is neither a text nor a Channel"])
    return Channel(channel)


def checked_remark(key: int, activity: str, begin: int, end: int) -> Remark:
    """Return what is said of the activity of a key, from `begin` to `end`, Unix ns.

    Raises
    ------
    ValueError
        If it can have no such name, or ends before it begins.
    """
    remark = Remark(key, activity, number("begin", begin), number("end", end))
    if not isinstance(activity, str) or not wire.annotation_is_valid(*remark[1:]):
        raise ValueError(
            f"activity {str(activity)[:80]!r} from {begin} to {end} is no annotation: "
            "give 1 to 255 printable characters, and an end that is not before the begin"
        )
    return remark
