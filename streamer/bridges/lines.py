"""Lines of text: what boards print on a serial port, a pipe or into a file."""

import math
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from kinestream.model.clock import now_ns
from kinestream.model.counted import counted
from kinestream.model.errors import FileError
from kinestream.model.files import reason
from kinestream.model.printable import printable
from kinestream.model.recordings.counters import unwrap
from kinestream.streamer.bridges.arrivals import Arrivals, whole
from kinestream.streamer.bridges.rig import CsvSection, RigDevice
from kinestream.streamer.client import Event, Label
from kinestream.streamer.wire.messages import MAX_INT

_READ_BYTES = 1 << 16
_LONGEST_LINE = 1 << 16
_NS = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}


class LineSource:
    """Reads lines from one place, for every device that is described by them.

    Parameters
    ----------
    path : str or None
        A file, pipe or serial port; standard input without it.
    devices : dict of RigDevice by name
        Whose lines come from there.
    """

    def __init__(self, path: str | None, devices: dict[str, RigDevice]) -> None:
        self._path = path
        self._readers = [LineReader(name, device) for name, device in devices.items()]
        self._stranger_lines = self._overlong = 0
        self._descriptor = -1

    def start(self, arrivals: Arrivals) -> None:
        """Begin to read.

        Raises
        ------
        FileError
            If it cannot be opened.
        """
        if self._path is None:
            self._descriptor = os.dup(sys.stdin.fileno())
        else:
            try:
                self._descriptor = os.open(Path(self._path).expanduser(), os.O_RDONLY | getattr(os, "O_NOCTTY", 0))
            except OSError as error:
                raise FileError(f"{self._path}: cannot be read: {reason(error)}") from None
        arrivals.opened()
        threading.Thread(target=self._read, args=(arrivals,), name="lines", daemon=True).start()

    def hear(self, message: Label | Event) -> None:
        """Do nothing: a board does not listen."""

    def state(self) -> dict[str, str]:
        """Return what is wrong with the lines, by device."""
        wrong = {reader.device: text for reader in self._readers if (text := reader.problem())}
        if self._stranger_lines and any(reader.named for reader in self._readers):
            first = self._readers[0].device
            wrong.setdefault(first, f"{counted(self._stranger_lines, 'line')} of no device: see 'where'")
        if self._overlong:
            wrong.setdefault(self._readers[0].device, f"a line without an end: {_LONGEST_LINE:,} bytes are the most")
        return wrong

    def close(self) -> None:
        """Let the thread end with the process: nothing wakes whoever reads a terminal."""

    def _read(self, arrivals: Arrivals) -> None:
        try:
            for lines in self._lines():
                arrival = now_ns()
                for line in lines:
                    if not any([reader.take(line) for reader in self._readers]):
                        self._stranger_lines += 1
                for reader in self._readers:
                    reader.hand_over(arrivals, arrival)
        except OSError as error:  # a serial port that was pulled out
            arrivals.fail(FileError(f"{self._path or 'standard input'}: cannot be read any more: {reason(error)}"))
        finally:
            arrivals.closed()

    def _lines(self) -> Iterator[list[bytes]]:
        """Yield whole lines as they come; of a line without end, nothing."""
        rest, skipping = b"", False
        while chunk := os.read(self._descriptor, _READ_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            if lines and skipping:
                lines, skipping = lines[1:], False
            if len(rest) > _LONGEST_LINE:
                self._overlong += not skipping
                rest, skipping = b"", True
            if lines:
                yield lines
        if rest and not skipping:
            yield [rest]


class LineReader:
    """Makes readings of one device's lines.

    Attributes
    ----------
    device : str
        Whose.
    named : bool
        Whether the names of its columns are known; from the beginning where they have none.
    """

    def __init__(self, device: str, about: RigDevice) -> None:
        assert about.csv is not None
        self.device = device
        self._csv: CsvSection = about.csv
        self._channels = about.channels
        self._factors = np.array([each.factor for each in about.channels.values()])
        self._offsets = np.array([each.offset for each in about.channels.values()])
        self.named = not self._csv.header
        self._columns: list[int] = []
        self._stamp: int | None = None
        self._where: dict[int, str] = {}
        self._needed = 0
        self._missing = ""
        if self.named:
            self._find({})
        self._rows: list[list[float]] = []
        self._stamps: list[int] = []
        self._last: int | None = None
        self._faults: Counter[str] = Counter()  # lines that are left out, by kind
        self._examples: dict[str, str] = {}  # the first of each kind, in words

    def take(self, line: bytes) -> bool:
        """Take a line; tell whether it is this device's, well-formed or not."""
        text = line.decode("utf-8", "replace").strip()
        if not text or (self._csv.comment and text.startswith(self._csv.comment)):
            return True
        fields = [field.strip().strip('"') for field in text.split(self._csv.separator)]
        if not self.named:
            self._find({name: at for at, name in enumerate(fields)})
            self.named = True
            return True
        if self._missing:
            return True
        if any(at >= len(fields) or fields[at] != value for at, value in self._where.items()):
            return False
        if len(fields) <= self._needed:
            self._count("columns", f"{len(fields)} columns, where column {self._needed + 1} is needed")
            return True
        try:
            stamp = None if self._stamp is None else _stamp(fields[self._stamp], self._csv)
            row = [_value(fields[at]) for at in self._columns]
        except _UnreadableField as error:
            self._count(error.kind, printable(str(error))[:60])
            return True
        self._rows.append(row)
        if stamp is not None:
            self._stamps.append(stamp)
        return True

    def hand_over(self, arrivals: Arrivals, arrival: int) -> None:
        """Hand over what the lines since the last time held."""
        if not self._rows:
            return
        rows = (np.array(self._rows) * self._factors + self._offsets).astype(np.float32)
        stamps = None
        if self._stamp is not None:
            stamps = np.array(self._stamps, np.int64)
            if self._csv.time is not None:
                if self._csv.bits and self._csv.time_unit != "iso":
                    stamps = unwrap(stamps, self._csv.bits, self._last)
                    self._last = int(stamps[-1])
                stamps = _to_ns(stamps, self._csv)
        self._rows, self._stamps = [], []
        arrivals.put(whole(self.device, stamps, rows, arrival), wait=True)  # a pipe is left full meanwhile

    def problem(self) -> str:
        """Return what is wrong, in words: every kind of fault, the most frequent first; empty if nothing is."""
        if self._missing:
            return self._missing
        return "; ".join(
            f"{counted(count, 'line')} with {self._examples[kind]}{' or the like' if count > 1 else ''}"
            for kind, count in self._faults.most_common()
        )

    def _count(self, kind: str, example: str) -> None:
        self._faults[kind] += 1
        self._examples.setdefault(kind, example)

    def _find(self, names: dict[str, int]) -> None:
        """Note where its columns stand."""
        csv = self._csv
        wanted = {name: each.source for name, each in self._channels.items()}
        given = [*wanted.values(), *(each for each in (csv.time, csv.counter) if each is not None)]
        absent = [each for each in given if isinstance(each, str) and each not in names]
        if absent:
            there = ", ".join(printable(name)[:32] for name in list(names)[:12])
            self._missing = f"no column is called {absent[0]!r}: the header has {there}"
            return
        self._columns = [_at(each, names) for each in wanted.values()]
        clock = csv.time if csv.time is not None else csv.counter
        self._stamp = None if clock is None else _at(clock, names)
        self._where = {_at(int(key) if key.isdigit() else key, names): value for key, value in csv.where.items()}
        self._needed = max([*self._columns, self._stamp or 0])


class _UnreadableField(ValueError):
    """A field that holds something else than a number, a time or a counter, which `kind` says."""

    def __init__(self, text: str, kind: str) -> None:
        super().__init__(f"{text[:20]!r} for a {kind}")
        self.kind = kind


def _at(column: str | int, names: dict[str, int]) -> int:
    return column - 1 if isinstance(column, int) else names.get(column, 1 << 30)


def _value(text: str) -> float:
    try:
        value = float(text) if text else math.nan
        return value if math.isfinite(value) else math.nan
    except ValueError:
        raise _UnreadableField(text, "number") from None


def _stamp(text: str, csv: CsvSection) -> int:
    """Return a stamp in the units of its column where it counts, in ns where it is fractional or a date."""
    try:
        if csv.counter is not None or csv.bits:
            stamp, most = int(float(text)), 1 << csv.bits
        elif csv.time_unit != "iso":
            stamp, most = int(text) if csv.time_unit == "ns" else round(float(text) * _NS[csv.time_unit]), MAX_INT
        else:
            form = csv.time_format
            moment = datetime.fromisoformat(text) if form is None else datetime.strptime(text, form)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            stamp, most = round(moment.timestamp() * 1e6) * 1000, MAX_INT
        if not 0 <= stamp < most:
            raise ValueError
    except (ValueError, OverflowError):
        raise _UnreadableField(text, "counter" if csv.counter is not None else "time") from None
    return stamp


def _to_ns(stamps: np.ndarray, csv: CsvSection) -> np.ndarray:
    """Return unwrapped counts in ns; what did not wrap is in ns already."""
    return np.rint(stamps * _NS[csv.time_unit]).astype(np.int64) if csv.bits and csv.time_unit != "iso" else stamps


def line_sources(devices: dict[str, RigDevice]) -> list[LineSource]:
    """Return a source for every place that lines come from."""
    places: dict[str | None, dict[str, RigDevice]] = {}
    for name, device in devices.items():
        assert device.csv is not None
        places.setdefault(device.csv.path, {})[name] = device
    return [LineSource(path, each) for path, each in places.items()]
