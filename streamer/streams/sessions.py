"""When a stream's session begins and ends, and what becomes of samples that belong to an outdated one.

Sessions of a stream count up, usually because a sender takes the time it began as its number. So samples of a lower
number than the newest come from before a restart, or from a second sender that uses the same name: they are counted and
dropped. One case must not be dropped for ever: a device whose clock was set back, or that has none, begins a session
whose number is too low, or numbers its samples from 0 again, and can do no better. Therefore, where outdated samples
are all that has come of a stream for ten seconds, they are taken for a new session; until then their sender is told why
it is refused.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from kinestream.model.clock import monotonic_ns
from kinestream.streamer.streams.buffer import StreamBuffer
from kinestream.streamer.streams.device import Device
from kinestream.streamer.streams.devices import DeviceSet
from kinestream.streamer.streams.stream import KnownStream, Outdated, Session

_OUTDATED_TAKEN_AFTER_NS = 10_000_000_000
"""How long outdated samples must be all that comes of a stream before they are taken for a new session."""
_REPORT_INTERVAL_NS = 1_000_000_000
"""Between two reports of a stream's late or outdated samples."""

Emit = Callable[[str, str, int, dict[str, Any]], None]
"""Publishes an event after the windows that came due before it: its kind, stream, session and details."""
OnChange = Callable[[str, KnownStream], None]
"""Called with a stream that has another session than before, or none, or other columns."""


class Sessions:
    """Begins and ends the sessions of all streams.

    Parameters
    ----------
    new_buffer : callable
        Returns room for a session.
    counts : Counter
        Where sessions, and samples of those that ended, are counted.
    emit, on_change : callable
        See `Emit` and `OnChange`.
    """

    def __init__(
        self, new_buffer: Callable[[], StreamBuffer], counts: Counter[str], emit: Emit, on_change: OnChange
    ) -> None:
        self._new_buffer = new_buffer
        self._counts = counts
        self._emit, self._on_change = emit, on_change

    def reserve(self, known: KnownStream) -> None:
        """Make room for a stream's first session."""
        if known.session is None and known.spare is None:
            known.spare = self._new_buffer()

    def open(self, name: str, known: KnownStream, number: int, *, is_shared: bool = False) -> Session | None:
        """Begin a session and return it; None where it is outdated: a later one has begun, or it was closed.

        One that `is_shared` by senders who know nothing of one another may begin again whatever was closed.
        """
        closed = -1 if is_shared else known.closed
        newest = max(closed, known.session.number if known.session else -1)
        if number <= newest and not self.outlasts(name, known, number):
            return None
        return self.begin(name, known, number)

    def begin(self, name: str, known: KnownStream, number: int) -> Session:
        """Begin a session, whichever was before."""
        if known.session is not None:
            self._emit("reset", name, number, {"previous": known.session.number})
            self.close(name, known, "reset")
        known.closed = min(known.closed, number - 1)
        known.outdated = None
        known.session = Session(number, known.spare or self._new_buffer())
        known.spare = None
        self._counts["sessions"] += 1
        self._on_change(name, known)
        return known.session

    def outlasts(self, name: str, known: KnownStream, number: int) -> bool:
        """Tell of outdated samples whether nothing else has come of the stream for so long that they must be meant.

        Until then their sender is refused, with the reason.
        """
        now = monotonic_ns()
        newest = known.session.buffer.next_seq if known.session else -1
        before = known.outdated
        if before is None or before.session != number or now - before.heard > _OUTDATED_TAKEN_AFTER_NS:
            before = Outdated(number, newest, now, now, now)
        elif before.newest != newest:  # the newest session continues as well
            before = before._replace(newest=newest, since=now)
        known.outdated = before._replace(heard=now)
        # Where a session is open, the first of them may well be strays.
        lasting = known.session is None or now - before.began >= _REPORT_INTERVAL_NS
        if lasting and now - known.reported_ns >= _REPORT_INTERVAL_NS:
            known.reported_ns = now
            self._emit("refused", name, number, {"reason": _outdated_reason(known, number)})
        return now - before.since >= _OUTDATED_TAKEN_AFTER_NS

    def report_late(self, name: str, known: KnownStream, session: Session, count: int) -> None:
        """Report samples that came after their last window had been cut; of a stream once a second."""
        session.late += count
        now = monotonic_ns()
        if now - known.reported_ns >= _REPORT_INTERVAL_NS:
            known.reported_ns = now
            self._emit("late", name, session.number, {"count": session.late, "next_seq": session.buffer.next_seq})
            session.late = 0

    def report_late_readings(self, name: str, device: Device, number: int, count: int, last: int) -> None:
        """Report readings of a device that came after their last window had been cut; of a device once a second.

        `last` is the number of the last of them.
        """
        device.late += count
        now = monotonic_ns()
        if now - device.reported_ns >= _REPORT_INTERVAL_NS:
            device.reported_ns = now
            about = {"device": device.name, "count": device.late, "last_seq": last}
            self._emit("late", name, number, about)
            device.late = 0

    def count_readings(self, devices: DeviceSet) -> None:
        """Count what has become of a set's readings since this was last called, but for how many were received."""
        now = devices.counts.by_name()
        for name, count in now.items():
            if name != "readings_received" and count != devices.counted.get(name, 0):
                self._counts[name] += count - devices.counted.get(name, 0)
        devices.counted = now

    def close(self, name: str, known: KnownStream, reason: str) -> None:
        """End a session, if one is open; its `end` event leaves after its last label."""
        session = known.session
        if session is None:
            return
        session.buffer.close()
        samples = session.buffer.counts.by_name()
        self._counts.update(samples)
        if (devices := known.sets.get(session.number)) is not None:
            samples |= devices.counts.by_name()  # they are counted as they come
        # The same dictionary of windows, not a copy: labels that leave before this event are still added to it.
        self._emit("end", name, session.number, {"reason": reason, **samples, "windows": session.windows})
        known.session = None
        if session.number:  # session 0 has no end: whoever shares it with others comes and goes
            known.closed = max(known.closed, session.number)
        self._on_change(name, known)


def _outdated_reason(known: KnownStream, number: int) -> str:
    if known.session is not None and known.session.number == number:
        which = f"its samples have gone on to {known.session.buffer.next_seq}, and now begin anew"
    elif known.session is not None:
        which = f"session {known.session.number} has begun since, maybe of another sender that uses the same name"
    else:
        which = f"session {known.closed} has ended"
    wait_s = _OUTDATED_TAKEN_AFTER_NS // 1_000_000_000
    return (
        f"session {number} is outdated: {which}. Give sessions rising numbers, such as the time; "
        f"if nothing else comes for {wait_s} s, it will be taken all the same"
    )
