"""kinestream keys."""

from pathlib import Path
from typing import Any

import click

from kinestream.commands.options import Bounded, Place, Result, Whole, verb
from kinestream.commands.root import root

_MOST = 1e12


@root.group(short_help="Say who may send, read and administer.")
def keys() -> None:
    """Say who may send samples to a streamer, read its labels and administer it.

    A client shows its key when it connects ('serve --keys FOLDER'). What is changed here holds within a second, also
    for whoever is connected.
    """


class ClientName(click.ParamType[str]):
    """A name that a client can have."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name."""
        from kinestream.streamer.keys.keyfile import client_name_is_valid

        if not client_name_is_valid(value):
            what = f"no client can be called {value!r}: use 1 to 64 letters, digits and . _ -, not 'streamer'"
            self.fail(what, param, ctx)
        return str(value)


class Pattern(click.ParamType[str]):
    """What names streams."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the pattern."""
        from kinestream.streamer.keys.allowed import pattern_is_valid

        if not pattern_is_valid(value):
            self.fail(f"{value!r} names no streams: give a name, with * for any letters and ? for any one", param, ctx)
        return str(value)


NAME = click.argument("name", type=ClientName())
FOLDER = click.option(
    "--keys",
    "folder",
    type=Place(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="The streamer's folder of keys; by default kinestream/keys where the system keeps settings.",
)


@verb(keys, "new", short_help="Make a client's pair of keys.")
@NAME
@FOLDER
@click.option("--to", type=Place(path_type=Path, dir_okay=False), metavar="FILE", help="Write its secret file here.")
@click.option(
    "--streamer",
    type=Place(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where the streamer is on another machine: its streamer.public. The secret then never leaves this one.",
)
def new(name: str, folder: Path | None, to: Path | None, streamer: Path | None) -> Result:
    """Make a pair of keys for client NAME, and the streamer's own where there is none yet.

    The secret file that it writes is for the client alone; 'kinestream keys allow' gives it rights.
    """
    from kinestream.streamer.keys.folder import KeyFolder, default_folder, new_pair_elsewhere

    if streamer is not None:
        secret = to or Path(f"{name}.secret")
        public = new_pair_elsewhere(name, secret, streamer)
        said = (
            f"{secret} is secret and stays here; take {public} to the streamer: "
            f"'kinestream keys allow {name} --public {public.name} ...'"
        )
        return {"client": name, "secret": str(secret), "public": str(public)}, _line(said)
    secret = KeyFolder(folder or default_folder()).new_client(name, to)
    said = f"{secret} is what {name} needs: move it there, where nobody else reads it; 'keys allow' gives rights"
    return {"client": name, "secret": str(secret)}, _line(said)


@verb(keys, short_help="Give a client rights.")
@NAME
@FOLDER
@click.option(
    "--send", type=Pattern(), multiple=True, metavar="STREAM", help="Send this stream; * for any letters; repeatable."
)
@click.option("--read", is_flag=True, help="Read labels, events and annotations, and their history.")
@click.option("--watch", is_flag=True, help="Watch signals, and ask for the streamer's status.")
@click.option("--administer", is_flag=True, help="Reload bundles, and all else that changes the streamer.")
@click.option("--most-streams", type=Whole(1), metavar="N", help="So many streams at a time; refused beyond.")
@click.option(
    "--messages-per-s", type=Bounded(0, _MOST, min_open=True), metavar="N", help="Drop what it sends beyond this."
)
@click.option("--bytes-per-s", type=Bounded(0, _MOST, min_open=True), metavar="N", help="The same in bytes.")
@click.option(
    "--history-per-min", type=Bounded(0, _MOST, min_open=True), metavar="N", help="Refuse to ask for more history."
)
@click.option(
    "--public",
    type=Place(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Its public key, where the pair was made on its own machine.",
)
def allow(name: str, folder: Path | None, public: Path | None, **options: Any) -> Result:
    """Give client NAME these rights, instead of those it had."""
    from kinestream.screens.keys import print_clients
    from kinestream.streamer.keys.folder import KeyFolder, default_folder

    quota = {each: options.pop(each) for each in ("messages_per_s", "bytes_per_s", "history_per_min")}
    quota["streams"] = options.pop("most_streams")
    client = KeyFolder(folder or default_folder()).allow(name, options | {"quota": quota}, public)
    return {"client": name, **client.model_dump(mode="json")}, lambda console: print_clients({name: client}, console)


@verb(keys, short_help="Take away a client's key and rights.")
@NAME
@FOLDER
def revoke(name: str, folder: Path | None) -> Result:
    """Take away client NAME's key and rights: within a second it is out, whatever it is doing."""
    from kinestream.streamer.keys.folder import KeyFolder, default_folder

    KeyFolder(folder or default_folder()).revoke(name)
    return {"client": name, "revoked": True}, _line(f"{name} is not let in any more")


@verb(keys, "list", short_help="List the clients and their rights.")
@FOLDER
def list_clients(folder: Path | None) -> Result:
    """List the clients, what they may do and how much of it."""
    from kinestream.screens.keys import print_clients
    from kinestream.streamer.keys.folder import KeyFolder, default_folder

    where = KeyFolder(folder or default_folder())
    clients = where.allowed().clients
    content = {name: client.model_dump(mode="json") for name, client in clients.items()}
    return {"folder": str(where.path), "clients": content}, lambda console: print_clients(clients, console)


def _line(text: str) -> Any:
    return lambda console: console.print(text, markup=False, soft_wrap=True)
