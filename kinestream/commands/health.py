"""kinestream health."""

import click

from kinestream.commands.options import CONTROL_ADDRESS, KEYS, Bounded, Result, end_with, verb
from kinestream.commands.root import root


@verb(root, short_help="Ask a running streamer for its status.")
@CONTROL_ADDRESS
@KEYS
@click.option(
    "--timeout", type=Bounded(0, 1000, min_open=True), default=5.0, show_default=True, help="Seconds to wait for it."
)
@click.option("--live", is_flag=True, help="Status 0 also where it is not ready, as long as it answers.")
def health(control: str, keys: str | None, timeout: float, live: bool) -> Result:
    """Ask a running streamer for its status: whether it is ready, version, bundle, since when, and every counter.

    It ends with status 0 where the streamer is ready; 1 where it answers but takes no new streams, since it is about to
    stop; 2 where none answers, as before its bundle is loaded.
    """
    from kinestream.screens.keeper import print_health
    from kinestream.streamer.client.keeper import health

    found = health(control, timeout, keys)
    end_with(interrupted=False, incomplete=not (found.ready or live))
    return found._asdict(), lambda console: print_health(found, console)
