"""Takes descriptions of streams, from whichever socket, within a share of the time.

To read one takes up to a thousand times as long as a sample. One that came before is answered unread; whoever sends new
ones without pause gets a share of the time, and past that they are put off, since every sender repeats its own.

An event tells what becomes of a description when that is new, and once more when somebody has subscribed since: who
waits for it, as for a label, need not have been there first. Further repetitions tell nobody anything.
"""

from collections import Counter, OrderedDict

from kinestream.model.clock import monotonic_ns, now_ns
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.server import tuning
from kinestream.streamer.server.access import Access, User
from kinestream.streamer.server.notices import Notices
from kinestream.streamer.server.timeshare import TimeShare
from kinestream.streamer.transport.subscriptions import Subscriptions
from kinestream.streamer.wire.codec import DESCRIPTION_MARK, decode
from kinestream.streamer.wire.messages import Answer, Description, End, MalformedMessage, Remark

_SHORT_BYTES = 512  # a message of up to so many is read quickly, whatever it is
_REMEMBERED = 20_000  # descriptions that an event told of


class Descriptions:
    """Admits streams by their descriptions.

    Parameters
    ----------
    recognizer : Recognizer
        What admits them.
    subscriptions : Subscriptions
        Who listens, for the answers.
    notices : Notices
        Where is said what was put off.
    counts : Counter
        Where that is counted.
    access : Access, optional
        What knows who may send which stream, where keys are asked for.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        subscriptions: Subscriptions,
        notices: Notices,
        counts: Counter[str],
        access: Access | None = None,
    ) -> None:
        self._recognizer, self._access = recognizer, access
        self._subscriptions, self._notices, self._counts = subscriptions, notices, counts
        self._share = TimeShare(tuning.DESCRIPTION_TIME_DIVISOR, tuning.DESCRIPTION_BURST_NS, monotonic_ns())
        self._told: OrderedDict[int, int] = OrderedDict()  # by hash: subscriptions that had come when an event told

    def take(self, frame: bytes, user: User = None, *, quietly: bool = False) -> Answer | None:
        """Take a message that is no samples; return what its sender is answered, None if it was none or is put off.

        Parameters
        ----------
        frame : bytes
            The message.
        user : str, optional
            Whose it is, where keys are asked for.
        quietly : bool
            Whether an event tells only what is new, because the sender is answered otherwise.

        Raises
        ------
        MalformedMessage
            Naming the reason.
        """
        if len(frame) <= _SHORT_BYTES and not frame.startswith(DESCRIPTION_MARK):
            return self._decode_and_take(frame, user, quietly)
        if self._access is None or self._access.was_admitted(user, hash(frame)):
            quietly = quietly or self._note_told(hash(frame))
            if answer := self._recognizer.introduce_again(hash(frame), self._subscriptions.listening, quietly=quietly):
                self._notices.answered(answer)
                return answer
        began = monotonic_ns()
        if not self._share.is_left(began):
            self._counts["messages_put_off"] += 1
            self._notices.put_off()
            return None
        try:
            return self._decode_and_take(frame, user, quietly)
        finally:
            self._share.take(monotonic_ns() - began)

    def _note_told(self, fingerprint: int) -> bool:
        """Note that an event tells of a description; return whether one had, since the last subscription came."""
        arrivals = self._subscriptions.arrivals
        if self._told.get(fingerprint) == arrivals:
            return True
        self._told[fingerprint] = arrivals
        self._told.move_to_end(fingerprint)
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        return False

    def _decode_and_take(self, frame: bytes, user: User, quietly: bool) -> Answer | None:
        message = decode(frame)
        if isinstance(message, Description):
            if self._access is not None:
                return self._introduce(self._access, message, user, quietly)
            self._subscriptions.update()  # whoever hears the answer should be counted in it
            listening = self._subscriptions.listening(message.stream)
            answer = self._recognizer.introduce(message, subscribers=listening, quietly=quietly)
            self._notices.answered(answer)
            return answer
        if not isinstance(message, End | Remark):
            raise MalformedMessage("kind")
        if self._access is None or self._access.may_speak_for(user, message.key):
            self._recognizer.take(message, now_ns())
        return None

    def _introduce(self, access: Access, about: Description, user: User, quietly: bool) -> Answer:
        """Have a stream admitted that its sender may send; what it may not is told to nobody else."""
        if (why := access.refusal(user, about)) is not None:
            return Answer(False, about.key, about.stream, {"reason": why})
        self._subscriptions.update()
        listening = self._subscriptions.listening(about.stream)
        about = about._replace(sender=str(user))
        answer = self._recognizer.introduce(about, subscribers=listening, quietly=quietly)
        self._notices.answered(answer)
        if answer.accepted:
            access.note_admitted(user, about)
        return answer
