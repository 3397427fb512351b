"""All that the dashboard knows, in bounded memory: streams, their activities, and how streamers fare."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from kinestream.streamer.client.activities import Activities
from kinestream.streamer.dashboard.classes import NOTHING, Classes
from kinestream.streamer.dashboard.member import Member
from kinestream.streamer.dashboard.past import Stretch
from kinestream.streamer.dashboard.row import ENDED, FINE, LIVE, Row, Seen
from kinestream.streamer.dashboard.strip import SECOND
from kinestream.streamer.directory import placement
from kinestream.streamer.directory.table import Table
from kinestream.streamer.wire.messages import Annotation, Event, Label, Published
from kinestream.streamer.wire.status import Status, StreamsStatus

MOST_STREAMS = 20_000
"""Whatever publishes cannot make us keep more."""
_MANY_STREAMS = 1500
"""Past that, little of a stream's past is kept: 75 MB of the former, 10 KB each of the others."""
_FORGET_NS = 900 * SECOND
_SURVEY_NS = 2 * SECOND
_OLDEST_SURVEY_NS = 5 * SECOND
_FOLLOWED = 200
"""While there are no more streams than that, all of their labels are made activities; else of those looked at alone."""


class Survey(NamedTuple):
    """All streams, a few seconds old at most.

    Attributes
    ----------
    seen : list of Seen
    states : Counter of str
        How many streams are in which state; besides, under ``problems``, how many have one.
    activities : Counter of int
        How many live ones do what.
    """

    seen: list[Seen]
    states: Counter[str]
    activities: Counter[int]


