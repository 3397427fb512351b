"""The folder of a streamer's keys: its own pair, the list of clients, and the pairs that were made for them here.

::

    streamer.secret   the streamer's own pair, made when it is first needed
    streamer.public   its public key, for clients that make their own pair
    allowed.yaml      who may do what
    NAME.secret       what client NAME is given, and may then be deleted here
    NAME.public       its public key
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_config_path

from kinestream.model.errors import AccessError, FileError
from kinestream.model.files import not_written
from kinestream.model.system import fcntl
from kinestream.streamer.keys.allowed import AllowList, Client, read_allowed, write_allowed
from kinestream.streamer.keys.keyfile import (
    ClientKeys,
    client_name_is_valid,
    read_client,
    read_public,
    read_streamer,
    write_client,
    write_public,
    write_streamer,
)
from kinestream.streamer.keys.pair import KeyPair, new_pair

Stamp = tuple[int, int, int] | None
"""What changes with a file's content: its inode, size and time, or None where it is missing."""


def default_folder() -> Path:
    """Return where keys are kept unless another folder is given: ``~/.config/kinestream/keys`` on Linux."""
    return user_config_path("kinestream") / "keys"


class KeyFolder:
    """A folder of keys.

    Parameters
    ----------
    path : Path
        The folder; made, readable by its owner only, when something is written to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser()
        self.allowed_path = self.path / "allowed.yaml"
        self.public_path = self.path / "streamer.public"

    def streamer(self) -> KeyPair:
        """Return the streamer's own pair, made where there is none.

        Raises
        ------
        AccessError
            Where its file cannot be used.
        FileError
            Where it cannot be written.
        """
        secret = self.path / "streamer.secret"
        if os.path.exists(secret) and os.path.exists(self.public_path):  # then the folder need not be writable
            return read_streamer(secret)
        with self._locked():
            if not secret.exists():
                write_streamer(secret, new_pair())
            pair = read_streamer(secret)
            if not self.public_path.exists():
                write_public(self.public_path, pair.public)
        return pair

    def new_client(self, name: str, to: Path | None = None) -> Path:
        """Make a pair for a client of this streamer, which has no rights yet; return its secret file.

        Parameters
        ----------
        name : str
            The client.
        to : Path, optional
            Where its secret file goes; into this folder without it.

        Raises
        ------
        AccessError
            Where there is such a client or file already.
        FileError
            Where it cannot be written.
        """
        streamer = self.streamer()
        secret = to or self.path / f"{name}.secret"
        with self._locked():
            allowed = read_allowed(self.allowed_path)
            if name in allowed.clients:
                raise AccessError(f"there is a client {name} already: choose another name, or revoke it first")
            pair = _make_client(name, secret, streamer.public)
            write_public(self.path / f"{name}.public", pair.public, name)
            write_allowed(self.allowed_path, allowed.with_client(name, Client(key=pair.public)))
        return secret

    def allow(self, name: str, rights: dict[str, object], public: Path | None = None) -> Client:
        """Give a client rights, in the place of those it had.

        Parameters
        ----------
        name : str
            The client.
        rights : dict
            Values of `Client`, but for its key.
        public : Path, optional
            The file of its public key, where it is not known yet or is another than before.

        Raises
        ------
        AccessError
            Where there is no such client, or its key cannot be used.
        """
        with self._locked():
            allowed = read_allowed(self.allowed_path)
            if public is not None:
                key = read_public(public, name)
            elif name in allowed.clients:
                key = allowed.clients[name].key
            else:
                raise AccessError(f"there is no client {name}: make it with 'kinestream keys new {name}'")
            client = Client.model_validate({"key": key, **rights})
            write_allowed(self.allowed_path, allowed.with_client(name, client))
        return client

    def revoke(self, name: str) -> None:
        """Take a client from the list, and its key with it.

        Raises
        ------
        AccessError
            Where there is no such client.
        """
        with self._locked():
            allowed = read_allowed(self.allowed_path)
            if name not in allowed.clients:
                known = ", ".join(allowed.clients) or "none"
                raise AccessError(f"there is no client {name}; there are {known}")
            write_allowed(self.allowed_path, allowed.without(name))
            for kind in ("secret", "public"):  # what was made here is of no use any more
                (self.path / f"{name}.{kind}").unlink(missing_ok=True)

    def allowed(self) -> AllowList:
        """Return the list; see `read_allowed`."""
        return read_allowed(self.allowed_path)

    def stamp(self) -> Stamp:
        """Return what changes whenever the list does."""
        try:
            status = os.stat(self.allowed_path)
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other commands out until the block ends."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(self.path / ".lock", "a") as lock:
                if fcntl is not None:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise FileError(not_written(self.path, error)) from error


def new_pair_elsewhere(name: str, secret: Path, streamer_public: Path) -> Path:
    """Make a client's pair where its streamer is not; return the file of its public key, for `KeyFolder.allow`.

    Parameters
    ----------
    name : str
        The client.
    secret : Path
        Where its secret file goes.
    streamer_public : Path
        The streamer's ``streamer.public``.

    Raises
    ------
    AccessError
        Where there is such a file already, or that of the streamer cannot be used.
    FileError
        Where it cannot be written.
    """
    pair = _make_client(name, secret, read_public(streamer_public))
    public = secret.with_name(f"{name}.public")
    write_public(public, pair.public, name)
    return public


def _make_client(name: str, secret: Path, streamer: str) -> KeyPair:
    if not client_name_is_valid(name):
        raise AccessError(f"no client can be called {name!r}: use 1 to 64 letters, digits and . _ -, not 'streamer'")
    if secret.exists():
        raise AccessError(f"{secret}: it is there already: choose another place, or delete it")
    pair = new_pair()
    write_client(secret, ClientKeys(name, pair, streamer))
    read_client(secret)
    return pair
