"""Samples on their way into windows, whether they were sent on the grid or laid there of several devices' readings."""

from collections import Counter
from collections.abc import Sequence

from kinestream.model.bundle.bundle import Bundle
from kinestream.streamer.events.undelivered import listed
from kinestream.streamer.recognizer.batcher import Batcher
from kinestream.streamer.streams.arena import Rows
from kinestream.streamer.streams.devices import DeviceSet
from kinestream.streamer.streams.outcomes import DueWindow, EmptyWindows, Seam
from kinestream.streamer.streams.readings import Break, Laid, Lost, Outcome, StepBack, Undelivered, WrongRate
from kinestream.streamer.streams.sessions import Sessions
from kinestream.streamer.streams.stream import Key, KnownStream, Session


class SampleIntake:
    """Puts samples into their sessions' windows, and hands on the windows that come due and what is to be told.

    Parameters
    ----------
    bundle : Bundle
        What is recognised.
    sessions : Sessions
        The streams' sessions.
    batcher : Batcher
        Where windows and events go.
    counts : Counter
        Where samples that could not be used are counted.
    """

    def __init__(self, bundle: Bundle, sessions: Sessions, batcher: Batcher, counts: Counter[str]) -> None:
        self._sessions, self._batcher, self._counts = sessions, batcher, counts
        self._channels = bundle.channels
        self._period_ns = 1e9 / bundle.description.rate_hz
        self._length = bundle.grid.length

    def take_rows(
        self,
        name: str,
        known: KnownStream,
        number: int,
        seq: int,
        x: Rows,
        source: int,
        received: int,
        lossy: bool,
        after: int = 0,
        devices: DeviceSet | None = None,
    ) -> None:
        """Take samples of a stream.

        Parameters
        ----------
        name, known : str, KnownStream
            Whose they are.
        number, seq : int
            Session, and number of the first sample.
        x : ndarray of float32, shape (n, C)
            The readings that feed the network, in its order.
        source : int
            Unix time of the message's last one, ns.
        received, lossy
            As for `Recognizer.take`.
        after : int
            Samples of the message that follow these.
        devices : DeviceSet, optional
            What laid them, where they come of several devices.
        """
        known.touched = True
        session = known.session
        if session is None or session.number != number:
            session = self._sessions.open(name, known, number, is_shared=devices is not None and not number)
        elif seq + len(x) <= session.buffer.open_seq and self._sessions.outlasts(name, known, number):
            session = self._sessions.begin(name, known, number)
        if session is None:
            self._counts["samples_received"] += len(x)
            self._counts["samples_closed_session"] += len(x)
            return
        late = session.buffer.late
        for outcome in session.buffer.push(seq, x):
            if isinstance(outcome, DueWindow):
                taken = max(source - int((outcome.behind + after) * self._period_ns), 0)
                if devices is not None:
                    taken = devices.grid.time(outcome.first_seq + self._length - 1)
                    self._add_of_devices(outcome, name, known, devices, taken, received, lossy)
                    continue
                self._batcher.add(outcome, name, known, taken, received, lossy)
            elif isinstance(outcome, EmptyWindows):
                self._batcher.skip(name, session, outcome.first, outcome.last, "missing")
            else:
                kind = "seam" if isinstance(outcome, Seam) else "gap"
                self._batcher.emit(kind, name, session.number, outcome._asdict())
        if session.buffer.late > late:
            self._sessions.report_late(name, known, session, session.buffer.late - late)

    def _add_of_devices(
        self,
        due: DueWindow,
        name: str,
        known: KnownStream,
        devices: DeviceSet,
        source: int,
        received: int,
        lossy: bool,
    ) -> None:
        """Have a window wait that several devices fill: one that is absent at its end counts as absent in all of it."""
        missing, changes = devices.look_at(due.rows)
        for device, what, is_so, row in changes:
            about = {"device": device, what: is_so, "since": devices.grid.time(due.first_seq + row)}
            self._batcher.emit("device", name, known.session.number if known.session else -1, about)
        self._batcher.add(due, name, known, source, received, lossy, missing)

    def take_outcomes(self, key: Key, outcomes: Sequence[Outcome], received: int, lossy: bool) -> None:
        """Take what came of a device's readings: samples on the grid, and what is to be told."""
        devices, name, known = key.devices, key.name, key.known
        assert devices is not None
        self._sessions.count_readings(devices)
        for outcome in outcomes:
            match outcome:
                case Laid(first, rows):
                    source = devices.grid.time(first + len(rows) - 1)
                    self.take_rows(name, known, key.session, first, rows, source, received, lossy, devices=devices)
                case Break(device, last, first):
                    if known.session is not None and known.session.number == key.session:
                        windows = self._part(key, known.session, first, received, lossy)
                        about = {"device": device, "last_seq": last, "first_seq": first, **windows}
                        self._batcher.emit("seam", name, key.session, about)
                case StepBack(device, before, after):
                    about = {"device": device, "before": before, "after": after}
                    self._batcher.emit("seam", name, key.session, about)
                    if known.session is not None and known.session.number == key.session:
                        self._sessions.close(name, known, "clock")
                case Lost(device, first, last):
                    about = {"device": device, "first_seq": first, "last_seq": last}
                    self._batcher.emit("gap", name, key.session, about)
                case WrongRate(device, declared, measured):
                    about = {"device": device, "declared_hz": declared, "measured_hz": measured}
                    self._batcher.emit("rate", name, key.session, about)
                case Undelivered(columns):
                    self._batcher.emit("device", name, key.session, {"reason": self._undelivered(columns)})

    def _part(self, key: Key, session: Session, first: int, received: int, lossy: bool) -> dict[str, int]:
        """Let windows begin anew behind a seam; those that end before it are handed on, if enough of them came.

        Returns
        -------
        dict of int by str
            What a ``seam`` says of the windows beside it; nothing where none had begun.
        """
        assert key.devices is not None
        for outcome in session.buffer.part(first):
            if isinstance(outcome, DueWindow):
                taken = key.devices.grid.time(outcome.first_seq + self._length - 1)
                self._add_of_devices(outcome, key.name, key.known, key.devices, taken, received, lossy)
            elif isinstance(outcome, EmptyWindows):
                self._batcher.skip(key.name, session, outcome.first, outcome.last, "missing")
            elif isinstance(outcome, Seam):
                return {"last_window": outcome.last_window, "next_window": outcome.next_window}
        return {}

    def _undelivered(self, columns: Sequence[int]) -> str:
        names = [self._channels[column].name for column in columns]
        return f"no device delivers {listed(names)}: describe the one that does"
