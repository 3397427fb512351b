"""The files that keys are kept in: only their owner can read secret ones, and no message quotes what they hold.

A file is a few lines of YAML. What is wrong with one is said without a word of what stands in it.
"""

import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinestream.model.errors import AccessError
from kinestream.model.files import reason, write_whole
from kinestream.model.plaindata import dump_yaml, parse_yaml
from kinestream.streamer.keys.pair import KeyPair, is_key, public_of

VARIABLE = "KINESTREAM_KEYS"
"""Names the file of a client's keys, where none is given otherwise."""

_MOST_BYTES = 10_000
_OTHERS_READ, _OTHERS_WRITE = 0o077, 0o022
_CLIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class ClientKeys:
    """What a client needs: its pair, and by which key it knows the streamer.

    Parameters
    ----------
    client : str
        Its name.
    pair : KeyPair
        Its own.
    streamer : str
        The streamer's public key.
    where : str
        The file they are from.
    """

    client: str
    pair: KeyPair
    streamer: str
    where: str = ""


def found_keys(keys: "str | Path | ClientKeys | None") -> ClientKeys | None:
    """Return a client's keys, of the file that `KINESTREAM_KEYS` names where none is given; None where that is empty.

    Raises
    ------
    AccessError
        Where the file cannot be used.
    """
    if isinstance(keys, ClientKeys):
        return keys
    if keys is None:
        keys = os.environ.get(VARIABLE, "")
    return read_client(Path(keys).expanduser()) if str(keys) else None


def client_name_is_valid(name: str) -> bool:
    """Tell whether a client may be called this: 1 to 64 letters, digits and ``. _ -``, of which a file is named."""
    return _CLIENT.fullmatch(name) is not None and name != "streamer"


def write_client(path: Path, keys: ClientKeys) -> None:
    """Write a client's secret file, readable by its owner only."""
    content = {"client": keys.client, **_of(keys.pair), "streamer": keys.streamer}
    head = f"# The keys of client {keys.client}: whoever has this file is {keys.client}. Keep it secret (mode 600).\n"
    _write(path, head, content, private=True)


def read_client(path: Path) -> ClientKeys:
    """Read a client's secret file.

    Raises
    ------
    AccessError
        Where it is missing, readable by others, or no such file.
    """
    content = _read(path, ("client", "public", "secret", "streamer"), private=True)
    return ClientKeys(content["client"], _pair(path, content), content["streamer"], str(path))


def write_streamer(path: Path, pair: KeyPair) -> None:
    """Write a streamer's secret file."""
    _write(path, "# The streamer's own keys: keep them secret (mode 600).\n", _of(pair), private=True)


def read_streamer(path: Path) -> KeyPair:
    """Read a streamer's secret file; raises as `read_client`."""
    return _pair(path, _read(path, ("public", "secret"), private=True))


def write_public(path: Path, public: str, client: str | None = None) -> None:
    """Write a file with a public key, which anybody may have."""
    whose = "this streamer, which its clients need" if client is None else f"client {client}, which its streamer needs"
    content = {"public": public} if client is None else {"client": client, "public": public}
    _write(path, f"# The public key of {whose}. It is no secret.\n", content, private=False)


def read_public(path: Path, client: str | None = None) -> str:
    """Return the public key of a file with one; raises as `read_client`.

    Parameters
    ----------
    path : Path
        The file.
    client : str, optional
        The client that it must be of; the streamer without it.
    """
    content = _read(path, ("public",) if client is None else ("client", "public"), private=False)
    if client is not None and content["client"] != client:
        raise AccessError(f"{path}: it holds the key of {content['client']}, not of {client}")
    return content["public"]


def check_writers(path: Path) -> None:
    """Raise AccessError where others may change a file that says who is let in."""
    if os.name == "posix" and stat.S_IMODE(mode := path.stat().st_mode) & _OTHERS_WRITE:
        raise AccessError(
            f"{path}: others can write to it (mode {stat.S_IMODE(mode):o}), and so let in whom they like: "
            f"'chmod go-w {path}'"
        )


def _of(pair: KeyPair) -> dict[str, str]:
    return {"public": pair.public, "secret": pair.secret}


def _write(path: Path, head: str, content: dict[str, str], *, private: bool) -> None:
    write_whole(path, (head + dump_yaml(content)).encode(), private=private)


def _pair(path: Path, content: dict[str, str]) -> KeyPair:
    if public_of(content["secret"]) != content["public"]:
        raise AccessError(f"{path}: its public key is not that of its secret one: make another pair")
    return KeyPair(content["public"], content["secret"])


def _read(path: Path, names: tuple[str, ...], *, private: bool) -> dict[str, str]:
    """Return what a file says under these names, checked without telling any of it."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            mode = stat.S_IMODE(status.st_mode)
            if private and os.name == "posix" and stat.S_ISREG(status.st_mode) and mode & _OTHERS_READ:
                raise AccessError(f"{path}: it is secret, and others can read it (mode {mode:o}): 'chmod 600 {path}'")
            text = file.read(_MOST_BYTES + 1)
    except OSError as error:
        advice = "name the file that 'kinestream keys new' made"
        raise AccessError(f"{path}: cannot be read ({reason(error)}): {advice}") from None
    content: Any = None
    with suppress(ValueError):  # what is wrong with it might quote a key
        content = parse_yaml(text.decode()) if len(text) <= _MOST_BYTES else None
    is_whole = isinstance(content, dict) and content.keys() == set(names)
    if not is_whole or not all(_is_valid(name, content[name]) for name in names):
        what = "secret keys" if private else "a public key"
        raise AccessError(f"{path}: it is no file with {what}, or a damaged one: make one with 'kinestream keys new'")
    return {name: content[name] for name in names}


def _is_valid(name: str, value: object) -> bool:
    return isinstance(value, str) and client_name_is_valid(value) if name == "client" else is_key(value)
