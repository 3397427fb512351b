"""Fills what a subscriber missed, from the history that the streamer keeps; no socket here.

The problem. A streamer drops what a subscriber does not fetch in time, and what is on its way when a connection breaks
is lost. It shows in the numbers of the windows, which count up within a session; or not at all, where nothing comes of
a stream any more.

How it works. What comes of a stream in its order is handed out as it comes. Where a window is missing, the streamer is
asked for all that it published of the stream since the last one that was had, and what comes of the stream meanwhile is
held back; then all of it is handed out in the order in which it was published, each label once. What the streamer
keeps no more, or does not answer in time, is told by a ``missed`` event.

It is also asked for a stream that is first heard of in its middle; for one that has fallen silent without an end; for
one that ends with another number of windows than were had; and, where a connection has come up, for a list of streams,
to see which have gone on without us. Until that list is there, nobody knows what was before the first that comes of a
stream; and what was published between the list and our subscription's arrival is in a second list, a little later.

What is remembered and held is bounded: `STREAMS`, `HELD`, and see `kinestream.streamer.client.progress`.

Longer than other files: whatever comes, is answered, or does not come in time changes what is known of the same
streams.
"""

import math
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice

from kinestream.model.clock import now_ns
from kinestream.streamer.client.awaited import Asked, Listened
from kinestream.streamer.client.early import MOST, Early, EarlyAnswers, begins_ahead
from kinestream.streamer.client.progress import GONE, UNANSWERED, place_of, windows_of
from kinestream.streamer.client.questions import PATIENCE_S, Questions
from kinestream.streamer.client.remaking import Remaking, in_order, is_before
from kinestream.streamer.wire.history import HistoryAnswer
from kinestream.streamer.wire.messages import Label, MalformedMessage, Published
from kinestream.streamer.wire.published import decode_published

STREAMS = 20_000
"""Streams that are remembered; then the one that came first is forgotten."""
HELD = 50_000
"""Messages that are held back, some 50 MB: past that they are let fall, and asked for again."""
ABSENT_S = 120.0
"""How long a streamer that was there is waited for to come again, before what it was asked is given up."""
_OLDEST = 100  # streams that are looked at for one that can be forgotten
_READY = 5000  # messages ready to be handed out, past which no more are asked for
_SILENT_S = 2.0  # a stream is silent after once or twice as long, or as a quarter of what the streamer keeps
_CHECKS = 3  # times that a silent stream is asked for: labels of some bundles are seconds apart
_LOOK_EVERY_S = 0.2
_TRY_AGAIN_S = 5.0  # where no request was answered
_SURVEYS = 2  # lists after which a stream that is new to us is new
_LISTS = 1000  # parts of a list of streams: a quarter of a million
_NAMES = 32  # streams up to which each is asked for by its name


