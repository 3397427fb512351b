"""kinestream reload."""

import click

from kinestream.commands.options import CONTROL_ADDRESS, KEYS, Bounded, Named, Result, verb
from kinestream.commands.root import root


@verb(root, short_help="Have a running streamer switch to another bundle.")
@click.argument("bundle", type=Named())
@CONTROL_ADDRESS
@KEYS
@click.option(
    "--timeout", type=Bounded(0, 1000, min_open=True), default=120.0, show_default=True, help="Seconds to wait for it."
)
def reload(bundle: str, control: str, keys: str | None, timeout: float) -> Result:
    """Have a running streamer take another bundle while its streams go on.

    BUNDLE must have the channels, rate and window of the one before; a "model" event tells subscribers. It takes
    the right to administer; without keys it is done only where the streamer's control endpoint is bound to its own
    machine, as it is by default: whoever has an account there may ask for it.
    """
    from kinestream.streamer.client.keeper import reload

    done = reload(bundle, control, timeout, keys)
    return done._asdict(), lambda console: console.print(
        f"bundle {done.new} has taken the place of {done.old}", markup=False, soft_wrap=True
    )
