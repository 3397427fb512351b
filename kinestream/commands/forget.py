"""kinestream forget."""

import click

from kinestream.commands.options import CONTROL_ADDRESS, FLEET, KEYS, Bounded, Result, StreamName, check_fleet, verb
from kinestream.commands.root import root


@verb(root, short_help="Have a running streamer forget a wearer.")
@click.argument("stream", type=StreamName())
@CONTROL_ADDRESS
@FLEET
@KEYS
@click.option(
    "--timeout", type=Bounded(0, 1000, min_open=True), default=5.0, show_default=True, help="Seconds to wait for it."
)
def forget(stream: str, control: str, fleet: str | None, keys: str | None, timeout: float) -> Result:
    """Have a running streamer remove all that it knows of STREAM: its readings, sessions, keys and history.

    Labels that are due are published first, and an "end" event follows. A sender that goes on begins a new stream, so
    stop it first. Recordings, logs and what subscribers have received are elsewhere: docs/privacy.md says where. It
    takes the right to administer; without keys it is done only where the streamer's control endpoint is bound to its
    own machine, as it is by default. With --fleet every streamer is asked that the directory tells of, since one that
    had the stream before may know of it still.
    """
    check_fleet()
    from kinestream.screens.keeper import removed_in_words
    from kinestream.streamer.client.fleetkeeper import fleet_forget
    from kinestream.streamer.client.keeper import forget

    done = forget(stream, control, timeout, keys) if fleet is None else fleet_forget(stream, fleet, timeout, keys)
    return done._asdict(), lambda console: console.print(
        f"{stream} is forgotten: {removed_in_words(done.removed)}", markup=False, soft_wrap=True
    )
