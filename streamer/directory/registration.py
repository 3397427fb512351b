"""Says to a directory that a streamer is there, once a second, and asks it what whoever keeps a fleet asks."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import zmq

from kinestream.model.clock import now_ns
from kinestream.model.errors import AccessError, EndpointError
from kinestream.streamer.directory import messages
from kinestream.streamer.directory.messages import (
    AskFleet,
    FleetStatus,
    Planned,
    Refused,
    Register,
    Registered,
    SetPlan,
)
from kinestream.streamer.directory.table import Addresses, Plan, State
from kinestream.streamer.keys.curve import present
from kinestream.streamer.keys.keyfile import ClientKeys, found_keys
from kinestream.streamer.transport.handshakes import Handshakes
from kinestream.streamer.transport.sockets import connect
from kinestream.streamer.wire.messages import MalformedMessage

_LOOK_S = 0.1
_WAITING = 4  # registrations: who was away for long is not told of all that was said meanwhile


class Registration:
    """What says that a streamer is there; whoever keeps it calls `beat` about once a second, from one thread.

    Parameters
    ----------
    fleet : str
        The directory's address.
    slot : str
        Which slot the streamer is in.
    addresses : Addresses
        Where it is, as senders and subscribers connect to it.
    instance : int, optional
        When it was started, Unix ms: now by default. Who adopts a streamer tells what was told before.
    keys : str, Path or ClientKeys, optional
        A file of keys with the right to administer, where the directory asks for them.

    Attributes
    ----------
    state : {"serving", "draining"}
        Whether the streamer takes streams; may be set.
    epoch, plan : int, Plan or None
        The highest epoch, and the plan, that are known; told to a directory that was started anew.
    heard_at : float
        When the directory answered last, on the monotonic clock, s; -inf if never.
    refusal : str
        Why it refused last; empty where it did not.

    Raises
    ------
    AccessError
        If the keys cannot be used.
    EndpointError
        If the address cannot.
    """

    def __init__(
        self,
        fleet: str,
        slot: str,
        addresses: Addresses,
        *,
        instance: int | None = None,
        keys: str | Path | ClientKeys | None = None,
    ) -> None:
        self.slot, self.addresses = slot, addresses
        self.instance = now_ns() // 1_000_000 if instance is None else instance
        self.state: State = "serving"
        self.epoch = 0
        self.plan: Plan | None = None
        self.heard_at = float("-inf")
        self.refusal = ""
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set_hwm(_WAITING)
        present(self._socket, found_keys(keys), messages.MAX_ANSWER)
        try:
            connect(self._socket, fleet)
        except EndpointError:
            self.close()
            raise

    def beat(self) -> None:
        """Hear what was answered, and say that the streamer is there; waits for nobody."""
        self._hear()
        register = Register(self.slot, self.instance, self.addresses, self.state, self.epoch, self.plan)
        with suppress(zmq.Again):
            self._socket.send(messages.encode_request(register), zmq.DONTWAIT)

    def wait(self, timeout_s: float) -> bool:
        """Wait for an answer; return whether one came."""
        heard_at = self.heard_at
        if self._socket.poll(round(1000 * timeout_s)):
            self._hear()
        return self.heard_at > heard_at

    def close(self) -> None:
        """Say no more."""
        self._socket.close()
        self._context.term()

    def _hear(self) -> None:
        with suppress(zmq.Again):
            while True:
                frame = self._socket.recv(zmq.DONTWAIT)
                with suppress(MalformedMessage):
                    self._take(messages.decode_answer(frame))

    def _take(self, answer: messages.Answer) -> None:
        if isinstance(answer, Refused):
            self.refusal = answer.reason
        elif isinstance(answer, Registered):
            self.heard_at, self.refusal = time.monotonic(), ""
            self.epoch = max(self.epoch, answer.epoch)
            if answer.plan is not None and (self.plan is None or answer.plan.revision > self.plan.revision):
                self.plan = answer.plan


def set_plan(
    fleet: str,
    slots: tuple[str, ...],
    draining: frozenset[str] = frozenset(),
    *,
    timeout_s: float = 5.0,
    keys: str | Path | ClientKeys | None = None,
) -> Planned:
    """Tell a directory which slots there shall be, and which of them drain.

    Raises
    ------
    AccessError
        If it does not accept the keys, or they give no right to administer.
    EndpointError
        If the address cannot be used, or no directory answers there in time.
    """
    answer = ask(fleet, SetPlan(slots, draining), timeout_s=timeout_s, keys=keys)
    if isinstance(answer, Refused):
        raise AccessError(f"the directory refuses the plan: {answer.reason}")
    if not isinstance(answer, Planned):
        raise _unreadable(fleet)
    return answer


def fleet_status(fleet: str, *, timeout_s: float = 5.0, keys: str | Path | ClientKeys | None = None) -> FleetStatus:
    """Ask a directory how its fleet is; raises as `set_plan`."""
    answer = ask(fleet, AskFleet(), timeout_s=timeout_s, keys=keys)
    if not isinstance(answer, FleetStatus):
        raise _unreadable(fleet)
    return answer


def ask(
    fleet: str,
    request: messages.Request,
    *,
    timeout_s: float = 5.0,
    keys: str | Path | ClientKeys | None = None,
) -> messages.Answer:
    """Ask a directory once; raises as `set_plan`."""
    who = found_keys(keys)
    context: zmq.Context[Any] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    present(socket, who, messages.MAX_ANSWER)
    handshakes = Handshakes(socket, "directory", None if who is None else who.client)
    until = time.monotonic() + timeout_s
    try:
        connect(socket, fleet)
        socket.send(messages.encode_request(request), zmq.DONTWAIT)
        while not socket.poll(round(1000 * min(max(until - time.monotonic(), 0.0), _LOOK_S))):
            handshakes.check_keys(fleet)
            if time.monotonic() >= until:
                raise EndpointError(
                    f"no directory of a fleet answers at {fleet} within {timeout_s:g} s: 'kinestream fleet up' starts "
                    "one, and says its address"
                )
        return messages.decode_answer(socket.recv())
    except MalformedMessage:
        raise _unreadable(fleet) from None
    finally:
        handshakes.close()
        context.destroy(linger=0)


def _unreadable(fleet: str) -> EndpointError:
    return EndpointError(f"what answers at {fleet} is no directory of this version: install the same kinestream")
