"""Every order in which messages, acknowledgements, losses, ticks and crashes may come, gone through breadth first.

The sender's `Outbox` and the streamer's `Receipts` are the ones that ship. Around them are, small and honest: a wire
that may lose the first of what is on its way at any time, a streamer that cuts windows of two samples, publishes them
whenever it likes and remembers them for one tick, and crashes of either; a sender that crashes has a spool.

A label counts as delivered once a streamer has remembered it for a tick and lived on: before that a subscriber may have
missed it. In every state: a message that the sender has forgotten is in no window whose label is not delivered. And
from every state, if nothing more goes wrong, all labels are delivered and all is forgotten.

By hand, for more messages and crashes than the tests take::

    python -m tests.streamer.reliable.explore --messages 4 --streamer-crashes 2
"""

import argparse
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from kinestream.streamer.reliable.outbox import Outbox
from kinestream.streamer.reliable.receipts import Note, Receipts, Verdict
from kinestream.streamer.wire.tracked import UNKNOWN, Acknowledgement, decode_tracked

KEY = 7
HISTORY = 1  # ticks for which labels are remembered


class Bounds(NamedTuple):
    """How far is gone."""

    messages: int = 3
    streamer_crashes: int = 1
    sender_crashes: int = 1
    forward: int = 2  # messages that may be on their way
    back: int = 1  # acknowledgements


class State(NamedTuple):
    """All there is.

    `sender` is oldest, sent, next and received; `forward` and `back` what is on its way. `streamer` is what its
    receipts hold: expected, again, notes, forgettable. `first` and `high` say which samples it has, `pending` which
    windows of them wait to be published, `published` which are remembered, each with its age; `delivered` those that
    count. `crashes` are the streamer's and the sender's so far.
    """

    sender: tuple[int, int, int, int]
    forward: tuple[tuple[int, int], ...]
    back: tuple[Acknowledgement, ...]
    streamer: tuple[int, bool, tuple[Note, ...], tuple[int, int]]
    first: int
    high: int
    pending: tuple[int, ...]
    published: tuple[tuple[int, int], ...]
    delivered: frozenset[int]
    crashes: tuple[int, int]


START = State((0, 0, 0, 0), (), (), (UNKNOWN, False, (), (0, 0)), -1, 0, (), (), frozenset(), (0, 0))


class Violation(AssertionError):
    """A state that must not be, and how it came about."""


