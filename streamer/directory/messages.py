"""What is said to a fleet's directory and by it: msgpack maps, each one frame, at two sockets of its own.

At its address, a ROUTER, whoever may connect asks or says, and is answered:

``{v, kind: "where"}``
    who serves what. Answered by ``{v, kind: "table", fleet, epoch, updates, slots: [{name, state, addresses}]}``;
    `addresses` is nil or ``{samples, control, labels, watch}``; `updates` is where changes are published. While the
    directory does not know yet (it was just started, and not all have registered), by ``{v, kind: "gathering",
    fleet, reason}``: ask again.
``{v, kind: "register", slot, instance, state, addresses, epoch, plan}``
    from whoever keeps a streamer, about once a second; it is heard of no more where that ends. `instance` is Unix time
    in ms when the streamer was started: of two that register for a slot, the later one has it, and the other drains.
    `state` is ``serving`` or ``draining``. `epoch` is the highest that it knows (0: none), `plan` the plan that it
    knows (nil: none). Answered by ``{v, kind: "registered", epoch, plan}``, which is what to tell next time: so a
    directory that was started anew, and has forgotten everything, learns it again within a second.
``{v, kind: "plan", slots, draining}``
    which slots there shall be, and which of them drain. Answered by ``{v, kind: "planned", revision, epoch}``.
``{v, kind: "fleet"}``
    how the fleet is. Answered by ``{v, kind: "fleet", fleet, epoch, ready, uptime_s, plan, streamers, totals}``.

What it does not do it answers by ``{v, kind: "refused", reason}``; what it cannot read it counts and does not answer.
To register and to plan takes the right to administer, where it asks for keys.

At `updates`, an XPUB, it publishes two frames: the topic ``table/`` with the table, as above, whenever that has
changed; and once a second the topic ``epoch/`` with ``{v, kind: "epoch", fleet, epoch}``, so that who missed a table
notices.

A plan is ``{revision, slots, draining}``. Numbers are at least 0 and below 2^62.

Longer than other files: each message stands beside what checks it.
"""

from typing import Any, NamedTuple

import msgpack

from kinestream.streamer.directory.table import Addresses, Plan, Slot, State, Table
from kinestream.streamer.wire.codec import unpack
from kinestream.streamer.wire.messages import MAX_INT, VERSION, MalformedMessage, name_is_valid

DIRECTORY = "tcp://127.0.0.1:5560"
"""Where a directory answers unless told otherwise."""
UPDATES = "tcp://127.0.0.1:5561"
"""Where it publishes unless told otherwise."""
MAX_REQUEST = 1 << 18
"""Bytes of a request: a plan of all slots that there may be."""
MAX_ANSWER = 1 << 20
MAX_SLOTS = 500
"""Slots of a fleet. As many again may only drain: so an array stays below what is unpacked."""
MAX_ADDRESS = 255
TABLE_TOPIC, EPOCH_TOPIC = b"table/", b"epoch/"

_ADDRESSES = set(Addresses.__annotations__)
_PLAN = {"revision", "slots", "draining"}


class Where(NamedTuple):
    """Asks who serves what."""


class Register(NamedTuple):
    """Says that a streamer is there.

    Attributes
    ----------
    slot : str
        Which slot it is in.
    instance : int
        When it was started, Unix ms; what is adopted keeps its own.
    addresses : Addresses
        Where it is.
    state : {"serving", "draining"}
        Whether it takes streams.
    epoch : int
        The highest that whoever keeps it knows.
    plan : Plan or None
        The plan that it knows.
    """

    slot: str
    instance: int
    addresses: Addresses
    state: State = "serving"
    epoch: int = 0
    plan: Plan | None = None


class SetPlan(NamedTuple):
    """Says which slots there shall be."""

    slots: tuple[str, ...]
    draining: frozenset[str] = frozenset()


class AskFleet(NamedTuple):
    """Asks how the fleet is."""


Request = Where | Register | SetPlan | AskFleet


class Told(NamedTuple):
    """A table, and where its changes are published."""

    table: Table
    updates: str


class Gathering(NamedTuple):
    """The directory does not know yet."""

    fleet: str
    reason: str


class Registered(NamedTuple):
    """What whoever keeps a streamer tells next time."""

    epoch: int
    plan: Plan | None