class Board:
    """What is known.

    Attributes
    ----------
    rows : dict of Row by str
        By stream.
    classes : Classes
        The activities.
    members : dict of Member by str
        The streamers: one without a name, or a fleet's by their slots.
    is_connected : bool
        Whether any streamer publishes.
    changed_at : int
        Since when that is so, monotonic ns.
    looked_at : callable
        Tells whether somebody looks at a stream.
    """

    def __init__(self, now: int) -> None:
        self.rows: dict[str, Row] = {}
        self.classes = Classes()
        self._only = Member("", now)
        self.members: dict[str, Member] = {"": self._only}
        self.is_connected = False
        self.changed_at = now
        self.looked_at: Callable[[str], bool] = lambda stream: False
        self._table: Table | None = None
        self._activities = Activities()
        self._numbers = 0
        self._stride_s = 0.0
        self._surveyed: tuple[int, Survey] | None = None
        self._looking: Iterator[Row] = iter(())
        self._looked: list[Seen] = []
        self._looks_at: int | None = None  # nobody has looked ahead yet
        self._published, self._heard = 0, now

    def follow(self, table: Table, now: int) -> dict[str, Member]:
        """Take what a fleet's directory tells: who its streamers are, and whose each stream is; return the former."""
        self._table = table
        members = {}
        for name, slot in table.named.items():
            members[name] = self.members.get(name) or Member(name, now)
            members[name].state = slot.state
            if slot.addresses is None:
                members[name].connect(False, now)
        for name in self.members.keys() - members.keys():
            self.members[name].connect(False, now)
        self.members = members
        rows, serving = list(self.rows.values()), list(table.serving)
        if serving:  # else all stay where they were, as their senders do
            owners = placement.owners(placement.hashes(row.stream for row in rows), serving)
            for row, owner in zip(rows, owners.tolist(), strict=True):
                row.member = members[serving[owner]]
        return members

    def connect(self, now: int) -> None:
        """Note whether any streamer publishes."""
        is_connected = any(member.is_connected for member in self.members.values())
        if is_connected != self.is_connected:
            self.is_connected, self.changed_at = is_connected, now

    def add(self, message: Published, now: int, unix: int) -> None:
        """Note a label, an event or an annotation that arrived at `now`, monotonic ns, which is `unix` in Unix ns."""
        row = self.rows.get(message.stream)
        if row is None:
            if len(self.rows) >= MOST_STREAMS and not self._make_room(now):
                return
            self._numbers += 1
            row = self.rows[message.stream] = Row(self._numbers, message.stream, len(self.rows) >= _MANY_STREAMS)
            row.member = self._owner(message.stream)
        if isinstance(message, Label):
            row.stride_s = row.stride_s or self._stride_s
            row.add_label(message, self.classes.number(message.label), now)
            (row.member or self._only).health.count(message)
            if message.t_published > self._published:
                self._published, self._heard = message.t_published, now
        elif isinstance(message, Annotation):
            row.annotate(message)
        elif isinstance(message, Event):
            self._adopt(message)
            row.add_event(message, now, unix)
        self._follow(row, message)

    def add_status(self, status: Status, member: Member) -> None:
        """Note how a streamer fares."""
        member.health.add(status)
        self.classes.adopt(status.classes, status.null_class or None)
        self._stride_s = status.stride / status.rate_hz if status.rate_hz > 0 else 0.0

    def add_rates(self, status: StreamsStatus, member: Member) -> None:
        """Note what the devices of some streams deliver to a streamer; of a fleet's, to the one that has the stream."""
        for each in status.streams:
            if (row := self.rows.get(each.stream)) is not None and row.member in (None, member):
                row.rates = {device.device: (device.measured_hz, device.rate_hz) for device in each.devices}

    def streamer_ns(self, now: int) -> int:
        """Return the Unix time in ns on the streamer's clock, by its newest label; 0 before the first."""
        return self._published + (now - self._heard) if self._published else 0

    def annotated(self, row: Row) -> int:
        """Return the number of what was last said of a stream."""
        said = row.tally.annotated
        return NOTHING if said is None else self.classes.number(said)

    def look(self, row: Row, now: int) -> Seen:
        """Return a stream as a line."""
        return row.look(now, self.annotated(row))

    def survey(self, now: int) -> Survey:
        """Return all streams, some seconds old at most."""
        oldest_ns = _SURVEY_NS if self._looks_at is None else _OLDEST_SURVEY_NS
        if self._surveyed is None or now - self._surveyed[0] >= oldest_ns:
            self._surveyed = now, _survey([self.look(row, now) for row in self.rows.values()])
        return self._surveyed[1]

    def look_ahead(self, now: int) -> None:
        """Look at some of the streams for the next survey: all at once would hold up whoever needs the processor."""
        share = 0.0 if self._looks_at is None else min((now - self._looks_at) / _SURVEY_NS, 1.0)
        self._looks_at = now
        some = list(islice(self._looking, max(math.ceil(share * len(self.rows)), 1)))
        self._looked += [self.look(row, now) for row in some]
        if not some:
            self._surveyed, self._looked = (now, _survey(self._looked)), []
            self._looking = iter(list(self.rows.values()))

    def look_away(self) -> None:
        """Note that nobody needs a survey for a while."""
        self._looks_at, self._looked, self._looking = None, [], iter(list(self.rows.values()))

    def forget(self, now: int) -> None:
        """Let go of streams that were not heard of for a while: a streamer ends those that are silent for so long."""
        gone = [name for name, row in self.rows.items() if now - row.heard_at > _FORGET_NS]
        for name in gone:
            del self.rows[name]

    def _follow(self, row: Row, message: Published) -> None:
        """Make activities of a stream's labels."""
        if isinstance(message, Label) and len(self.rows) > _FOLLOWED and not self.looked_at(row.stream):
            return
        for told in self._activities.add(message):
            row.past.lasts(Stretch(told.begin, told.end, self.classes.number(told.activity)))

    def _owner(self, stream: str) -> Member | None:
        slot = None if self._table is None else self._table.slot_of(stream)
        return None if slot is None else self.members.get(slot)

    def _make_room(self, now: int) -> bool:
        ended = [row for row in self.rows.values() if row.state(now) == ENDED]
        if not ended:
            return False
        del self.rows[min(ended, key=lambda row: row.heard_at).stream]
        return True

    def _adopt(self, event: Event) -> None:
        """Learn the classes of the bundle from an answer to a description, or when another bundle takes over."""
        classes = event.details.get("classes")
        if event.event not in ("accepted", "model") or type(classes) is not list:
            return
        if all(type(name) is str for name in classes):
            null = event.details.get("null_class")
            self.classes.adopt(classes, null if type(null) is str else None)


def _survey(seen: list[Seen]) -> Survey:
    states = Counter(each.state for each in seen)
    states["problems"] = sum(each.severity > FINE for each in seen)
    return Survey(seen, states, Counter(each.activity for each in seen if each.state == LIVE))
