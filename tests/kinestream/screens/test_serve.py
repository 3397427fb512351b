"""The status line of a streamer counts in words that people write."""

from collections import Counter
from types import SimpleNamespace

import pytest

from kinestream.screens.serve import StatusLine, totals_in_words


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


@pytest.mark.parametrize(
    ("counter", "words"),
    [
        ("readings_late", "3 readings late"),
        ("readings_duplicate", "3 readings duplicate"),
        ("readings_closed_session", "3 readings closed session"),
        ("requests_malformed_msgpack", "3 requests malformed msgpack"),
        ("messages_put_off", "3 messages put off"),
    ],
)
def test_whatever_was_lost_is_told_at_the_end(counter, words):
    assert totals_in_words({"samples_received": 5, counter: 3}) == f"5 samples in, 0 labels out, {words}"
    assert totals_in_words({"samples_received": 5, counter: 0}) == "5 samples in, 0 labels out"
