"""Who has registered, and the table that follows from it; no socket and no clock here.

The state is soft: whoever keeps a streamer says about once a second that it is there, and tells the plan and the
highest epoch that it knows. So a directory that was started anew and knows nothing knows all of it again a second
later. Until then it tells nobody anything, and who followed the one before goes on by what that told: nobody notices.
It waits until all slots of the plan have registered, or for `patience_s`, by which those that have not are passed over.

Which table follows:

- A slot of the plan is served by whoever registered for it, was heard of within `patience_s`, and takes streams; of
  several, by the one that was started last. The others drain: an old one that does not know that it was replaced
  (split brain) is one of them.
- Where nobody serves a slot it is away: its streams go to the slots that come next for each of them, until somebody
  does.
- Whoever else is heard of drains: what is no longer in the plan, or shall drain by it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from kinestream.streamer.directory.messages import MAX_SLOTS, Register, Streamer
from kinestream.streamer.directory.table import Plan, Slot, Table

PATIENCE_S = 4.0
"""How long a streamer may not be heard of before its slot is passed over: some four times that it would have been."""
_MOST = 2 * MAX_SLOTS


@dataclass
class _Heard:
    """A streamer that has registered, and when, on the monotonic clock, s."""

    register: Register
    at: float


class Roster:
    """Who has registered.

    Parameters
    ----------
    fleet : str
        The fleet's name.
    now : float
        The time on the monotonic clock, s.
    patience_s : float
        See above.
    plan, epoch : Plan, int
        What is known from before.
    unix_ms : callable
        Returns Unix time in ms.

    Attributes
    ----------
    table : Table or None
        What holds; None while that is not known yet.
    plan : Plan or None
        Which slots there shall be.
    epoch : int
        The highest that is known of.
    """

    def __init__(
        self,
        fleet: str,
        now: float,
        *,
        unix_ms: Callable[[], int],
        patience_s: float = PATIENCE_S,
        plan: Plan | None = None,
        epoch: int = 0,
    ) -> None:
        self.fleet, self.plan, self.epoch = fleet, plan, epoch
        self.table: Table | None = None
        self._patience_s, self._unix_ms = patience_s, unix_ms
        self._planned_at = now
        self._heard: dict[tuple[str, int], _Heard] = {}

    def register(self, register: Register, now: float) -> bool:
        """Take what whoever keeps a streamer says; return whether there was room for it."""
        known = (register.slot, register.instance)
        if known not in self._heard and len(self._heard) >= _MOST:
            return False
        self._heard[known] = _Heard(register, now)
        self.epoch = max(self.epoch, register.epoch)
        told = register.plan
        if told is not None and (self.plan is None or told.revision > self.plan.revision):
            if self.plan is None:
                self._planned_at = now
            self.plan = told
        return True

    def set_plan(self, slots: tuple[str, ...], draining: frozenset[str], now: float) -> Plan:
        """Take another plan."""
        if self.plan is None:
            self._planned_at = now
        revision = max(self._unix_ms(), 0 if self.plan is None else self.plan.revision + 1)
        self.plan = Plan(slots, draining, revision)
        return self.plan

    def update(self, now: float) -> bool:
        """Forget who is not heard of any more, and see what follows; return whether that is another table."""
        self._heard = {known: each for known, each in self._heard.items() if now - each.at <= self._patience_s}
        if self.plan is None:
            return False
        slots = self._slots(self.plan)
        if self.table is None:
            is_whole = all(slot.state != "away" for slot in slots)
            if not is_whole and now - self._planned_at < self._patience_s:
                return False
        elif self.table.slots == slots:
            return False
        self.epoch = max(self._unix_ms(), self.epoch + 1)
        self.table = Table(self.fleet, self.epoch, slots)
        return True

    def streamers(self, now: float) -> list[Streamer]:
        """Return who has registered."""
        return [
            Streamer(slot, instance, each.register.state, each.register.addresses, now - each.at)
            for (slot, instance), each in sorted(self._heard.items())
        ]

    def waits_for(self) -> list[str]:
        """Return the slots of the plan that nobody has registered for."""
        heard = {slot for slot, _ in self._heard}
        return [] if self.plan is None else [slot for slot in self.plan.slots if slot not in heard]

    def _slots(self, plan: Plan) -> tuple[Slot, ...]:
        wanted = dict.fromkeys(plan.slots)
        serves: dict[str, Register] = {}
        rest: list[Register] = []
        for _, each in sorted(self._heard.items(), reverse=True):  # of each slot, the last that was started comes first
            register = each.register
            takes = register.slot in wanted and register.slot not in plan.draining and register.state == "serving"
            if takes and register.slot not in serves:
                serves[register.slot] = register
            else:
                rest.append(register)
        drains = [Slot(each.slot, "draining", each.addresses) for each in rest]
        taken = {each.addresses for each in serves.values()}
        drains = [slot for slot in drains if slot.addresses not in taken]
        drained = {slot.name for slot in drains}
        slots = [
            Slot(name, "serving", serves[name].addresses) if name in serves else Slot(name)
            for name in wanted
            if name in serves or name not in drained
        ]
        return (*slots, *sorted(drains, key=lambda slot: (slot.name, str(slot.addresses))))
