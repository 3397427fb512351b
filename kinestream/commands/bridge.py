"""kinestream bridge."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kinestream.commands.options import LONG, Bounded, Named, Place, Result, end_with, verb
from kinestream.commands.root import root

if TYPE_CHECKING:
    from kinestream.streamer.bridges.draft import Kind

_CHECK_S = 10.0


@verb(
    root,
    short_help="Carry a sensor's readings to a streamer.",
    json_help="Print a JSON object a second: what each device delivers, and the activity.",
)
@click.argument("rig", required=False, type=Place(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--check",
    is_flag=True,
    help="Look at the devices for ten seconds, or for --seconds, and say what is wrong with them; send no reading. "
    "Exit status 1 if anything is wrong.",
)
@click.option("--seconds", type=Bounded(0, LONG, min_open=True), help="Stop after this long.")
@click.option(
    "--draft", "bundle", type=Named(), metavar="BUNDLE", help="Print a rig that has every channel of a bundle, and end."
)
@click.option(
    "--kind",
    type=click.Choice(["web", "lsl", "csv"]),
    help="With --draft, where its devices come from; by default a phone if the channels are a phone's, else lines.",
)
def bridge(rig: Path | None, check: bool, seconds: float | None, bundle: str | None, kind: "Kind | None") -> Result:
    """Carry what phones, LSL streams or boards deliver to a streamer, as the file RIG describes it.

    It says live what each device delivers and what is in the way, until Ctrl-C (status 130), --seconds have passed,
    or its input ends.
    """
    if bundle is not None:
        return _drafted(bundle, kind, check or seconds is not None or rig is not None)
    if kind is not None:
        raise click.UsageError("--kind goes with --draft: in a rig, each device says where it comes from")
    if rig is None:
        raise click.UsageError("RIG is missing: give the file that describes your devices; --draft BUNDLE prints one")
    from kinestream.screens.bridge import BridgeScreen, print_check, print_end
    from kinestream.screens.console import SafeConsole
    from kinestream.streamer.bridges.bridge import Bridge, Look
    from kinestream.streamer.bridges.check import as_dict, findings
    from kinestream.streamer.bridges.rig import read_rig
    from kinestream.streamer.bridges.sources import sources_of

    as_json = click.get_current_context().params["as_json"]
    about = read_rig(rig)
    looks: list[Look] = []
    interrupted = False
    lasting = seconds if seconds is not None else _CHECK_S if check else math.inf
    with Bridge(about, sources_of(about), dry_run=check) as carrying:
        screen = BridgeScreen(SafeConsole(stderr=check), json_to=sys.stdout if as_json and not check else None)
        carrying.start()
        screen.invite(carrying.address)
        with screen:
            try:
                carrying.run(lasting, lambda look: screen.show(look, looks), every_s=screen.every_s)
            except KeyboardInterrupt:
                interrupted = True
        found = findings(looks[-1], carrying.tallies) if check and looks else []
    end_with(interrupted, incomplete=check and bool(found))
    last = looks[-1] if looks else None
    if last is None:
        return {}, lambda console: None
    if check:
        return as_dict(last, found), lambda console: print_check(last, found, console)
    return {"kind": "totals", **last.as_dict()}, lambda console: print_end(last, console)


def _drafted(bundle: str, kind: "Kind | None", has_others: bool) -> Result:
    if has_others:
        raise click.UsageError("--draft prints a rig and ends: leave out RIG, --check and --seconds")
    from kinestream.model.bundle.bundle import read_bundle
    from kinestream.model.printable import printable
    from kinestream.streamer.bridges.draft import draft_rig

    text = draft_rig(read_bundle(bundle), kind)
    return {"yaml": text}, lambda console: click.echo(printable(text.rstrip(), keep="\n"))