class Planned(NamedTuple):
    """The plan is known."""

    revision: int
    epoch: int


class Refused(NamedTuple):
    """It does not do that."""

    reason: str


class Streamer(NamedTuple):
    """A streamer that has registered.

    Attributes
    ----------
    slot, instance, state, addresses
        As it said; see `Register`. What the table says of it may be another state.
    heard_s : float
        How long ago it was heard of.
    """

    slot: str
    instance: int
    state: str
    addresses: Addresses
    heard_s: float


class FleetStatus(NamedTuple):
    """How the fleet is.

    Attributes
    ----------
    fleet, epoch : str, int
        Its name, and the table's epoch; 0 where there is none yet.
    ready : bool
        Whether there is a table.
    uptime_s : float
        For how long the directory has been there.
    plan : Plan or None
        Which slots there shall be.
    streamers : list of Streamer
        Who has registered, and is heard of.
    totals : dict of int by str
        What was counted.
    """

    fleet: str
    epoch: int
    ready: bool
    uptime_s: float
    plan: Plan | None
    streamers: list[Streamer]
    totals: dict[str, int]


class EpochTold(NamedTuple):
    """The epoch of the table that holds."""

    fleet: str
    epoch: int


Answer = Told | Gathering | Registered | Planned | Refused | FleetStatus


def encode_request(request: Request) -> bytes:
    """Return the message of a request."""
    match request:
        case Where():
            return _packed("where")
        case AskFleet():
            return _packed("fleet")
        case SetPlan(slots, draining):
            return _packed("plan", slots=list(slots), draining=sorted(draining))
        case Register(slot, instance, addresses, state, epoch, plan):
            told = {"slot": slot, "instance": instance, "state": state, "addresses": vars(addresses)}
            return _packed("register", **told, epoch=epoch, plan=_plan_map(plan))


def decode_request(frame: bytes) -> Request:
    """Read a request.

    Raises
    ------
    MalformedMessage
        Naming the reason.
    """
    content = unpack(frame, MAX_REQUEST)
    kind = content["kind"] if type(content.get("kind")) is str else ""
    if kind in ("where", "fleet"):
        _expect(content, set())
        return Where() if kind == "where" else AskFleet()
    if kind == "plan":
        _expect(content, {"slots", "draining"})
        plan = _plan({**{name: content[name] for name in ("slots", "draining")}, "revision": 0})
        return SetPlan(plan.slots, plan.draining)
    if kind == "register":
        _expect(content, {"slot", "instance", "state", "addresses", "epoch", "plan"})
        if content["state"] not in ("serving", "draining"):
            raise MalformedMessage("state")
        told = content["plan"]
        return Register(
            _name(content["slot"]),
            _number(content["instance"]),
            _addresses(content["addresses"]),
            content["state"],
            _number(content["epoch"]),
            None if told is None else _plan(told),
        )
    raise MalformedMessage("kind")


def encode_answer(answer: Answer) -> bytes:
    """Return the message of an answer."""
    match answer:
        case Told(table, updates):
            slots = [
                {"name": slot.name, "state": slot.state, "addresses": slot.addresses and vars(slot.addresses)}
                for slot in table.slots
            ]
            return _packed("table", fleet=table.fleet, epoch=table.epoch, updates=updates, slots=slots)
        case Registered(epoch, plan):
            return _packed("registered", epoch=epoch, plan=_plan_map(plan))
        case FleetStatus():
            streamers = [{**each._asdict(), "addresses": vars(each.addresses)} for each in answer.streamers]
            return _packed("fleet", **{**answer._asdict(), "plan": _plan_map(answer.plan), "streamers": streamers})
        case Gathering() | Planned() | Refused():
            return _packed(type(answer).__name__.lower(), **answer._asdict())


