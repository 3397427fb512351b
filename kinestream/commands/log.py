"""Prints what library code logs, warnings and errors, as lines on stderr."""

import logging
import sys
from types import TracebackType

from kinestream.model.printable import printable


def show_warnings() -> None:
    """Show what is logged in this process from now on, as far as nobody else does."""
    logging.getLogger().addHandler(WarningLines())


class WarningLines(logging.Handler):
    """Prints what is logged on stderr, and leaves it to any other handler there is.

    ``serve`` has one while it runs, `kinestream.screens.serve.StatusLine`, and what is logged is to be read once.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.setFormatter(_Lines())

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        if logging.getLogger().handlers == [self]:
            try:
                print(self.format(record), file=sys.stderr, flush=True)
            except Exception:  # whoever read it may have gone; the work goes on
                self.handleError(record)


class _Lines(logging.Formatter):
    """Makes a message one line, whatever stands in it; a traceback keeps its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return printable(super().formatMessage(record))

    def formatException(
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        return printable(super().formatException(ei), keep="\n")
