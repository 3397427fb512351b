"""Pairs of keys for CURVE, which encrypts a connection and says whose it is: 32 bytes each, written in Z85."""

import re
from dataclasses import dataclass, field

import zmq

from kinestream.model.errors import AccessError

_KEY = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")


@dataclass(frozen=True)
class KeyPair:
    """A pair of keys.

    Parameters
    ----------
    public : str
        What others may know.
    secret : str
        What only its owner may know; it is in no text that is made of this.
    """

    public: str
    secret: str = field(repr=False)


def new_pair() -> KeyPair:
    """Return a pair of the system's random source.

    Raises
    ------
    AccessError
        Where this libzmq cannot encrypt.
    """
    check_curve()
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode(), secret.decode())


def public_of(secret: str) -> str:
    """Return the public key that goes with a secret one."""
    return zmq.curve_public(secret.encode()).decode()


def is_key(text: object) -> bool:
    """Tell whether a text can be a key."""
    return isinstance(text, str) and _KEY.fullmatch(text) is not None


def check_curve() -> None:
    """Raise AccessError where this libzmq cannot encrypt."""
    if not zmq.has("curve"):
        raise AccessError("this libzmq was built without CURVE: install pyzmq's own wheel ('pip install pyzmq')")
