"""The list of clients: who may send which streams, read, watch, administer, and how much of it.

It is a YAML file that people may read and change, too::

    clients:
      phone:
        key: 'rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7'
        send: ['anna*']
        read: true
        quota: {messages_per_s: 500}
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from kinestream.model.config.file import load_section
from kinestream.model.config.section import Count, Positive, Section, contradiction, doubled
from kinestream.model.files import write_whole
from kinestream.model.plaindata import dump_yaml
from kinestream.streamer.keys.keyfile import check_writers, client_name_is_valid
from kinestream.streamer.keys.pair import is_key
from kinestream.streamer.wire.messages import MAX_TEXT

Right = Literal["send", "read", "watch", "administer"]
"""What a client may be allowed: to send samples of streams, to read labels, to watch signals and how a streamer fares,
to have it take another bundle or forget a stream."""

RIGHTS: tuple[Right, ...] = get_args(Right)

_PATTERN = re.compile(rf"[\w.:@+*?-]{{1,{MAX_TEXT}}}")
_MOST_PATTERNS = 1000
_HEAD = "# Who may do what at this streamer. 'kinestream keys' changes it; changed by hand, it is read again, too.\n"


def _checked(what: str, is_valid: Callable[[str], bool]) -> AfterValidator:
    def check(text: str) -> str:
        if not is_valid(text):
            raise ValueError(f"should be {what}")
        return text

    return AfterValidator(check)


def pattern_is_valid(pattern: str) -> bool:
    """Tell whether this can name streams: a stream's name, with ``*`` for any letters and ``?`` for any one."""
    return _PATTERN.fullmatch(pattern) is not None


ClientName = Annotated[str, _checked("a name of 1 to 64 letters, digits and . _ -", client_name_is_valid)]
PublicKey = Annotated[str, _checked("a public key of 40 characters, as a client's .public file has it", is_key)]
Pattern = Annotated[str, _checked("a stream's name, with * for any letters and ? for any one", pattern_is_valid)]


class Quota(Section):
    """What a client may ask of a streamer; without a limit where none is given.

    Attributes
    ----------
    streams : int or None
        That it may have described at a time.
    messages_per_s, bytes_per_s : float or None
        That are taken of it; at once, as much as in a second.
    history_per_min : float or None
        Requests for the history, and as many at once.
    """

    streams: Count | None = None
    messages_per_s: Positive | None = None
    bytes_per_s: Positive | None = None
    history_per_min: Positive | None = None


class Client(Section):
    """One client.

    Attributes
    ----------
    key : str
        Its public key.
    send : tuple of str
        The streams that it may send, with ``*`` and ``?``.
    read, watch, administer : bool
        Its other rights.
    quota : Quota
        How much of it.
    """

    key: PublicKey
    send: Annotated[tuple[Pattern, ...], Field(max_length=_MOST_PATTERNS)] = ()
    read: bool = False
    watch: bool = False
    administer: bool = False
    quota: Quota = Quota()

    def may(self, right: Right) -> bool:
        """Tell whether it has a right; that to send, for any stream at all."""
        return bool(getattr(self, right))

    def may_send(self, stream: str) -> bool:
        """Tell whether it may send a stream."""
        return _sendable(self.send).fullmatch(stream) is not None

    @property
    def rights(self) -> tuple[Right, ...]:
        """Those it has."""
        return tuple(right for right in RIGHTS if self.may(right))


@lru_cache(maxsize=4096)
def _sendable(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)) if patterns else r"(?!)")


class _File(Section):
    """What the file says."""

    clients: dict[ClientName, Client] = Field(default={})

    @model_validator(mode="after")
    def _keys_once(self) -> Self:
        if doubled(each.key for each in self.clients.values()):
            raise contradiction("clients", "two of them have the same key: make each a pair of its own")
        return self


@dataclass(frozen=True)
class AllowList:
    """All clients.

    Parameters
    ----------
    clients : dict of Client by str
        By their names.
    """

    clients: dict[str, Client] = field(default_factory=dict)

    @cached_property
    def by_key(self) -> Mapping[str, tuple[str, Client]]:
        """Name and rights by public key."""
        return {each.key: (name, each) for name, each in self.clients.items()}

    def of(self, user: str | None) -> Client | None:
        """Return whom a public key belongs to; None where nobody of that key is let in."""
        found = self.by_key.get(user or "")
        return None if found is None else found[1]

    def name_of(self, user: str | None) -> str:
        """Return what whoever has a public key is called."""
        found = self.by_key.get(user or "")
        return "a client whose key is not in the list" if found is None else found[0]

    def may(self, user: str | None, rights: Iterable[Right]) -> bool:
        """Tell whether whoever has a public key has one of these rights."""
        client = self.of(user)
        return client is not None and any(client.may(right) for right in rights)

    def with_client(self, name: str, client: Client) -> "AllowList":
        """Return the list with another client, or with other rights of it."""
        return AllowList({**self.clients, name: client})

    def without(self, name: str) -> "AllowList":
        """Return the list without a client."""
        return AllowList({other: each for other, each in self.clients.items() if other != name})


def read_allowed(path: Path) -> AllowList:
    """Read the list; nobody is let in where there is none.

    Raises
    ------
    ConfigError
        With everything that is wrong with it.
    AccessError, FileError
        Where others can write to it, or it cannot be read.
    """
    try:
        check_writers(path)
    except FileNotFoundError:
        return AllowList()
    return AllowList(load_section(path, _File).clients)


def write_allowed(path: Path, allowed: AllowList) -> None:
    """Write the list whole or not at all."""
    clients = {name: each.model_dump(mode="json", exclude_defaults=True) for name, each in allowed.clients.items()}
    write_whole(path, (_HEAD + dump_yaml({"clients": clients})).encode(), private=True)
