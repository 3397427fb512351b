"""kinestream health."""

import click

from kinestream.commands.options import CONTROL_ADDRESS, FLEET, KEYS, Bounded, Result, check_fleet, end_with, verb
from kinestream.commands.root import root


@verb(root, short_help="Ask a running streamer for its status.")
@CONTROL_ADDRESS
@FLEET
@KEYS
@click.option(
    "--timeout", type=Bounded(0, 1000, min_open=True), default=5.0, show_default=True, help="Seconds to wait for it."
)
@click.option("--live", is_flag=True, help="Status 0 also where it is not ready, as long as it answers.")
def health(control: str, fleet: str | None, keys: str | None, timeout: float, live: bool) -> Result:
    """Ask a running streamer for its status: whether it is ready, version, bundle, since when, and every counter.

    It ends with status 0 where the streamer is ready; 1 where it answers but takes no new streams, since it is about to
    stop; 2 where none answers, as before its bundle is loaded.

    With --fleet every streamer is asked that the directory tells of: status 0 where all are ready, 1 where any is not
    or does not answer, 2 where the directory does not.
    """
    check_fleet()
    if fleet is not None:
        return _of_fleet(fleet, timeout, keys, live)
    from kinestream.screens.keeper import print_health
    from kinestream.streamer.client.keeper import health

    found = health(control, timeout, keys)
    end_with(interrupted=False, incomplete=not (found.ready or live))
    return found._asdict(), lambda console: print_health(found, console)


def _of_fleet(fleet: str, timeout_s: float, keys: str | None, live: bool) -> Result:
    from kinestream.screens.keeper import print_fleet_health
    from kinestream.streamer.client.fleetkeeper import fleet_health

    found = fleet_health(fleet, timeout_s, keys)
    are_well = [not isinstance(each, str) and (each.ready or live) for each in found.values()]
    end_with(interrupted=False, incomplete=not (are_well and all(are_well)))
    streamers = {
        name: {"ready": False, "wrong": each} if isinstance(each, str) else each._asdict()
        for name, each in found.items()
    }
    return {"streamers": streamers}, lambda console: print_fleet_health(found, console)
