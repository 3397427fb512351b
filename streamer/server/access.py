"""What a streamer lets its clients do, message by message, once their connections have been let in.

libzmq asks for keys only when a connection begins. So every message and request is looked at here as well, by the
public key that it came under: whoever is revoked, or loses a right, has lost it with the next message that is taken
after the list was read again. Then what its streams were described by means nothing any more, and its connections are
broken: when they come back, they are not let in.

Samples name the key of a description, 64 random bits that only its sender and this streamer know. They are not compared
with whoever described it, message by message: a client that knows another's, because it was told, can send as that one
for as long as it has the right to send at all.

Without keys there is none of this.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from kinestream.model.clock import monotonic_ns
from kinestream.streamer.keys.allowed import AllowList, Client, Right
from kinestream.streamer.keys.gate import DOMAINS, Gate
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.server.notices import Notices
from kinestream.streamer.server.ports import Ports
from kinestream.streamer.server.quotas import Quotas
from kinestream.streamer.wire.codec import DESCRIPTION_MARK, is_samples, unpack
from kinestream.streamer.wire.messages import HEAD, Description
from kinestream.streamer.wire.tracked import decode_tracked, is_tracked

User = str | None
"""The public key that a message came under; None where nobody asked for it."""

_REMEMBERED = 50_000  # descriptions
_REQUESTS: dict[str, tuple[Right, ...]] = {
    "acknowledge": ("send",),
    "annotate": ("send", "administer"),  # to send the stream that it names
    "forget": ("administer",),
    "health": ("watch", "administer"),
    "history": ("read",),
    "reload": ("administer",),
}
"""One of these rights is needed for a request of this kind at the control endpoint; to administer for any other."""
_DESCRIPTIONS = ("describe", "end", "annotation")
"""Kinds that are looked at with the stream that they are about, wherever they come."""


class Access:
    """Decides what a client may send, ask for and listen to.

    Parameters
    ----------
    gate : Gate
        What asks for keys.
    recognizer : Recognizer
        Which streams there are.
    notices : Notices
        Where is said what was refused.
    counts : Counter
        Where it is counted.
    """

    def __init__(self, gate: Gate, recognizer: Recognizer, notices: Notices, counts: Counter[str]) -> None:
        self._gate, self._recognizer, self._notices, self._counts = gate, recognizer, notices, counts
        self._quotas = Quotas(recognizer, counts)
        self._admitted: set[tuple[User, int]] = set()

    @property
    def _allowed(self) -> AllowList:
        return self._gate.allowed

    def take(self, frames: list[bytes], users: list[User]) -> tuple[list[bytes], list[User]]:
        """Return those of some senders' messages that may come in, in their order, and whose they are."""
        of_each = Counter(users)
        sizes: dict[User, list[int]] = {}
        refused: dict[User, int] = {}  # how many of whom may come in, of those of whom not all may
        now = monotonic_ns()
        for user, count in of_each.items():
            client = self._allowed.of(user)
            if client is None or not client.send:
                refused[user] = 0
                self._counts["messages_not_allowed"] += count
            elif client.quota.bytes_per_s is not None or client.quota.messages_per_s is not None:
                sizes = sizes or _sizes(frames, users)
                if (most := self._quotas.messages(str(user), client.quota, sizes[user], now)) < count:
                    refused[user] = most
        return self._without(frames, users, refused) if refused else (frames, users)

    def _without(
        self, frames: Sequence[bytes], users: Sequence[User], most: dict[User, int]
    ) -> tuple[list[bytes], list[User]]:
        left, kept, whose = dict(most), [], []
        for frame, user in zip(frames, users, strict=True):
            if user in left:
                if left[user] <= 0:
                    self._note_dropped(frame, user)
                    continue
                left[user] -= 1
            kept.append(frame)
            whose.append(user)
        return kept, whose

    def _note_dropped(self, frame: bytes, user: User) -> None:
        client = self._allowed.of(user)
        if client is None or not client.send:
            return
        key = None
        if is_tracked(frame) or (is_samples(frame) and len(frame) >= HEAD.size):
            key = HEAD.unpack_from(frame)[2]  # at the same place in both
        self._quotas.note_dropped(self._allowed.name_of(user), client.quota, key)

    def was_admitted(self, user: User, fingerprint: int) -> bool:
        """Tell whether a description, byte for byte, was found to be allowed to whoever sends it."""
        return (user, fingerprint) in self._admitted

    def refusal(self, user: User, about: Description) -> str | None:
        """Return why a client may not describe a stream; None where it may."""
        client, name = self._allowed.of(user), self._allowed.name_of(user)
        if client is None or not client.may_send(about.stream):
            self._counts["descriptions_not_allowed"] += 1
            why = f"{name} may not send stream {about.stream}: 'kinestream keys allow' says which it may"
        elif not self._quotas.has_room(str(user), client.quota, about.stream):
            self._counts["descriptions_over_quota"] += 1
            why = f"{name} may have {client.quota.streams} streams at a time, and has: end another, or raise its quota"
        else:
            return None
        self._notices.denied(name, why)
        return why

    def note_admitted(self, user: User, about: Description) -> None:
        """Note that a stream was accepted by its description."""
        if len(self._admitted) >= _REMEMBERED:
            self._admitted.clear()
        self._admitted.add((user, about.fingerprint))
        self._quotas.note_stream(str(user), about.stream)

    def may_speak_for(self, user: User, key: int) -> bool:
        """Tell whether a client may end the session of a description's key, or annotate it: of a stream it may send."""
        client, stream = self._allowed.of(user), self._recognizer.stream_of(key)
        if client is not None and (stream is None or client.may_send(stream)):
            return True
        self._counts["messages_not_allowed"] += 1
        return False

    def may_take_tracked(self, user: User, frame: bytes) -> bool:
        """Tell whether a tracked message may come in: what is no samples, where its client may speak for the stream.

        Raises
        ------
        MalformedMessage
            Where it cannot be read.
        """
        tracked = decode_tracked(frame)
        return is_samples(tracked.message) or self.may_speak_for(user, tracked.key)

    def refusal_of_request(self, user: User, frame: bytes) -> str | None:
        """Return why a client may not ask for something at the control endpoint; None where it may.

        Raises
        ------
        MalformedMessage
            Where it cannot be read.
        """
        client, name = self._allowed.of(user), self._allowed.name_of(user)
        if client is not None and not self._quotas.messages(str(user), client.quota, [len(frame)], monotonic_ns()):
            self._counts["requests_over_quota"] += 1
            return f"{name} asks for more than it may: ask again later"
        if frame.startswith(DESCRIPTION_MARK):
            return None
        content = {"kind": "samples"} if is_samples(frame) else unpack(frame)
        kind = str(content.get("kind"))
        if kind in _DESCRIPTIONS:
            return None
        rights: tuple[Right, ...] = ("send",) if kind == "samples" else _REQUESTS.get(kind, ("administer",))
        if client is None or not any(_has(client, right, content) for right in rights):
            self._counts["requests_not_allowed"] += 1
            needed = " or ".join(f"--{right}" for right in rights)
            why = f"{name} has no right to ask for that: it needs {needed} of 'kinestream keys allow'"
            self._notices.denied(name, why)
            return why
        if kind == "history" and not self._quotas.history(str(user), client.quota):
            self._counts["requests_over_quota"] += 1
            return f"{name} may ask for the history {client.quota.history_per_min:g} times a minute: ask again later"
        return None

    def may_listen(self, user: User) -> bool:
        """Tell whether a client may read labels."""
        return self._allowed.may(user, DOMAINS["labels"])

    def may_watch(self, user: User) -> bool:
        """Tell whether a client may watch readings and figures."""
        return self._allowed.may(user, DOMAINS["watch"])

    def look(self, ports: Ports) -> None:
        """Read the list again if it has changed, and take from everybody what they may do no more."""
        self._quotas.tell()
        before = self._allowed
        if not self._gate.look():
            return
        self._admitted.clear()
        now = self._allowed
        lost = [key for key, (_, client) in before.by_key.items() if _lost(client.send, now.of(key))]
        if lost:
            self._counts["streams_revoked"] += self._recognizer.retire(self._may_still)
        ports.cut(lambda domain, user: now.may(user, DOMAINS[domain]))

    def _may_still(self, sender: str, stream: str) -> bool:
        client = self._allowed.of(sender)
        return client is not None and client.may_send(stream)


def access_by(
    gate: Gate | None, ports: Ports, recognizer: Recognizer, notices: Notices, counts: Counter[str]
) -> Access | None:
    """Return what looks at what comes in by some ports, with parameters of `Access`; None where nobody is asked."""
    if gate is None:
        return None
    access = Access(gate, recognizer, notices, counts)
    ports.subscriptions.may_listen, ports.watched.may_listen = access.may_listen, access.may_watch
    return access


def _has(client: Client, right: Right, content: Mapping[str, object]) -> bool:
    """Tell whether a client has a right to what a request asks for; to send, for the stream that it names."""
    if right == "send" and content.get("kind") not in ("samples", "acknowledge"):  # those name secret keys
        return client.may_send(str(content.get("stream")))
    return client.may(right)


def _sizes(frames: Sequence[bytes], users: Sequence[User]) -> dict[User, list[int]]:
    """Return the sizes of each sender's messages."""
    sizes: dict[User, list[int]] = {user: [] for user in set(users)}
    for frame, user in zip(frames, users, strict=True):
        sizes[user].append(len(frame))
    return sizes


def _lost(before: Sequence[str], after: object) -> bool:
    return bool(before) and getattr(after, "send", None) != before