class Filling:
    """What a subscriber had, what it lacks, and what it asks for.

    Parameters
    ----------
    streams : iterable of str, optional
        The streams that it listens to; all by default.
    past : bool
        Whether it begins with what is kept of the time before.

    Attributes
    ----------
    ready : deque of (Published, bool)
        What is to be handed out next, before anything else is taken; and whether it comes from the history.
    missed : int
        Windows that were given up.
    repeated, unanswered : int
        Labels that had come before; times that something was held back and no request was answered.
    """

    def __init__(self, streams: Iterable[str] | None = None, *, past: bool = True) -> None:
        self.ready: deque[tuple[Published, bool]] = deque()
        self.missed = self.repeated = self.unanswered = 0
        self._names = None if streams is None else frozenset(streams)
        self._past = past
        self._streams: dict[str, Listened] = {}
        self._held = 0
        self._questions, self._remaking, self._early = Questions(), Remaking(), EarlyAnswers()
        self._kept_s = 4 * _SILENT_S  # for how long the streamer keeps what it published
        self._is_connected, self._since = False, 0  # when it first was, Unix ns
        self._surveys = 0  # lists that have come
        self._looked_at = self._look_at = self._tried_at = 0.0
        self._absent_since = math.inf
        self._check_at: float | None = None
        self._was_touched = self._list_due = False  # whether anything has come, and was missing, since the last list

    @property
    def is_asking(self) -> bool:
        """Whether a request waits to be sent, or for its answer."""
        return self._questions.are_open or self._remaking.are_open or bool(self._early.waiting)

    def take(self, message: Published, frame: bytes) -> bool:
        """Take what has come, when nothing is ready; return whether it is to be handed out at once."""
        if self._early.waiting and (answers := self._early.took(message)):
            self._fill_all(answers)
            if self.take(message, frame):  # behind what is ready now
                self.ready.append((message, False))
            return False
        stream = self._streams.get(message.stream) or self._begin(message.stream)
        stream.is_touched = True
        if stream.asked is None:
            if stream.had.follows(message):
                return True
            if not self._remaking.is_underway(self._looked_at):
                stream.had.begin_again(message)
            are_answered = self._questions.are_answered is not False
            is_early = self._is_early(stream)
            if not are_answered or not (is_early or stream.had.is_behind(message, joins=self._past)):
                begins = are_answered and self._begins(stream, message)
                if begins:
                    self._ask(message.stream, stream, urgent=False)
                self._admit(stream, message, frame, lost=UNANSWERED, is_live=True, knows_again=begins)
                return False
            stream.is_behind = True
            self._list_due = self._list_due or not is_early
            self._ask(message.stream, stream)
        elif stream.asked.is_waiting and stream.had.follows(message):
            return True  # it has been made again
        elif stream.had.has_had(message):
            self.repeated += 1
            return False
        stream.held.append((message, frame))
        self._held += 1
        if self._early.waiting:
            self._fill_all(self._early.reached(stream, message))
        if self._held > HELD:
            self._make_room()
        return False

    def _make_room(self) -> None:
        """Hold less back: what comes of an answer, and what will come of one, is not needed here.

        An answer holds all that was published until it left. What came later shows that something is missing once more.
        """
        self._fill_all(self._early.all())
        for stream in sorted(self._streams.values(), key=lambda each: len(each.held), reverse=True):
            if self._held <= HELD // 2:
                return
            if stream.asked is not None and not stream.asked.is_waiting:
                self._held -= len(stream.held)
                stream.held, stream.is_behind = [], False
        if self._held > HELD // 2:
            for request in self._remaking.give_up():
                self._let_go(request)

    def connected(self) -> None:
        """Note that the connection over which labels come has come up."""
        self._questions.connected()
        for early in self._early.all():
            early.asked.begin_anew()
            self._questions.add(early.asked)
        is_first, self._is_connected = not self._is_connected, True
        if is_first:
            self._since = now_ns()
        else:
            self._remaking.begin()
        if self._past or not is_first:
            self._surveys = 0  # of a stream that began meanwhile nothing is known
            self._survey()
            # Once more, but not at once: our subscription may have come there later than the question.
            self._list_due, self._check_at = True, None

    def requests(self, now: float) -> list[bytes]:
        """Return what is to be sent now, on the monotonic clock, s."""
        return self._questions.requests(now, has_room=len(self.ready) < _READY)

    def hear(self, message: bytes, now: float) -> None:
        """Take an answer."""
        heard = self._questions.hear(message, now)
        if heard is None:
            return
        request, answer = heard
        self._kept_s = answer.kept_ns / 1e9
        if request is None:
            return  # given up since
        if not request.stream:
            self._compare(answer, request)
        elif (stream := self._streams.get(request.stream)) is not None:
            self._fill(stream, request, answer, now)

    def empty(self, now: float) -> bool:
        """Note that nothing waits to be taken, on the monotonic clock, s; return whether anything came of that."""
        if not self._early.waiting:
            return False
        ready = self._early.after_empty(now)
        self._fill_all(ready)
        return bool(ready)

    def look(self, now: float, *, is_there: bool = True) -> None:
        """See what has waited for too long, and which streams have fallen silent; called often, acts now and then.

        Parameters
        ----------
        now : float
            On the monotonic clock, s.
        is_there : bool
            Whether the streamer is connected: one that was killed needs a while to be there again, and then it knows
            or is sent again what is missing.
        """
        if now - self._looked_at > PATIENCE_S:  # we were held up ourselves: nobody was asked again meanwhile
            self._questions.held_up(now)
        self._looked_at = now
        if self._early.waiting:
            self._fill_all(self._early.overdue(now))
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_EVERY_S
        if is_there or not self._is_connected:
            self._absent_since = math.inf
        else:
            self._absent_since = min(self._absent_since, now)
            if now - self._absent_since < ABSENT_S:
                self._questions.postpone(now)
        for request in self._remaking.due(now):
            self._questions.add(request)
        for request in self._questions.late(now):
            self._tried_at = now
            self._let_go(request)
        if self._questions.are_answered is False:
            if self._is_connected and now - self._tried_at > _TRY_AGAIN_S:
                self._tried_at = now
                self._questions.add(Asked(""))
        elif self._kept_s:
            if self._check_at is not None and now >= self._check_at:
                self._check_at = None
                self._check_silent()
            if self._check_at is None:
                self._check_at = now + min(_SILENT_S, self._kept_s / 4)

    def _check_silent(self) -> None:
        """Ask for streams of which nothing has come since this was last called; for the list, if that is all of them.

        It is asked for after something was missing, too: of some streams there may be nothing that shows it. A stream
        that is silent is asked for some times, since what comes of it meanwhile may be missed as well.
        """
        is_touched = False
        for name, stream in self._streams.items():
            if stream.is_touched:
                stream.is_touched, stream.checks = False, 0
                is_touched = True
            elif stream.checks < _CHECKS and stream.asked is None:
                stream.checks += 1
                if (seen := stream.had.seen) is not None and not seen.ended:
                    self._ask(name, stream, urgent=False)
        if self._list_due or (self._was_touched and not is_touched):
            self._list_due = False
            self._survey()
        self._was_touched = is_touched

    def _survey(self) -> None:
        """Ask which streams there are, or for each, where they are few."""
        if self._names is None or len(self._names) > _NAMES:
            self._questions.add(Asked(""))
            return
        self._surveys += 1
        for name in sorted(self._names):
            stream = self._streams.get(name) or self._begin(name)
            if stream.asked is None:
                self._ask(name, stream, urgent=False)

    def _compare(self, answer: HistoryAnswer, request: Asked) -> None:
        """Ask for the streams of a list that have gone on further than what was had of them."""
        for name, session, window in answer.streams:
            if self._names is not None and name not in self._names:
                continue
            stream = self._streams.get(name)
            if stream is None:
                if len(self._streams) < STREAMS:  # those that were heard of are not forgotten for names in a list
                    self._ask(name, self._begin(name), urgent=False)
            elif stream.asked is None and session >= 0 and not stream.had.has_reached(session, window):
                self._ask(name, stream, urgent=False)
        if answer.more and answer.position > request.position and request.lists < _LISTS:
            self._questions.add(Asked("", position=answer.position, lists=request.lists + 1))
        else:
            self._surveys += 1

    def _is_early(self, stream: Listened) -> bool:
        """Tell whether it is not known yet what was before the first that comes of a stream."""
        return self._past and not self._surveys and stream.had.seen is None

    def _begins(self, stream: Listened, message: Published) -> bool:
        """Tell whether a message begins a session before which one may have been of which nothing came."""
        if stream.had.seen is None:
            windows = windows_of(message)
            return self._past and self._surveys < _SURVEYS and windows is not None
        return stream.had.begins(message)

    def _fill_all(self, answers: Iterable[Early]) -> None:
        """Take answers that were put aside."""
        for each in answers:
            self._fill(each.stream, each.asked, each.answer, each.heard_at, is_early=False)

    def _fill(
        self, stream: Listened, request: Asked, answer: HistoryAnswer, now: float, *, is_early: bool = True
    ) -> None:
        """Hand out what was published of a stream and is new; what `is_early` may have to wait."""
        messages = _decoded(answer)
        first = next((message for message, _ in messages if place_of(message)), None)
        if is_early and begins_ahead(stream, answer, first, joins=self._past):
            assert first is not None
            begins = place_of(first)
            assert begins is not None
            published = max((each.t_published for each, _ in messages if isinstance(each, Label)), default=None)
            self._early.waiting.append(Early(stream, request, answer, begins, published, now))
            if len(self._early.waiting) > MOST:
                self._fill_all(self._early.all())
            return
        if request.session >= 0:
            is_first = not request.position and not request.is_waiting  # the next goes on where this one ends
            request.settled = answer.complete and (request.settled or is_first)
        request.note(messages)
        if self._remaking.is_underway(now):  # what came of the streamer before lies ahead of what is made again
            stream.held = in_order(stream.held)
        live = {frame for _, frame in stream.held}
        if not request.settled and first is not None:  # what is kept no more may have come meanwhile
            for held, frame in stream.held:
                if is_before(held, first):
                    self._admit(stream, held, frame, lost=GONE, is_live=True)
        for message, frame in messages:
            if not self._is_old(request, message):
                lost = None if request.settled else GONE
                is_new = self._admit(stream, message, frame, lost=lost, is_live=frame in live)
                request.settled = request.settled or (is_new and windows_of(message) is not None)
        if answer.more and answer.position > request.position:
            request.position, request.attempts = answer.position, 0
            self._questions.add(request, urgent=True)
        elif answer.kept_ns and self._remaking.may_come(stream, request, now, joins=self._past):
            request.position = max(request.position, answer.position)
            self._remaking.ask_later(request, now)
        else:
            self._settle(request.stream, stream, GONE)

    def _is_old(self, request: Asked, message: Published) -> bool:
        """Tell whether a message of a stream that was not heard of yet is from a time that is not asked for."""
        if self._past or request.session >= 0 or request.settled:
            return False
        return not (isinstance(message, Label) and message.t_published >= self._since)

    def _settle(self, name: str, stream: Listened, lost: str) -> None:
        """Hand out what was held back; what is missing all the same is lost, for the reason given."""
        stream.asked = None
        held, stream.held = stream.held, []
        self._held -= len(held)
        for index, (message, frame) in enumerate(held):
            # What has been missing since the request was sent is asked for anew.
            is_asked = self._questions.are_answered is not False and (index > 0 or not stream.is_behind)
            if is_asked and stream.had.is_behind(message, joins=self._past):
                stream.is_behind = True
                self._ask(name, stream)
                self._hold(stream, held[index:])
                return
            begins = is_asked and self._begins(stream, message)
            if begins:
                self._ask(name, stream, urgent=False)
            self._admit(stream, message, frame, lost=lost, is_live=True)
            if begins:
                self._hold(stream, held[index + 1 :])
                break
        stream.is_behind = False

    def _hold(self, stream: Listened, messages: list[tuple[Published, bytes]]) -> None:
        """Hold back what has come of a stream until it is known what was before."""
        stream.held = messages
        self._held += len(messages)

    def _let_go(self, request: Asked) -> None:
        """Wait for an answer no longer."""
        stream = self._streams.get(request.stream)
        if stream is not None:
            self.unanswered += bool(stream.held)
            self._settle(request.stream, stream, UNANSWERED)

    def _admit(
        self,
        stream: Listened,
        message: Published,
        frame: bytes,
        *,
        lost: str | None,
        is_live: bool,
        knows_again: bool = True,
    ) -> bool:
        """Make a message ready, if it is new, behind what tells of the windows that are lost; return whether it is."""
        # Where nobody answers nothing can be waited for: what comes later all the same is better than nothing.
        in_order = self._questions.are_answered is not False
        if not self._remaking.is_underway(self._looked_at):  # what is made again may seem to be later
            stream.had.begin_again(message, is_lost=lost is not None)
        is_new, missed = stream.had.admit(
            message, frame, lost=lost, knows_again=knows_again, in_order=in_order, takes_lost=not in_order
        )
        for each in missed:
            self.missed += each.details["last_window"] - each.details["first_window"] + 1
            self.ready.append((each, False))
        if is_new:
            self.ready.append((message, not is_live))
        else:
            self.repeated += isinstance(message, Label)
        return is_new

    def _ask(self, name: str, stream: Listened, *, urgent: bool = True) -> None:
        """Ask for what was published of a stream since the last window that is known."""
        self._questions.add(stream.ask(name), urgent=urgent)

    def _begin(self, name: str) -> Listened:
        """Return a stream that is new; of too many, the one that came first is forgotten."""
        if len(self._streams) >= STREAMS:
            oldest = islice(self._streams.items(), _OLDEST)
            first = next((name for name, stream in oldest if stream.asked is None), None)
            if first is not None:
                del self._streams[first]
        return self._streams.setdefault(name, Listened())


def _decoded(answer: HistoryAnswer) -> list[tuple[Published, bytes]]:
    """Return the messages of a stream that an answer holds, each with what it was read from."""
    messages = []
    for frame in answer.frames:
        with suppress(MalformedMessage):
            message = decode_published([b"", frame])
            if message.stream == answer.stream:
                messages.append((message, frame))
    return messages
