"""Requests to a streamer's control endpoint: health, reloading a bundle, annotating and forgetting a stream."""

import time
from pathlib import Path
from typing import Any, TypeVar

import zmq

from kinestream.model.errors import AccessError, BundleError, EndpointError, KinestreamError
from kinestream.streamer.keys.curve import present
from kinestream.streamer.keys.keyfile import ClientKeys, found_keys
from kinestream.streamer.transport.addresses import somebody_listens
from kinestream.streamer.transport.handshakes import Handshakes
from kinestream.streamer.transport.sockets import connect
from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire.annotate import Annotated, AnnotateRequest
from kinestream.streamer.wire.messages import MAX_ACTIVITY, MalformedMessage
from kinestream.streamer.wire.requests import (
    ForgetRequest,
    Forgotten,
    Health,
    HealthRequest,
    KeeperRequest,
    Refused,
    Reloaded,
    ReloadRequest,
    Reply,
    decode_reply,
    decode_request,
    encode_request,
)

_Expected = TypeVar("_Expected", bound=Reply)
_LOOK_S = 0.1
_THERE_S = 5.0
"""How long a streamer is waited for that is not there."""


def health(control: str = wire.CONTROL, timeout_s: float = 5.0, keys: str | Path | ClientKeys | None = None) -> Health:
    """Ask a streamer for its health: its state and counters.

    Parameters
    ----------
    control, timeout_s, keys
        As for `reload`; it takes the right to watch or to administer.

    Raises
    ------
    AccessError
        If the streamer does not accept the keys, or they give no right to ask.
    EndpointError
        If the address cannot be used, or no streamer answers there in time.
    """
    reply = _asked(HealthRequest(), control, timeout_s, keys)
    if isinstance(reply, Refused):
        raise AccessError(f"the streamer does not say how it fares: {reply.reason}")
    if not isinstance(reply, Health):
        raise _unreadable(control)
    return reply


def reload(
    bundle: str | Path,
    control: str = wire.CONTROL,
    timeout_s: float = 120.0,
    keys: str | Path | ClientKeys | None = None,
) -> Reloaded:
    """Have a streamer take another bundle while its streams go on.

    Parameters
    ----------
    bundle : str or Path
        The bundle's folder, on the streamer's machine. It must have the channels, rate and window of the one before.
    control : str
        The streamer's control endpoint; without keys it answers only where that is bound to its own machine.
    timeout_s : float
        How long to wait: PyTorch takes seconds to be ready.
    keys : str, Path or ClientKeys, optional
        The file of your keys, where the streamer asks for them; that which `KINESTREAM_KEYS` names by default.

    Raises
    ------
    BundleError
        If the streamer refuses the bundle; the message says why. Or if no folder can be called so.
    EndpointError
        If the address cannot be used, or no streamer answers there in time.
    """
    request = ReloadRequest(str(Path(bundle).absolute()))
    if not _is_understood(request):
        raise BundleError(f"{str(bundle)[:80]!r}...: no path can be as long, or called so: give the bundle's folder")
    reply = _asked(request, control, timeout_s, keys)
    if isinstance(reply, Refused):
        raise BundleError(f"the streamer does not take {bundle}: {reply.reason}")
    if not isinstance(reply, Reloaded):
        raise _unreadable(control)
    return reply


def annotate(
    stream: str,
    activity: str,
    begin: int,
    end: int,
    control: str = wire.CONTROL,
    timeout_s: float = 5.0,
    keys: str | Path | ClientKeys | None = None,
) -> Annotated:
    """Say what the activity of a stream's wearer was, from `begin` to `end`, Unix ns on the wearer's clock.

    Raises
    ------
    KinestreamError
        If the streamer knows no such stream, or is told too much of it; or if nothing can be called so.
    AccessError
        If it does not accept the keys, or the lack of them.
    EndpointError
        If the address cannot be used, or no streamer answers there in time.
    """
    request = AnnotateRequest(stream, activity, begin, end)
    if not _is_understood(request):
        raise KinestreamError(
            f"no streamer takes {activity[:80]!r} of {stream[:80]!r}: an activity is called by 1 to {MAX_ACTIVITY} "
            "printable characters, a stream by 1 to 64 letters, digits and _ . : @ + -, and none ends before it begins"
        )
    reply = _asked(request, control, timeout_s, keys)
    if isinstance(reply, Refused):
        raise KinestreamError(f"the streamer does not take it: {reply.reason}")
    if not isinstance(reply, Annotated):
        raise _unreadable(control)
    return reply


