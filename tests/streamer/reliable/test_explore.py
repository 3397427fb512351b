"""Whatever order things come in no label is lost; and who explores that finds what is wrong, where something is."""

import pytest

from kinestream.streamer.reliable.outbox import Outbox
from kinestream.streamer.reliable.receipts import Receipts, Verdict
from kinestream.streamer.wire.tracked import UNKNOWN, Acknowledgement
from tests.streamer.reliable.explore import HISTORY, Bounds, Explorer, Violation

SMALL = Bounds(messages=2, sender_crashes=0)


def test_no_label_is_lost_in_any_order():
    """`python -m tests.streamer.reliable.explore` goes further."""
    assert Explorer(SMALL).run(every=200) > 20_000


class BeginsAnywhere(Receipts):
    """Takes whatever comes first for the first."""

    __slots__ = ()

    def take(self, number: int, oldest: int) -> Verdict:
        return super().take(number, number if self.expected[0] == UNKNOWN else oldest)


class ForgetsWhatCame(Outbox):
    """Forgets messages as soon as they were received."""

    def acknowledge(self, acknowledgement: Acknowledgement) -> bool:
        key, received, _, _, again = acknowledgement
        return super().acknowledge(Acknowledgement(key, received, max(received, 0), 1 << 62, again))


class ForgetsTheLast(Outbox):
    """Forgets a message that the open window still needs."""

    def acknowledge(self, acknowledgement: Acknowledgement) -> bool:
        return super().acknowledge(acknowledgement._replace(needed=acknowledgement.needed + 1))


class NeverGoesBack(Outbox):
    """Does not heed that a streamer knows nothing."""

    def acknowledge(self, acknowledgement: Acknowledgement) -> bool:
        return acknowledgement.received != UNKNOWN and super().acknowledge(acknowledgement)


class CountsWhatIsNew(Receipts):
    """Takes a message that does not follow for one that does."""

    __slots__ = ()

    def take(self, number: int, oldest: int) -> Verdict:
        verdict = super().take(number, oldest)
        return Verdict.TAKEN if verdict is Verdict.ANEW else verdict


class DatesWhatIsNotOut(Receipts):
    """Counts the history from when it was noted what had come, though nothing was published of it yet."""

    __slots__ = ()

    def note(self, batch: int, needed: int) -> None:
        super().note(batch, needed)
        if self._notes and self._notes[-1].due is None:
            self._notes[-1] = self._notes[-1]._replace(due=1 + HISTORY)


@pytest.mark.parametrize(
    ("bounds", "wrong"),
    [
        (SMALL, {"receipts": BeginsAnywhere}),
        (SMALL, {"outbox": ForgetsWhatCame}),
        (SMALL, {"outbox": ForgetsTheLast}),
        (SMALL, {"outbox": NeverGoesBack}),
        (SMALL, {"lag": 0}),
        (SMALL, {"receipts": DatesWhatIsNotOut}),
        (Bounds(messages=3, sender_crashes=0), {"receipts": CountsWhatIsNew}),
    ],
    ids=lambda value: next(iter(value), "") if isinstance(value, dict) else "",
)
def test_a_planted_fault_is_found(bounds, wrong):
    with pytest.raises(Violation):
        Explorer(bounds, **wrong).run(every=200)
