"""What `serve` prints: a status line that is kept up to date and warnings, for people; JSON lines for programs.

The reader may stop reading, as with a full pipe or a halted terminal. So a separate thread writes, and drops what it
cannot write soon: labels must not wait for it.
"""

import errno
import json
import logging
import os
import queue
import sys
import threading
from collections import Counter
from contextlib import suppress
from typing import Self, TextIO

from rich.live import Live
from rich.text import Text

from kinestream.model.clock import monotonic_ns
from kinestream.model.counted import counted
from kinestream.model.printable import printable
from kinestream.screens.console import SafeConsole
from kinestream.screens.loglimit import LogLimit, and_others
from kinestream.streamer.server.lifecycle import Ready
from kinestream.streamer.server.server import Streamer

LOG_EVERY_NS = 60_000_000_000  # where there is no terminal to keep a line up to date on
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a disk, a quota, a file
_WAITING = 200  # lines that wait to be written
_LAST_WORDS_S = 1.0  # time for what waits when all is over


class _Status(str):
    """The line that is kept up to date."""


class JsonLine(str):
    """A line for programs."""


class StatusLine(logging.Handler):
    """Keeps one line up to date on a terminal; elsewhere writes one a minute. Shows warnings, too, while it is open.

    Parameters
    ----------
    json_to : text file, optional
        Where a line of JSON goes when the streamer is ready.
    for_people : bool
        Whether a line is kept up to date on a terminal.

    Attributes
    ----------
    limit : LogLimit
        What leaves out lines of the log where they are too many.
    """

    def __init__(self, json_to: TextIO | None = None, *, for_people: bool = True) -> None:
        super().__init__(logging.WARNING)
        self.limit = LogLimit()
        self.addFilter(self.limit)
        self._json_to = json_to
        self._console = SafeConsole(stderr=True, highlight=False)
        self._for_people = for_people
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._unwritten = 0  # lines
        self._before: dict[str, int] = {}
        self._logged_at = monotonic_ns()
        self._lines: queue.Queue[str | None] = queue.Queue(_WAITING)
        self._writer = threading.Thread(target=self._write, name="display", daemon=True)

    def begin(self, ready: Ready) -> None:
        """Say that it is ready, and where."""
        if self._json_to is not None:
            self.say(JsonLine(json.dumps(ready.as_dict())))
        where = f"samples {ready.samples}, labels {ready.labels}, control {ready.control}, watch {ready.watch}"
        self.say(f"ready: {where}, bundle {ready.bundle}, {ready.engine}")

    def say(self, line: str) -> None:
        """Show a line."""
        with suppress(queue.Full):
            self._lines.put_nowait(line)

    def emit(self, record: logging.LogRecord) -> None:
        """Show what is logged."""
        self.say(self.format(record) + and_others(record))

    def show(self, streamer: Streamer) -> None:
        """Say how it goes."""
        if self._is_live:
            self.say(_Status(self._status(streamer)))
        elif monotonic_ns() - self._logged_at >= LOG_EVERY_NS:
            self._logged_at = monotonic_ns()
            self.say(f"{counted(streamer.recognizer.streams, 'stream')}; {totals_in_words(streamer.totals())}")

    def end(self, totals: dict[str, int]) -> None:
        """Say what it all came to."""
        more = f"; {counted(self.limit.left_out, 'line')} of the log left out" if self.limit.left_out else ""
        self.say(f"stopped: {totals_in_words(totals)}{more}")

    @property
    def is_stuck(self) -> bool:
        """Whether something waits to be written that nobody reads."""
        return self._writer.is_alive()

    def __enter__(self) -> Self:
        self._writer.start()
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)
        with suppress(queue.Full):
            self._lines.put(None, timeout=_LAST_WORDS_S)
        self._writer.join(_LAST_WORDS_S)

    def _write(self) -> None:
        try:
            if self._is_live:
                self._live.start()
            while (line := self._lines.get()) is not None:
                if isinstance(line, JsonLine) and self._json_to is not None:
                    _write_line(line, self._json_to)
                elif isinstance(line, _Status):
                    self._live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
                else:
                    self._print(line)
            self._live.stop()
        except OSError:  # nobody reads it any more: then nothing is written, and nothing fails when all is over
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())

    @property
    def _is_live(self) -> bool:
        return self._for_people and self._console.is_terminal

    def _print(self, line: str) -> None:
        """Write a line; where a file is full, it is left out, and that is told once there is room again."""
        try:
            if self._is_live:
                self._console.print(printable(line), soft_wrap=True)
            else:
                print(printable(line), file=sys.stderr, flush=True)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self._unwritten += 1
        else:
            if self._unwritten:
                lines, self._unwritten = self._unwritten, 0
                self.say(f"{counted(lines, 'line')} before could not be written: there was no room for them")

    def _status(self, streamer: Streamer) -> str:
        counts = streamer.recognizer.counts + Counter(messages_received=streamer.received)
        passed = counts - Counter(self._before)
        self._before = dict(counts)
        skipped = sum(count for name, count in counts.items() if name.startswith("windows_skipped_"))
        return (
            f"{counted(streamer.recognizer.streams, 'stream')}, {counted(passed['messages_received'], 'message')}/s, "
            f"{counted(passed['windows_labelled'], 'label')}/s; {counted(counts['windows_labelled'], 'label')} so far, "
            f"{counted(skipped, 'window')} skipped"
        )


def _write_line(line: str, program: TextIO) -> None:
    with suppress(OSError):  # that nobody reads it is no reason to say nothing more on stderr
        program.write(line + "\n")
        program.flush()


def totals_in_words(totals: dict[str, int]) -> str:
    """Say how much came and went, and what was lost on the way and why."""
    lost = (
        "samples_late",
        "samples_duplicate",
        "samples_closed_session",
        "readings_late",
        "readings_duplicate",
        "readings_closed_session",
        "windows_skipped_missing",
        "windows_skipped_overload",
        "windows_skipped_engine",
        "connections_refused",
        "connections_endless",
        "subscribers_broken",
    )
    samples, labels = totals.get("samples_received", 0), totals.get("windows_labelled", 0)
    parts = [f"{counted(samples, 'sample')} in", f"{counted(labels, 'label')} out"]
    parts += [_counter_in_words(name, totals[name]) for name in lost if totals.get(name)]
    parts += [
        _counter_in_words(name, count)
        for name, count in totals.items()
        if name.startswith(("messages_", "requests_malformed_"))
        and count
        and name not in ("messages_received", "messages_taken")
    ]
    return ", ".join(parts)


def _counter_in_words(name: str, count: int) -> str:
    """Return a counter in words: ``1 message malformed kind``."""
    things, _, what = name.partition("_")
    return f"{counted(count, things.removesuffix('s'))} {what.replace('_', ' ')}"