def decode_answer(frame: bytes) -> Answer:
    """Read an answer, or a table that was published; what is not known in it is passed over.

    Raises
    ------
    MalformedMessage
        Naming the reason.
    """
    content = unpack(frame, MAX_ANSWER)
    try:
        match content.get("kind"):
            case "table":
                slots = tuple(map(_slot, _array(content["slots"], 2 * MAX_SLOTS)))
                table = Table(_name(content["fleet"]), _number(content["epoch"]), slots)
                return Told(table, _address(content["updates"]))
            case "gathering":
                return Gathering(_name(content["fleet"]), _text(content["reason"]))
            case "registered":
                told = content["plan"]
                return Registered(_number(content["epoch"]), None if told is None else _plan(told))
            case "planned":
                return Planned(_number(content["revision"]), _number(content["epoch"]))
            case "refused":
                return Refused(_text(content["reason"]))
            case "fleet":
                return _status(content)
    except KeyError as error:
        raise MalformedMessage(str(error.args[0])) from None
    raise MalformedMessage("kind")


def encode_epoch(told: EpochTold) -> bytes:
    """Return the message that tells of the epoch."""
    return _packed("epoch", **told._asdict())


def decode_epoch(frame: bytes) -> EpochTold:
    """Read it.

    Raises
    ------
    MalformedMessage
        Naming the reason.
    """
    content = unpack(frame, MAX_REQUEST)
    if content.get("kind") != "epoch":
        raise MalformedMessage("kind")
    return EpochTold(_name(content.get("fleet")), _number(content.get("epoch")))


def _packed(kind: str, **content: Any) -> bytes:
    message: bytes = msgpack.packb({"v": VERSION, "kind": kind, **content})
    return message


def _expect(content: dict[str, Any], names: set[str]) -> None:
    if content.keys() != {"v", "kind", *names}:
        raise MalformedMessage("keys")


def _plan_map(plan: Plan | None) -> dict[str, Any] | None:
    if plan is None:
        return None
    return {"revision": plan.revision, "slots": list(plan.slots), "draining": sorted(plan.draining)}


def _plan(content: Any) -> Plan:
    if type(content) is not dict or content.keys() != _PLAN:
        raise MalformedMessage("plan")
    slots = tuple(map(_name, _array(content["slots"], MAX_SLOTS)))
    draining = frozenset(map(_name, _array(content["draining"], MAX_SLOTS)))
    if len(set(slots)) != len(slots) or not draining <= set(slots):
        raise MalformedMessage("plan")
    return Plan(slots, draining, _number(content["revision"]))


def _slot(content: Any) -> Slot:
    if type(content) is not dict or content.get("state") not in ("serving", "draining", "away"):
        raise MalformedMessage("slots")
    told = content.get("addresses")
    return Slot(_name(content.get("name")), content["state"], None if told is None else _addresses(told))


def _status(content: dict[str, Any]) -> FleetStatus:
    told, totals = content["plan"], content["totals"]
    if type(content["ready"]) is not bool or type(content["uptime_s"]) is not float or type(totals) is not dict:
        raise MalformedMessage("fleet")
    if not all(type(name) is str and type(count) is int for name, count in totals.items()):
        raise MalformedMessage("totals")
    streamers = []
    for each in _array(content["streamers"], 2 * MAX_SLOTS):
        if type(each) is not dict or type(each.get("heard_s")) is not float or type(each.get("state")) is not str:
            raise MalformedMessage("streamers")
        slot, instance = _name(each.get("slot")), _number(each.get("instance"))
        streamers.append(Streamer(slot, instance, each["state"], _addresses(each.get("addresses")), each["heard_s"]))
    return FleetStatus(
        _name(content["fleet"]),
        _number(content["epoch"]),
        content["ready"],
        content["uptime_s"],
        None if told is None else _plan(told),
        streamers,
        totals,
    )


def _addresses(content: Any) -> Addresses:
    if type(content) is not dict or content.keys() != _ADDRESSES:
        raise MalformedMessage("addresses")
    return Addresses(**{name: _address(address) for name, address in content.items()})


def _address(value: Any) -> str:
    if type(value) is not str or not 0 < len(value) <= MAX_ADDRESS or not value.isprintable():
        raise MalformedMessage("addresses")
    return value


def _array(value: Any, most: int) -> list[Any]:
    if type(value) is not list or len(value) > most:
        raise MalformedMessage("slots")
    return value


def _name(value: Any) -> str:
    if type(value) is not str or not name_is_valid(value):
        raise MalformedMessage("name")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise MalformedMessage("reason")
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < MAX_INT:
        raise MalformedMessage("number")
    return value