def forget(
    stream: str,
    control: str = wire.CONTROL,
    timeout_s: float = 5.0,
    keys: str | Path | ClientKeys | None = None,
) -> Forgotten:
    """Have a streamer remove all that it knows of a stream; one whose sender goes on begins anew.

    Raises
    ------
    KinestreamError
        If the streamer refuses; the message says why. Or if no stream can be called so.
    AccessError
        If it does not accept the keys, or the lack of them.
    EndpointError
        If the address cannot be used, or no streamer answers there in time.
    """
    if not _is_understood(ForgetRequest(stream)):
        raise KinestreamError(f"no stream can be called {stream[:80]!r}: use 1 to 64 letters, digits and _ . : @ + -")
    reply = _asked(ForgetRequest(stream), control, timeout_s, keys)
    if isinstance(reply, Refused):
        raise KinestreamError(f"the streamer does not forget {stream}: {reply.reason}")
    if not isinstance(reply, Forgotten):
        raise _unreadable(control)
    return reply


def _is_understood(request: KeeperRequest) -> bool:
    """Tell whether a streamer can read a request: it answers nothing to what it cannot."""
    try:
        return decode_request(encode_request(request)) == request
    except (MalformedMessage, UnicodeEncodeError, OverflowError):
        return False


def _asked(request: KeeperRequest, control: str, timeout_s: float, keys: str | Path | ClientKeys | None) -> Reply:
    who = found_keys(keys)
    context: zmq.Context[Any] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    present(socket, who, wire.MAX_BYTES)
    handshakes = Handshakes(socket, "control", None if who is None else who.client)
    try:
        connect(socket, control)
        there_s = min(timeout_s, _THERE_S)
        if not _comes_up(control, there_s):  # however long a bundle may take
            raise _unanswered(control, there_s)
        return decode_reply(_answered(socket, encode_request(request), handshakes, control, timeout_s))
    except MalformedMessage:
        raise _unreadable(control) from None
    finally:
        handshakes.close()
        context.destroy(linger=0)


def _answered(
    socket: zmq.Socket[bytes], message: bytes, handshakes: Handshakes, control: str, timeout_s: float
) -> bytes:
    """Send a request and return the answer, or raise why there is none: a socket that is kept out waits for ever."""
    until = time.monotonic() + timeout_s
    waits_for = zmq.POLLOUT
    while True:
        if socket.poll(round(1000 * min(max(until - time.monotonic(), 0.0), _LOOK_S)), waits_for):
            if waits_for == zmq.POLLIN:
                return socket.recv()
            socket.send(message, zmq.DONTWAIT)
            waits_for = zmq.POLLIN
            continue
        handshakes.check_keys(control)
        if time.monotonic() >= until:
            raise _unanswered(control, timeout_s)


def _comes_up(control: str, timeout_s: float) -> bool:
    """Wait for somebody to listen at an address: a streamer may just be started again."""
    until = time.monotonic() + timeout_s
    while not somebody_listens(control, timeout_s):
        if time.monotonic() >= until:
            return False
        time.sleep(0.1)
    return True


def _unanswered(control: str, timeout_s: float) -> EndpointError:
    return EndpointError(
        f"no streamer answers at {control} within {timeout_s:g} s: start one with 'kinestream serve BUNDLE', "
        "or give its address with --control"
    )


def _unreadable(control: str) -> EndpointError:
    return EndpointError(f"what answers at {control} is no streamer of this version: install the same kinestream")
