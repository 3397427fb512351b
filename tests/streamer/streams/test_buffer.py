"""The sliding window against a slow, literal reading of the rules, sample by sample."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kinestream.model.windows.grid import WindowGrid, too_empty
from kinestream.streamer.ingest.taker import Due, Taker
from kinestream.streamer.streams.arena import Lanes
from kinestream.streamer.streams.buffer import StreamBuffer, lanes_for
from kinestream.streamer.streams.outcomes import DueWindow, EmptyWindows, Gap, Outcome, Seam
from kinestream.streamer.wire.codec import encode_samples
from tests.given.takers import Way, each_way


class LiteralBuffer:
    """The rules as the design states them, one sample at a time, nothing forgotten."""

    def __init__(self, length: int, stride: int) -> None:
        self.length, self.stride = length, stride
        self.samples: dict[int, float] = {}
        self.high = -1
        self.next = 0
        self.in_window: set[int] = set()
        self.windows: list[tuple[int, list[float]]] = []
        self.counts = dict.fromkeys(("received", "late", "duplicate", "outside"), 0)

    def push(self, seq: int, value: float) -> None:
        self.counts["received"] += 1
        if self.high < 0:
            self.next = -(-seq // self.stride)
            self.high = seq
        start = self.next * self.stride
        if seq >= self.high:
            self.high = seq + 1
            self.cut(seq)  # windows that ended before this sample are due without it
            if seq < self.next * self.stride:
                self.counts["outside"] += 1
            else:
                self.samples[seq] = value
            self.cut(seq + 1)
        elif seq < start:
            self.counts["late"] += 1
        elif seq in self.samples:
            self.counts["duplicate"] += 1
        else:
            self.samples[seq] = value

    def cut(self, high: int) -> None:
        while (start := self.next * self.stride) + self.length <= high:
            span = range(start, start + self.length)
            came = sum(i in self.samples for i in span)
            told = self.length - came <= WindowGrid.max_missing * self.length  # else nobody looks at what came
            self.windows.append((self.next, [self.samples.get(i, np.nan) if told else np.nan for i in span]))
            self.in_window.update(i for i in span if i in self.samples)
            self.next += 1


sizes = st.one_of(st.just(1), st.integers(1, 25))
messages = st.lists(st.tuples(st.integers(0, 80), sizes), min_size=1, max_size=30)
grids = st.tuples(st.integers(1, 9), st.integers(1, 12))


def rows_of(seq: int, n: int) -> np.ndarray:
    """Return samples that carry their own sequence number."""
    return np.arange(seq, seq + n, dtype=np.float32)[:, None]


def pushed(taker: Taker, buffer: StreamBuffer, seq: int, n: int) -> list[Outcome]:
    """Push samples, by the quick path where it takes them."""
    if not taken(taker, [(buffer.lane, seq, n)], due := []):
        return buffer.push(seq, rows_of(seq, n))
    return [cut(buffer)] if due else []


def taken(taker: Taker, arrivals: list[tuple[int, int, int]], due: Due) -> int:
    """Have samples of lanes, each a key of its own, taken by the quick path; return how many arrivals it took."""
    return taker.take([encode_samples(lane, seq, 0, rows_of(seq, n)) for lane, seq, n in arrivals], 0, due, [])


def taker_of(way: Way, lanes: Lanes, *buffers: StreamBuffer) -> Taker:
    """Return what takes samples of sessions, each under the number of its lane."""
    taker = way(lanes)
    for buffer in buffers:
        taker.put(buffer.lane, buffer.lane)
    return taker


def cut(buffer: StreamBuffer) -> DueWindow | EmptyWindows:
    """Return a copy of the window that the last sample completed; an empty one where it will get no label anyway."""
    due = buffer.cut_next()
    due = due._replace(rows=due.rows.copy())
    buffer.advance()
    (empty,) = too_empty(due.rows[None], WindowGrid.max_missing)  # of the two paths, only `push` checks that itself
    return EmptyWindows(due.window, due.window) if empty else due


def run(way: Way, buffer: StreamBuffer, arrivals: list[tuple[int, int]]) -> list[tuple[int, list[float]]]:
    windows: list[tuple[int, list[float]]] = []
    taker = taker_of(way, buffer._lanes, buffer)
    for seq, n in arrivals:
        windows += windows_of(pushed(taker, buffer, seq, n), buffer._grid)
    return windows


def windows_of(outcomes: list[Outcome], grid: WindowGrid) -> list[tuple[int, list[float]]]:
    """Return windows with their samples: none of those of which too little came, whoever found that out."""
    windows: list[tuple[int, list[float]]] = []
    empty = [np.nan] * grid.length
    for outcome in outcomes:
        if isinstance(outcome, DueWindow):
            assert outcome.first_seq == outcome.window * grid.stride
            samples = outcome.rows[:, 0].tolist()
            too_few = np.isnan(samples).mean() > grid.max_missing
            windows.append((outcome.window, empty if too_few else samples))
        elif isinstance(outcome, EmptyWindows):
            windows += [(k, empty) for k in range(outcome.first, outcome.last + 1)]
    return windows


@each_way
@given(arrivals=messages, grid=grids)
@settings(max_examples=500)
def test_windows_and_counters_equal_the_literal_rules(way, arrivals, grid):
    length, stride = grid
    buffer, literal = StreamBuffer(WindowGrid(length, stride), 1), LiteralBuffer(length, stride)
    windows = run(way, buffer, arrivals)
    for seq, n in arrivals:
        for i in range(seq, seq + n):
            literal.push(i, float(i))
    assert [k for k, _ in windows] == [k for k, _ in literal.windows]
    np.testing.assert_array_equal([w for _, w in windows], [w for _, w in literal.windows])
    counts = vars(buffer.counts)
    assert {name: counts[name] for name in literal.counts} == literal.counts
    assert counts["used"] == len(literal.in_window)


@each_way
@given(arrivals=messages, grid=grids)
def test_every_sample_is_counted_once(way, arrivals, grid):
    buffer = StreamBuffer(WindowGrid(*grid), 1)
    run(way, buffer, arrivals)
    counts = vars(buffer.counts)
    kept = ("used", "late", "duplicate", "outside", "unfinished")
    assert counts["received"] == sum(n for _, n in arrivals)
    assert counts["received"] == sum(counts[name] for name in kept) + buffer.held
    buffer.close()
    assert counts["received"] == sum(vars(buffer.counts)[name] for name in kept)
    assert buffer.held == 0


@each_way
@given(
    n=st.integers(0, 300),
    grid=grids,
    cuts=st.lists(st.one_of(st.just(1), st.integers(1, 40)), min_size=1),
    start=st.integers(0, 60),
)
def test_windows_do_not_depend_on_how_samples_are_cut_into_messages(way, n, grid, cuts, start):
    whole = run(way, StreamBuffer(WindowGrid(*grid), 1), [(start, n)] if n else [])
    pieces, seq = [], start
    while seq < start + n:
        size = min(cuts[len(pieces) % len(cuts)], start + n - seq)
        pieces.append((seq, size))
        seq += size
    assert run(way, StreamBuffer(WindowGrid(*grid), 1), pieces) == whole


@each_way
@given(grid=grids, joined=st.integers(0, 100))
def test_a_late_joiner_cuts_the_same_windows(way, grid, joined):
    everything = run(way, StreamBuffer(WindowGrid(*grid), 1), [(0, 200)])
    rest = run(way, StreamBuffer(WindowGrid(*grid), 1), [(joined, 200 - joined)])
    assert rest == [(k, w) for k, w in everything if k * grid[1] >= joined]


def test_a_gap_is_told_and_its_samples_are_missing():
    buffer = StreamBuffer(WindowGrid(4, 2, max_missing=0.5), 1)
    buffer.push(0, rows_of(0, 3))
    gap, first, second = buffer.push(5, rows_of(5, 1))
    assert gap == Gap(3, 4)
    np.testing.assert_array_equal(first.rows[:, 0], [0, 1, 2, np.nan])
    np.testing.assert_array_equal(second.rows[:, 0], [2, np.nan, np.nan, 5])
    assert (first.behind, second.behind) == (2, 0)


def test_windows_of_which_too_little_came_are_told_together_and_not_looked_at():
    """Of windows of four samples half may be missing: one of each is too few."""
    buffer = StreamBuffer(WindowGrid(4, 2, max_missing=0.5), 1)
    buffer.push(0, rows_of(0, 3))
    gap, first, empty = buffer.push(8, rows_of(8, 1))
    assert (gap, first.window, empty) == (Gap(3, 7), 0, EmptyWindows(1, 2))
    gap, empty, last = buffer.push(11, rows_of(11, 1))
    assert (gap, empty, last.window) == (Gap(9, 10), EmptyWindows(3, 3), 4)
    np.testing.assert_array_equal(last.rows[:, 0], [8, np.nan, np.nan, 11])


def test_an_enormous_gap_costs_nothing():
    buffer = StreamBuffer(WindowGrid(4, 2), 1)
    buffer.push(0, rows_of(0, 3))
    outcomes = buffer.push(1 << 60, np.zeros((4, 1), np.float32))
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [Gap, DueWindow, EmptyWindows, DueWindow]
    assert (outcomes[2].first, outcomes[2].last) == (1, (1 << 59) - 1)
    assert outcomes[-1].window == 1 << 59


def test_the_message_that_completes_several_windows_dates_each():
    outcomes = StreamBuffer(WindowGrid(4, 2), 1).push(0, rows_of(0, 9))
    assert [(o.window, o.behind) for o in outcomes] == [(0, 5), (1, 3), (2, 1)]


@each_way
def test_the_quick_way_takes_all_but_the_first_sample(way):
    buffer = StreamBuffer(WindowGrid(8, 8), 1)
    taker = taker_of(way, buffer._lanes, buffer)
    by_push = []
    for seq in range(33):
        due: Due = []
        if not taken(taker, [(buffer.lane, seq, 1)], due):
            by_push.append(seq)
            buffer.push(seq, rows_of(seq, 1))
        assert (due == [(buffer.lane, 0)]) == (seq % 8 == 7)
        if due:
            cut(buffer)
    assert by_push == [0]


@each_way
@example(grid=(3, 1), arrivals=[[(0, 0)], [(0, 1)], [(0, 0)]], chunks=[1])
@given(
    grid=grids,
    arrivals=st.lists(st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 2)), min_size=1, max_size=6), max_size=60),
    chunks=st.lists(st.integers(1, 4), min_size=1),
)
@settings(max_examples=200)
def test_many_sessions_at_once_are_as_one_after_the_other(way, grid, arrivals, chunks):
    """Each round, some sessions send as many samples as each other, those after their newest, or near them."""
    grid = WindowGrid(*grid)
    lanes = lanes_for(grid, 1)
    together = [StreamBuffer(grid, 1, lanes) for _ in range(6)]
    apart = [StreamBuffer(grid, 1) for _ in range(6)]
    taker, lane_of = taker_of(way, lanes, *together), {buffer.lane: i for i, buffer in enumerate(together)}
    for number, arriving in enumerate(arrivals):
        who = dict(arriving)
        seq = {i: max(apart[i].next_seq + off, 0) for i, off in who.items()}
        n = chunks[number % len(chunks)]
        found_of: dict[int, list[Outcome]] = {i: [] for i in who}
        left = list(who)
        while left:
            due: Due = []
            left = left[taken(taker, [(together[i].lane, seq[i], n) for i in left], due) :]
            for lane, _ in due:
                found_of[lane_of[lane]] = [cut(together[lane_of[lane]])]
            if left:  # as the quick path does with a message that is left alone
                found_of[left[0]] = together[left[0]].push(seq[left[0]], rows_of(seq[left[0]], n))
                del left[0]
        for i in who:
            found = found_of[i]
            expected = apart[i].push(seq[i], rows_of(seq[i], n))
            ours, theirs = windows_of(found, grid), windows_of(expected, grid)
            assert [window for window, _ in ours] == [window for window, _ in theirs]
            np.testing.assert_array_equal([rows for _, rows in ours], [rows for _, rows in theirs])
            told = [[each for each in some if isinstance(each, Gap)] for some in (found, expected)]
            assert told[0] == told[1]
        if number == 20:  # room for more sessions is elsewhere
            together += [StreamBuffer(grid, 1, lanes) for _ in range(100)]
    for ours, theirs in zip(together, apart, strict=False):
        assert (ours.counts, ours.held) == (theirs.counts, theirs.held)


@each_way
def test_a_lane_is_used_again(way):
    grid = WindowGrid(4, 2)
    lanes = lanes_for(grid, 1)
    for session in range(100):
        buffer = StreamBuffer(grid, 1, lanes)
        assert run(way, buffer, [(seq, 1) for seq in range(6)])[1] == (1, [2, 3, 4, 5])
        buffer.close()
        assert buffer.counts.received == 6, session
    assert len(lanes.rows) <= 16


@given(
    grid=grids,
    steps=st.lists(st.tuples(st.sampled_from(["samples"] * 4 + ["part"]), st.integers(0, 90), st.integers(1, 30))),
)
def test_a_seam_says_which_windows_lie_beside_it(grid, steps):
    buffer = StreamBuffer(WindowGrid(*grid), 1, longest_gap=40)
    outcomes: list[Outcome] = []
    at = 0
    for what, ahead, n in steps:
        if what == "part":
            outcomes += buffer.part(at + ahead)
        else:
            outcomes += buffer.push(at + ahead, rows_of(at + ahead, n))
        at += ahead + n
    expected = None
    for outcome in outcomes:
        if isinstance(outcome, Seam):
            assert expected in (None, outcome.last_window + 1)
            assert outcome.next_window > outcome.last_window
            expected = outcome.next_window
        elif isinstance(outcome, DueWindow | EmptyWindows):
            first, last = (outcome.window,) * 2 if isinstance(outcome, DueWindow) else outcome
            assert expected in (None, first)
            expected = last + 1
