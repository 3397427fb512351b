"""What an address may look like, and whether it can be used: found out before a socket touches anything.

libzmq finds out later, keeps it to itself, or, for ``ipc://``, deletes whatever file is in the way.
"""

import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path

from kinestream.model.errors import EndpointError
from kinestream.model.system import has_unix_sockets

LOOKS_LIKE = "an address looks like tcp://127.0.0.1:5570, tcp://[::1]:5570 or ipc:///run/kinestream.sock"

_LONGEST_PATH = 107  # bytes: what the kernel has room for, less the closing zero
_CONNECT_S = 1.0


def check_all(binds: Sequence[str], connects: Sequence[str] = ()) -> None:
    """Check the addresses that a process is about to use, all before it uses the first.

    Raises
    ------
    EndpointError
        If one cannot be used, or one is to be bound twice.
    """
    for endpoint in binds:
        check_bind(endpoint)
        if "*" not in endpoint and binds.count(endpoint) > 1:
            raise EndpointError(f"cannot bind {endpoint} twice: give another address for one of the two")
    for endpoint in connects:
        check_connect(endpoint)


def check_bind(endpoint: str) -> None:
    """Raise EndpointError if a socket cannot be bound to this; that another one holds the port shows only then."""
    scheme, rest = _parts("bind", endpoint)
    if scheme == "ipc":
        if rest != "*":
            _check_path("bind", endpoint, rest, binding=True)
        return
    host, port = _host_and_port("bind", endpoint, rest)
    if port != "*" and not _is_port(port):
        raise _refused("bind", endpoint, f"{port!r} is no port: give one from 1 to 65535, or * for any that is free")
    if host != "*":
        _check_literal("bind", endpoint, host)


def check_connect(endpoint: str) -> None:
    """Raise EndpointError if a socket cannot be connected to this; that nobody is there yet is no error."""
    scheme, rest = _parts("connect to", endpoint)
    if scheme == "ipc":
        if rest == "*":
            raise _refused("connect to", endpoint, "* names no socket: give its path")
        _check_path("connect to", endpoint, rest, binding=False)
        return
    host, port = _host_and_port("connect to", endpoint, rest.rpartition(";")[2])  # before it: where to connect from
    if not _is_port(port):
        raise _refused("connect to", endpoint, f"{port!r} is no port: give one from 1 to 65535")
    if host == "*":
        raise _refused("connect to", endpoint, "* is no host: give the streamer's name or address")
    _check_literal("connect to", endpoint, host)
    _check_name(endpoint, host)


def needs_ipv6(endpoint: str) -> bool:
    """Tell whether an address, one that can be used, is one of IPv6 alone."""
    if not endpoint.startswith("tcp://"):
        return False
    host = endpoint.removeprefix("tcp://").rpartition(";")[2].rpartition(":")[0]
    if host.startswith("["):
        return True
    if host == "*" or _is_address(host):
        return False
    try:
        found = {family for family, *_ in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return False  # the name of a network interface
    return socket.AF_INET not in found


def is_local(endpoint: str) -> bool:
    """Tell whether only this machine can connect to an address that a socket is bound to."""
    scheme, _, rest = endpoint.partition("://")
    if scheme == "ipc":
        return True
    host = rest.rpartition(":")[0].strip("[]")
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def somebody_listens(endpoint: str, timeout_s: float = _CONNECT_S) -> bool:
    """Tell whether somebody accepts connections at an address that can be connected to; nothing is sent."""
    scheme, rest = _parts("connect to", endpoint)
    try:
        if scheme == "ipc":
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.settimeout(timeout_s)
                probe.connect("\0" + rest[1:] if rest.startswith("@") else rest)
            return True
        host, port = _host_and_port("connect to", endpoint, rest.rpartition(";")[2])
        with socket.create_connection((host.strip("[]"), int(port)), timeout_s):
            return True
    except OSError:
        return False


def _parts(what: str, endpoint: str) -> tuple[str, str]:
    scheme, separator, rest = endpoint.partition("://")
    if not separator or not rest or "\0" in endpoint:
        raise _refused(what, endpoint, LOOKS_LIKE)
    if scheme not in ("tcp", "ipc"):
        raise _refused(what, endpoint, f"{scheme}:// is not supported: {LOOKS_LIKE}")
    if scheme == "ipc" and not has_unix_sockets:
        raise _refused(what, endpoint, "this system has no sockets that are files: give a tcp:// address")
    return scheme, rest


def _host_and_port(what: str, endpoint: str, rest: str) -> tuple[str, str]:
    host, separator, port = rest.rpartition(":")
    if not separator or not host or not port or any(character.isspace() or character == "/" for character in rest):
        raise _refused(what, endpoint, LOOKS_LIKE)
    return host, port


def _is_port(port: str) -> bool:
    return port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 1 << 16


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _check_literal(what: str, endpoint: str, host: str) -> None:
    if host.startswith("[") or host.endswith("]"):
        try:
            ipaddress.IPv6Address(host[1:-1] if host[0] + host[-1] == "[]" else "")
        except ValueError:
            raise _refused(what, endpoint, f"{host} is no IPv6 address: one looks like tcp://[::1]:5570") from None
    elif ":" in host:
        raise _refused(what, endpoint, f"write an IPv6 address in brackets, as in tcp://[{host}]:5570")


def _check_name(endpoint: str, host: str) -> None:
    if host.startswith("[") or _is_address(host):
        return
    try:
        socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise _refused("connect to", endpoint, f"no machine called {host} can be found: give its address") from None


def _check_path(what: str, endpoint: str, name: str, *, binding: bool) -> None:
    if len(os.fsencode(name)) > _LONGEST_PATH:
        raise _refused(what, endpoint, f"the path is too long: give one of {_LONGEST_PATH} bytes at most")
    if name.startswith("@"):
        return  # a name without a file
    path = Path(name)
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise _refused(what, endpoint, f"there is no folder {path.parent}: make it first") from None
    except OSError as error:
        raise _refused(what, endpoint, (error.strerror or "no such path").lower()) from None
    else:
        if not stat.S_ISSOCK(mode):
            raise _refused(what, endpoint, f"{path} is there and is no socket: give another path")
        if binding and not _is_left_over(path):
            raise _refused(what, endpoint, f"{path} is in use: stop what holds it, or give another address")
    if binding and not os.access(path.parent, os.W_OK | os.X_OK):
        raise _refused(what, endpoint, f"{path.parent} cannot be written to: give a path elsewhere")


def _is_left_over(path: Path) -> bool:
    """Tell whether nobody listens at a socket any more."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_S)
        try:
            probe.connect(str(path))
        except OSError as error:
            return error.errno == errno.ECONNREFUSED
    return False


def _refused(what: str, endpoint: str, why: str) -> EndpointError:
    return EndpointError(f"cannot {what} {endpoint}: {why}")