class Explorer:
    """Goes through all states.

    Parameters
    ----------
    bounds : Bounds
        How far.
    receipts : type of Receipts
        What the streamer counts with; a wrong one must be found out.
    outbox : type of Outbox
        What the sender keeps messages in.
    lag : int
        Ticks by which acknowledgements trail.
    """

    def __init__(
        self,
        bounds: Bounds,
        receipts: type[Receipts] = Receipts,
        outbox: type[Outbox] = Outbox,
        lag: int = HISTORY,
    ) -> None:
        self._bounds, self._receipts_type, self._outbox_type, self._lag = bounds, receipts, outbox, lag

    def run(self, every: int = 50) -> int:
        """Go through all states; return how many there are.

        One in `every` is gone on with until nothing is left to do, without further harm.

        Raises
        ------
        Violation
            With the events that lead to it.
        """
        came_from: dict[State, tuple[State, str] | None] = {START: None}
        queue = deque([START])
        while queue:
            state = queue.popleft()
            if len(came_from) % every == 0:
                self._finish(state, came_from)
            for event, after in self.following(state):
                if after in came_from:
                    continue
                came_from[after] = (state, event)
                if (wrong := _wrong(after)) is not None:
                    raise Violation(f"{wrong}, by {', '.join(_path(after, came_from))}: {after}")
                queue.append(after)
        return len(came_from)

    def following(self, state: State, harm: bool = True) -> Iterator[tuple[str, State]]:
        """Yield what may come next."""
        yield from self._sends(state)
        if state.forward:
            yield "takes", self._taken(state)
        if state.back:
            yield "hears", self._heard(state)
        if len(state.back) < self._bounds.back:
            yield "acknowledges", self._acknowledged(state)
        if state.pending:
            yield "publishes", self._published(state)
        yield "tick", self._ticked(state)
        sender = self._outbox(state)
        sender.send_again()
        yield "sends again", state._replace(sender=_of_outbox(sender))
        if harm:
            yield from self._harm(state)

    def _harm(self, state: State) -> Iterator[tuple[str, State]]:
        if state.forward:
            yield "loses a message", state._replace(forward=state.forward[1:])
        if state.back:
            yield "loses an acknowledgement", state._replace(back=state.back[1:])
        streamer, sender = state.crashes
        if streamer < self._bounds.streamer_crashes:
            yield (
                "streamer crashes",
                START._replace(
                    sender=state.sender,
                    forward=state.forward,
                    back=state.back,
                    delivered=state.delivered,
                    crashes=(streamer + 1, sender),
                ),
            )
        if sender < self._bounds.sender_crashes:
            oldest, _, following, _ = state.sender
            yield (
                "sender crashes",
                state._replace(sender=(oldest, oldest, following, oldest), back=(), crashes=(streamer, sender + 1)),
            )

    def _sends(self, state: State) -> Iterator[tuple[str, State]]:
        oldest, sent, following, received = state.sender
        if following < self._bounds.messages:
            yield "adds", state._replace(sender=(oldest, sent, following + 1, received))
        if sent < following and len(state.forward) < self._bounds.forward:
            outbox = self._outbox(state)
            frame = outbox.frame()
            assert frame is not None
            tracked = decode_tracked(frame)
            outbox.posted()
            forward = (*state.forward, (tracked.number, tracked.oldest))
            yield "posts", state._replace(sender=_of_outbox(outbox), forward=forward)

    def _taken(self, state: State) -> State:
        (number, oldest), *rest = state.forward
        receipts = self._receipts(state)
        verdict = receipts.take(number, oldest)
        state = state._replace(forward=tuple(rest), streamer=_of_receipts(receipts))
        if verdict not in (Verdict.TAKEN, Verdict.ANEW):
            return state
        first = number if state.first < 0 or verdict is Verdict.ANEW else state.first
        if number != state.high and first != number:
            raise Violation(f"sample {number} was taken after {state.high - 1}")
        window = (number - 1,) if number - 1 >= first else ()
        return state._replace(first=first, high=number + 1, pending=state.pending + window)

    def _published(self, state: State) -> State:
        remembered = dict(state.published) | dict.fromkeys(state.pending, 0)
        notes = tuple(note._replace(batch=0) for note in state.streamer[2])  # that batch is out
        streamer = (*state.streamer[:2], notes, state.streamer[3])
        return state._replace(pending=(), published=tuple(sorted(remembered.items())), streamer=streamer)

    def _ticked(self, state: State) -> State:
        receipts = self._receipts(state)
        receipts.note(1 if state.pending else 0, max(state.high - 1, 0))
        receipts.settle(1, 0, self._lag)
        expected, again, notes, forgettable = _of_receipts(receipts)
        aged = tuple((window, age + 1) for window, age in state.published)
        kept = tuple((window, age) for window, age in aged if age <= HISTORY)
        delivered = state.delivered | {window for window, age in aged if age > HISTORY}
        notes = tuple(note._replace(due=None if note.due is None else note.due - 1) for note in notes)
        return state._replace(
            streamer=(expected, again, notes, forgettable), published=kept, delivered=frozenset(delivered)
        )

    def _acknowledged(self, state: State) -> State:
        receipts = self._receipts(state)
        said = receipts.acknowledgement(KEY)
        return state._replace(back=(*state.back, said), streamer=_of_receipts(receipts))

    def _heard(self, state: State) -> State:
        outbox = self._outbox(state)
        outbox.acknowledge(state.back[0])
        return state._replace(sender=_of_outbox(outbox), back=state.back[1:])

    def _outbox(self, state: State) -> Outbox:
        oldest, sent, following, received = state.sender
        outbox = self._outbox_type(KEY, oldest)
        for number in range(oldest, following):
            outbox.add(b"x", number + 1)
        outbox.sent, outbox.received = sent, received
        return outbox

    def _receipts(self, state: State) -> Receipts:
        receipts = self._receipts_type()
        receipts.expected[0], receipts.again = state.streamer[0], state.streamer[1]
        receipts._notes, receipts._forgettable = deque(state.streamer[2]), state.streamer[3]
        return receipts

    def _finish(self, state: State, came_from: dict[State, tuple[State, str] | None]) -> None:
        """Go on without further harm, and see that all is delivered."""
        begin = state
        for _ in range(60 * self._bounds.messages):
            for wanted in ("adds", "posts", "takes", "publishes", "acknowledges", "hears"):
                state = next((after for event, after in self.following(state, harm=False) if event == wanted), state)
            if not state.forward and not state.pending:
                state = self._ticked(state)
            if not state.forward and state.sender[1] == state.sender[2]:
                outbox = self._outbox(state)
                outbox.send_again()
                state = state._replace(sender=_of_outbox(outbox))
        # The last sample is in a window that never ends: it is needed until its session does.
        if len(state.delivered) < self._bounds.messages - 1 or state.sender[0] < self._bounds.messages - 1:
            raise Violation(f"nothing more is done, after {', '.join(_path(begin, came_from))}: {state}")


def _wrong(state: State) -> str | None:
    for number in range(state.sender[0]):  # message k is in windows k - 1 and k
        if number not in state.delivered:
            return f"message {number} was forgotten, and the label of window {number} is not delivered"
    return None


def _path(state: State, came_from: dict[State, tuple[State, str] | None]) -> list[str]:
    events: list[str] = []
    while (before := came_from[state]) is not None:
        state, event = before
        events.append(event)
    return events[::-1]


def _of_outbox(outbox: Outbox) -> tuple[int, int, int, int]:
    return outbox.oldest, outbox.sent, outbox.next, outbox.received


def _of_receipts(receipts: Receipts) -> tuple[int, bool, tuple[Note, ...], tuple[int, int]]:
    return receipts.expected[0], receipts.again, tuple(receipts._notes), receipts._forgettable


def main(arguments: list[str] | None = None, say: Callable[[str], object] = print) -> None:
    """Explore, and say how much there was."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    for name, value in Bounds()._asdict().items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    bounds = Bounds(**vars(parser.parse_args(arguments)))
    began = time.monotonic()
    count = Explorer(bounds).run()
    about = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in bounds._asdict().items())
    say(f"{about}: {count:,} states, no label lost, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
