"""What `serve --log json` prints on stderr: a line of JSON for everything that it tells people otherwise."""

import logging
from typing import TextIO

from kinestream.model.clock import monotonic_ns
from kinestream.screens.loglines import JsonFormatter, said
from kinestream.screens.serve import LOG_EVERY_NS, JsonLine, StatusLine
from kinestream.streamer.server.server import Streamer


class JsonLog(StatusLine):
    """Writes a line of JSON where `StatusLine` writes one for people; counters are an object of it, `totals`.

    Parameters
    ----------
    json_to : text file, optional
        As for `StatusLine`.
    """

    def __init__(self, json_to: TextIO | None = None) -> None:
        super().__init__(json_to, for_people=False)
        self.setFormatter(JsonFormatter())
        self._shown_at = monotonic_ns()

    def say(self, line: str) -> None:
        """Write what is said."""
        super().say(line if isinstance(line, JsonLine) else said(line))

    def emit(self, record: logging.LogRecord) -> None:
        """Write what is logged."""
        super().say(self.format(record))

    def show(self, streamer: Streamer) -> None:
        """Write every counter, once a minute."""
        if monotonic_ns() - self._shown_at >= LOG_EVERY_NS:
            self._shown_at = monotonic_ns()
            super().say(said("counters", streams=streamer.recognizer.streams, totals=streamer.totals()))

    def end(self, totals: dict[str, int]) -> None:
        """Write what it all came to."""
        super().say(said("stopped", totals=totals, lines_left_out=self.limit.left_out))
