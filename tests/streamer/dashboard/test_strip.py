"""The last minutes of a stream in cells of a second."""

from hypothesis import given
from hypothesis import strategies as st

from kinestream.streamer.dashboard.classes import NOTHING
from kinestream.streamer.dashboard.strip import CELLS, Strip

PAINTED = st.lists(
    st.tuples(st.integers(0, 3 * CELLS), st.integers(0, 8), st.integers(1, 255)), min_size=1, max_size=40
)


@given(PAINTED, st.integers(0, 4 * CELLS))
def test_cells_say_what_was_painted_last_within_what_is_kept(strokes, since):
    strip, expected, end = Strip(), {}, 0
    for last, length, value in strokes:
        first = max(last - length, end - CELLS)  # further back than is kept counts for nothing
        strip.paint(last - length, last, value)
        expected |= {second: value for second in range(first, last + 1)}
        end = max(end, last + 1) if first <= last else end
    assert strip.end == end
    first, cells = strip.since(since)
    assert first == min(max(since, end - CELLS), end)
    assert list(cells) == [expected.get(second, NOTHING) for second in range(first, end)]


def test_a_long_time_keeps_its_end_and_is_soon_painted():
    strip = Strip()
    strip.paint(0, 1_700_000_000, 7)
    assert strip.since(0) == (1_700_000_001 - CELLS, bytes([7] * CELLS))
