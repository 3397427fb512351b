"""Recognizers that are given the same messages in different ways, and must say the same."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest import mock

import numpy as np

from kinestream.model.clock import monotonic_ns
from kinestream.streamer.ingest import quick
from kinestream.streamer.recognizer import intake
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.streams import sessions
from kinestream.streamer.streams.readinglog import LONGEST, NEWEST, NEXT, RATE_SEQ, RATE_TIME, RATE_TOLD
from kinestream.streamer.wire.messages import Event, Label
from tests.given.fed import take_alone, take_in_bulk
from tests.given.live import TOLERANCE, recognizer
from tests.given.takers import WAYS, Way

_KNOWN_BEFOREHAND = Label._fields.index("t_ready")  # what follows says when, not what

_FEW = 20  # messages; each completes up to ten windows, and a batch has 256


def recognizer_of(way: Way) -> Recognizer:
    """Return a recognizer that takes samples in bulk in one way."""
    with mock.patch.object(quick, "new_taker", way):
        return recognizer()


@contextmanager
def stopped_clock() -> Iterator[None]:
    """Let no time pass between reports of late and outdated samples: how many there are depends on it.

    Nor until a window that an end completes is there.
    """
    now = monotonic_ns()
    with (
        mock.patch.object(sessions, "monotonic_ns", return_value=now),
        mock.patch.object(intake, "now_ns", return_value=now),
    ):
        yield


class Comparison:
    """One recognizer for each way in bulk, and one that is given each message alone."""

    def __init__(self) -> None:
        self.in_bulk = [recognizer_of(way) for way in WAYS]
        self.alone = recognizer()
        self.outcomes = 0
        self._received, self._turn = itertools.count(1), itertools.count(1)

    def give(self, frames: Sequence[bytes]) -> None:
        """Give messages to all; see that the same was wrong with them, and that the same comes of them.

        Every third time as from publishers, which do not wait: a few at a time, so that none of their windows is shed.
        How many are depends on the way, since one counts windows of which too little came, and another does not.
        """
        if lossy := next(self._turn) % 3 == 0:
            for first in range(0, len(frames), _FEW):
                self._give(frames[first : first + _FEW], lossy)
        else:
            self._give(frames, lossy)

    def _give(self, frames: Sequence[bytes], lossy: bool) -> None:
        received = next(self._received)
        wrong = take_alone(self.alone, frames, received, lossy=lossy)
        expected = self.alone.infer()
        self.outcomes += len(expected)
        for live in self.in_bulk:
            assert take_in_bulk(live, frames, received, lossy=lossy) == wrong
            assert_same_outcomes(live.infer(), expected)

    def check(self) -> Counter[str]:
        """See that all have counted the same; return that."""
        totals = self.alone.totals()
        logs = logs_of(self.alone)
        for live in self.in_bulk:
            assert live.totals() == totals
            assert logs_of(live) == logs
        return Counter(totals)

    @property
    def taken_in_bulk(self) -> int:
        """Messages that were taken by the quick path, whichever way."""
        return min(live._quick.taken for live in self.in_bulk)

    def end(self) -> Counter[str]:
        """Close all sessions, and see what comes of that, too."""
        for live in (self.alone, *self.in_bulk):
            live.close_all()
        self.give([])
        totals = self.check()
        parts = ("used", "late", "duplicate", "outside", "unfinished", "closed_session")
        assert totals["samples_received"] == sum(totals[f"samples_{part}"] for part in parts)
        return totals


def logs_of(live: Recognizer) -> dict[int, object]:
    """Return all that devices with times have delivered and that may still be needed, to the bit."""
    found: dict[int, object] = {}
    for number, key in live._registry.keys.items():
        if key.devices is not None and key.device is not None:
            log = key.device.log
            marks = [log.marks[mark] for mark in (NEXT, NEWEST, LONGEST, RATE_SEQ, RATE_TIME, RATE_TOLD)]
            received = key.devices.counts
            found[number] = marks, log.times.tobytes(), log.values.tobytes(), received
    return found


def assert_same_outcomes(found: Sequence[Label | Event], expected: Sequence[Label | Event]) -> None:
    """See that of every stream the same came, in the same order.

    What is taken by turns is taken at once where it simply comes next, so between two streams the order may differ; and
    so may what a description is answered meanwhile, which tells the session that is open.
    """
    ours, theirs = _by_stream(found), _by_stream(expected)
    assert ours.keys() == theirs.keys()
    for name, every in ours.items():
        said, expected_of_it = list(map(_said, every)), list(map(_said, theirs[name]))
        differs = next((pair for pair in zip(said, expected_of_it, strict=False) if pair[0] != pair[1]), None)
        assert said == expected_of_it, (name, differs)
        probabilities = [
            np.array([out.probabilities for out in some if isinstance(out, Label)]) for some in (every, theirs[name])
        ]
        np.testing.assert_allclose(*probabilities, atol=TOLERANCE)


def _by_stream(outcomes: Sequence[Label | Event]) -> dict[tuple[str, bool], list[Label | Event]]:
    found = defaultdict(list)
    for outcome in outcomes:
        found[outcome.stream, isinstance(outcome, Event) and outcome.event == "accepted"].append(outcome)
    return found


def _said(outcome: Label | Event) -> object:
    if isinstance(outcome, Label):
        return outcome._replace(p=0.0, probs=b"")[:_KNOWN_BEFOREHAND]
    return outcome._replace(session=-1) if outcome.event == "accepted" else outcome
