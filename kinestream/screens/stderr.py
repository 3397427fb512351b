"""Single lines on stderr, for whoever does without tables and bars: it takes no time to import."""

import sys

from kinestream.model.printable import printable


def say(line: str) -> None:
    """Print a line on stderr, whatever stands in it."""
    print(printable(line), file=sys.stderr, flush=True)
