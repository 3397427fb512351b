"""What is played: which part of which recording, as which session, when."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from kinestream.model.errors import SourceError
from kinestream.model.recordings.recording import Recording
from kinestream.replay.play.delivery import Delivery
from kinestream.streamer.wire.messages import name_is_valid


@dataclass(frozen=True)
class Take:
    """A recording, or a part of one, played once as a session of its own.

    Parameters
    ----------
    recording : Recording
        The part that is played; its id is the stream's name.
    session : int
        Number of the session.
    start_s : float
        Seconds, at true rate, from the start of the replay to the take's first sample.
    delivery : Delivery or None
        What its devices send, where it is played device by device.
    """

    recording: Recording
    session: int
    start_s: float
    delivery: Delivery | None = None

    @property
    def samples(self) -> int:
        """Samples or, device by device, readings that are sent."""
        return len(self.recording.samples) if self.delivery is None else self.delivery.readings

    @property
    def stream(self) -> str:
        """Name of the stream."""
        return self.recording.id


class Departure(NamedTuple):
    """A message and when it has to leave.

    Attributes
    ----------
    due_s : float
        Seconds, at true rate, from the start of the replay to the message's last sample.
    take : int
        Index of the take.
    first, end : int
        The message holds samples [first, end) of the take or, device by device, readings of `device`.
    device : int
        Which of the take's devices sends it.
    """

    due_s: float
    take: int
    first: int
    end: int
    device: int = 0


def takes_of(
    recordings: Iterable[Recording],
    *,
    first_session: int,
    loop: int = 1,
    start_offset_s: float = 0.0,
    duration_s: float | None = None,
    deliver: Callable[[Recording], Delivery] | None = None,
) -> list[Take]:
    """Return the takes of recordings, those of one recording in order.

    A recording published as windows is played window by window: each is a session, since nothing tells how its windows
    follow one another in time. Recordings that end before `start_offset_s` are left out.

    Parameters
    ----------
    recordings : iterable of Recording
        Each becomes a stream; all begin at once.
    first_session : int
        Number of each stream's first session; those that follow count up.
    loop : int
        How many times each is played, one time after the other.
    start_offset_s, duration_s : float, optional
        Which part of each is played, in seconds of recording; the whole by default.
    deliver : callable, optional
        Returns what the devices of a part send, where it is played device by device.

    Raises
    ------
    SourceError
        If nothing is left to play, or a recording's id cannot name a stream.
    """
    played: list[Take] = []
    lengths = []
    for recording in recordings:
        if not name_is_valid(recording.id):
            raise SourceError(
                f"recording {recording.id!r} cannot name a stream: rename it to 1 to 64 letters, digits and _ . : @ + -"
            )
        lengths.append(recording.seconds)
        parts = _parts(recording, start_offset_s, duration_s)
        deliveries = [deliver(part) if deliver else None for part in parts]
        start_s = 0.0
        for number, (part, delivery) in enumerate([*zip(parts, deliveries, strict=True)] * loop):
            played.append(Take(part, first_session + number, start_s, delivery))
            start_s += part.seconds
    if not played:
        longest = f"the longest recording has {max(lengths):.1f} s" if lengths else "no recording was chosen"
        length = "" if duration_s is None else f" for {duration_s:g} s"
        raise SourceError(f"there is not one sample to play from {start_offset_s:g} s on{length}: {longest}")
    return played


def schedule(takes: Sequence[Take], chunk: int) -> Iterator[Departure]:
    """Yield every message of a replay in the order in which they leave; takes of equal time keep their order.

    Parameters
    ----------
    takes : sequence of Take
        What is played.
    chunk : int
        Samples in a message; a take's last one may hold fewer. What devices send is cut already.
    """
    by_stream: dict[str, list[int]] = {}
    for index, take in enumerate(takes):
        by_stream.setdefault(take.stream, []).append(index)
    queues = (_departures(takes, indices, chunk) for indices in by_stream.values())
    return heapq.merge(*queues, key=lambda departure: departure.due_s)


def _departures(takes: Sequence[Take], indices: Sequence[int], chunk: int) -> Iterator[Departure]:
    for index in indices:
        take = takes[index]
        if take.delivery is not None:
            for leaves_s, device, first, end in take.delivery.messages:
                yield Departure(take.start_s + leaves_s, index, first, end, device)
            continue
        samples, rate_hz = len(take.recording.samples), take.recording.rate_hz
        for first in range(0, samples, chunk):
            end = min(first + chunk, samples)
            yield Departure(take.start_s + (end - 1) / rate_hz, index, first, end)


def _parts(recording: Recording, start_offset_s: float, duration_s: float | None) -> list[Recording]:
    """Return what is played of a recording once: one part, or one per window where it is published as windows."""
    samples = len(recording.samples)
    first = round(start_offset_s * recording.rate_hz)
    end = samples if duration_s is None else min(samples, first + round(duration_s * recording.rate_hz))
    if recording.window is None:
        return [_part(recording, first, end)] if first < end else []
    whole = recording.window
    starts = range(-(-first // whole) * whole, end - whole + 1, whole)
    return [_part(recording, start, start + whole) for start in starts]


def _part(recording: Recording, first: int, end: int) -> Recording:
    return replace(
        recording,
        samples=recording.samples[first:end],
        timestamps=recording.timestamps[first:end],
        labels=recording.labels[first:end],
    )
