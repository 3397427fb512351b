"""The status line of a streamer counts in words that people write."""

from collections import Counter
from types import SimpleNamespace

import pytest

from kinestream.screens.serve import StatusLine


@pytest.mark.parametrize(
    ("count", "said"),
    [(1, "1 stream, 1 message/s, 1 label/s; 1 label"), (2, "2 streams, 2 messages/s, 2 labels/s; 2 l")],
)
def test_one_of_a_kind_is_no_plural(count, said):
    recognizer = SimpleNamespace(streams=count, counts=Counter(windows_labelled=count))
    shown = []
    display = StatusLine()
    display._console = SimpleNamespace(is_terminal=True)
    display.say = shown.append
    display.show(SimpleNamespace(recognizer=recognizer, received=count))
    (line,) = shown
    assert line.startswith(said)
