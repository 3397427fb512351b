"""What a streamer's history is asked, and what of that has not been answered; no socket here."""

from collections import deque

from kinestream.streamer.client.awaited import Asked
from kinestream.streamer.wire.history import (
    HistoryAnswer,
    HistoryRequest,
    decode_history_answer,
    encode_history_request,
)
from kinestream.streamer.wire.messages import MalformedMessage

PATIENCE_S = 1.0
"""How long an answer is waited for, and what comes of a stream is held back for it."""
ATTEMPTS = 5
"""How often a question is asked, each time after so long, where the streamer has answered others before: on a machine
that is busy an answer takes longer, and what is given up is lost."""
_PAUSES = 5  # of our own that do not count as silence: some programs look for labels only every few seconds
_UNDERWAY = 4  # questions at a time: of so many, a streamer drops no answer


class Questions:
    """What is asked, in its order, and whether anybody answers.

    Attributes
    ----------
    are_answered : bool or None
        Whether the streamer answers; None where that is not known, as after each connection.
    """

    def __init__(self) -> None:
        self.are_answered: bool | None = None
        self._were_answered = False  # ever
        self._queue: deque[Asked] = deque()
        self._underway: dict[int, Asked] = {}
        self._again: list[int] = []  # those that are sent once more
        self._last_id = 0
        self._waits_since = 0.0  # for any answer
        self._pauses = 0  # in which we were held up ourselves, since the last answer

    @property
    def are_open(self) -> bool:
        """Whether one waits to be sent, or for its answer."""
        return bool(self._underway or self._queue)

    def add(self, asked: Asked, *, urgent: bool = False) -> None:
        """Ask something, before all else if it is urgent."""
        if urgent:
            self._queue.appendleft(asked)
        else:
            self._queue.append(asked)

    def connected(self) -> None:
        """Ask again what may have been lost with a connection."""
        self.are_answered, self._pauses = None, 0
        self._queue.extendleft(self._underway.values())
        for asked in self._queue:
            asked.begin_anew()
        self._underway.clear()
        self._again.clear()

    def requests(self, now: float, *, has_room: bool) -> list[bytes]:
        """Return what is to be sent now, on the monotonic clock, s; nothing new where there is no room for answers."""
        messages = [self._message(number) for number in self._again if number in self._underway]
        self._again.clear()
        while self._queue and len(self._underway) < _UNDERWAY and has_room:
            if not self._underway:
                self._waits_since = now
            asked = self._queue.popleft()
            asked.sent = now
            self._last_id += 1
            self._underway[self._last_id] = asked
            messages.append(self._message(self._last_id))
        return messages

    def hear(self, message: bytes, now: float) -> tuple[Asked | None, HistoryAnswer] | None:
        """Read an answer; return it with what it answers, which is None if that was given up; None if it is none."""
        try:
            answer = decode_history_answer(message)
        except MalformedMessage:
            return None
        asked = self._underway.get(answer.id)
        if asked is not None and asked.stream != answer.stream:
            return None
        self.are_answered = self._were_answered = True
        self._waits_since, self._pauses = now, 0
        return self._underway.pop(answer.id, None), answer

    def postpone(self, now: float) -> None:
        """Begin to wait anew, as where nobody is there who could answer."""
        self._waits_since = now
        for asked in self._underway.values():
            asked.sent = now

    def held_up(self, now: float) -> None:
        """Note that nobody was asked again for a while: so long a silence says nothing, and all is asked once more.

        Answers may have come that libzmq, held up as well, has not read yet. Some pauses without any count as silence.
        """
        self._pauses += 1
        if self._pauses <= _PAUSES:
            self.postpone(now)
            self._again = list(self._underway)

    def late(self, now: float) -> list[Asked]:
        """Return what is waited for no longer; what may be answered yet is asked once more."""
        late = [number for number, asked in self._underway.items() if now - asked.sent > PATIENCE_S]
        attempts = ATTEMPTS if self._were_answered else 1
        if late and now - self._waits_since > PATIENCE_S * attempts:
            return self.give_up()
        given_up = []
        for number in late:
            asked = self._underway[number]
            asked.sent = now
            asked.attempts += 1
            if asked.attempts < attempts:
                self._again.append(number)  # by its number: whichever answer comes first will do
            else:
                given_up.append(self._underway.pop(number))
        return given_up

    def give_up(self) -> list[Asked]:
        """Wait for no answer any more; return what was asked."""
        self.are_answered = False
        asked = [*self._underway.values(), *self._queue]
        self._underway.clear()
        self._again.clear()
        self._queue.clear()
        return asked

    def _message(self, number: int) -> bytes:
        asked = self._underway[number]
        return encode_history_request(HistoryRequest(number, asked.stream, asked.session, asked.window, asked.position))
