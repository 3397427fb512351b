"""Single lines on stderr, for whoever does without tables and bars: it takes no time to import."""

import os
import select
import sys
from contextlib import suppress

from kinestream.model.printable import printable


def say(line: str) -> None:
    """Print a line on stderr, whatever stands in it."""
    print(printable(line), file=sys.stderr, flush=True)


def say_if_read(line: str) -> None:
    """Print a line on stderr if that takes no waiting: a pipe may be full, or have no reader any more."""
    text = f"{printable(line)}\n".encode(errors="backslashreplace")
    with suppress(OSError, ValueError):
        number = sys.stderr.fileno()
        if select.select([], [number], [], 0)[1]:
            os.write(number, text)
