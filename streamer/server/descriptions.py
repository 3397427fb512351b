"""Takes descriptions of streams, from whichever socket, within a share of the time.

To read one takes up to a thousand times as long as a sample. One that came before is answered unread; whoever sends new
ones without pause gets a share of the time, and past that they are put off, since every sender repeats its own.
"""

from collections import Counter

from kinestream.model.clock import monotonic_ns, now_ns
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.server import tuning
from kinestream.streamer.server.notices import Notices
from kinestream.streamer.transport.subscriptions import Subscriptions
from kinestream.streamer.wire.codec import decode
from kinestream.streamer.wire.messages import Answer, Description, End, MalformedMessage

_SHORT_BYTES = 512  # a message of up to so many is read quickly, whatever it is
_MARK = b"\x8a"  # how the map of a description begins: it has ten keys


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
    """

    def __init__(
        self, recognizer: Recognizer, subscriptions: Subscriptions, notices: Notices, counts: Counter[str]
    ) -> None:
        self._recognizer = recognizer
        self._subscriptions, self._notices, self._counts = subscriptions, notices, counts
        self._time_ns = tuning.DESCRIPTION_BURST_NS  # time there is for them
        self._accrues_from = monotonic_ns()  # since when more of it accrues

    def take(self, frame: bytes, *, quietly: bool = False) -> Answer | None:
        """Take a message that is no samples; return what its sender is answered, None if it was none or is put off.

        Parameters
        ----------
        frame : bytes
            The message.
        quietly : bool
            Whether an event tells only what is new, because the sender is answered otherwise.

        Raises
        ------
        MalformedMessage
            Naming the reason.
        """
        if len(frame) <= _SHORT_BYTES and not frame.startswith(_MARK):
            return self._taken(frame, quietly)
        if answer := self._recognizer.introduce_again(hash(frame), self._subscriptions.listening, quietly=quietly):
            return answer
        began = monotonic_ns()
        accrued = (began - self._accrues_from) // tuning.DESCRIPTION_TIME_DIVISOR
        self._time_ns = min(self._time_ns + accrued, tuning.DESCRIPTION_BURST_NS)
        self._accrues_from = began
        if self._time_ns <= 0:
            self._counts["messages_put_off"] += 1
            self._notices.put_off()
            return None
        try:
            return self._taken(frame, quietly)
        finally:
            self._time_ns -= monotonic_ns() - began

    def _taken(self, frame: bytes, quietly: bool) -> Answer | None:
        message = decode(frame)
        if isinstance(message, Description):
            self._subscriptions.update()  # whoever hears the answer should be counted in it
            listening = self._subscriptions.listening(message.stream)
            return self._recognizer.introduce(message, subscribers=listening, quietly=quietly)
        if not isinstance(message, End):
            raise MalformedMessage("kind")
        self._recognizer.take(message, now_ns())
        return None
