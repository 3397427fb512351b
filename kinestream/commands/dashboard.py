"""kinestream dashboard."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kinestream.commands.options import (
    CONTROL_ADDRESS,
    FLEET,
    KEYS,
    LABELS_ADDRESS,
    WATCH_ADDRESS,
    Named,
    Place,
    Result,
    Whole,
    check_fleet,
    verb,
)
from kinestream.commands.root import root
from kinestream.screens.stderr import say
from kinestream.streamer.wire.messages import DASHBOARD_PORT

if TYPE_CHECKING:
    from kinestream.streamer.dashboard.serve import Opened


@verb(
    root,
    short_help="Show streams, labels and signals in a browser.",
    json_help="Print a JSON object with its address as soon as it is ready.",
)
@LABELS_ADDRESS
@CONTROL_ADDRESS
@WATCH_ADDRESS
@FLEET
@KEYS
@click.option(
    "--host",
    type=Named(),
    default="127.0.0.1",
    show_default=True,
    help="Where to listen. Other machines need the token that is in the address then.",
)
@click.option(
    "--port", type=Whole(0, 65535), default=DASHBOARD_PORT, show_default=True, help="The port; 0 for any that is free."
)
@click.option(
    "--https/--no-https",
    default=True,
    show_default=True,
    help="Encrypt what other machines can reach, under a certificate of this machine's own.",
)
@click.option(
    "--record-to",
    type=Place(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Let pages begin and end recordings, as kinestream record writes them, to this folder.",
)
@click.option(
    "--priority",
    type=click.Choice(["low", "idle"]),
    default="idle",
    show_default=True,
    help="idle: take only what others leave of this machine's processors, so that no label waits for it; where all are "
    "busy the page is late, and says so. low: have a small share then, too. Only Linux knows idle, and only among "
    "programs of one terminal or service.",
)
@click.option("--with-starter", is_flag=True, hidden=True, help="End as soon as stdin does.")
def dashboard(
    labels: str,
    control: str,
    watch: str,
    fleet: str | None,
    keys: str | None,
    host: str,
    port: int,
    https: bool,
    record_to: Path | None,
    priority: str,
    with_starter: bool,
) -> Result:
    """Show streams, labels, signals and how the streamer fares in a browser, until Ctrl-C or SIGTERM.

    It is a process of its own that listens like any other subscriber and gives way to others.
    What costs the streamer something, such as the signal of a stream, it asks for only while somebody looks at it.
    Whoever can open it can also say what wearers do, as kinestream annotate does. With --fleet it shows the streams of
    all streamers that the directory tells of, and goes along when these change.
    """
    from kinestream.streamer.dashboard.serve import serve_dashboard
    from kinestream.streamer.dashboard.streamers import Addresses

    check_fleet()
    as_json = click.get_current_context().params["as_json"]

    def opened(where: "Opened") -> None:
        if as_json:
            click.echo(json.dumps(where.as_dict()))
            sys.stdout.flush()
        else:
            places = ", ".join(f"{what} {place}" for what, place in where.where.items())
            say(f"dashboard ready: open {where.address} ({places})")

    serve_dashboard(
        Addresses(labels, control, watch, keys, fleet),
        host=host,
        port=port,
        https=https,
        record_to=record_to,
        priority=priority,
        ends_with=sys.stdin if with_starter else None,
        opened=opened,
    )
    return {"stopped": True}, lambda console: None
