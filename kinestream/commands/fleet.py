"""kinestream fleet."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kinestream.commands.fleet_plan import add_plan
from kinestream.commands.options import Named, Place, Result, Whole, end_with, verb
from kinestream.commands.root import root
from kinestream.model.counted import counted
from kinestream.screens.stderr import say

if TYPE_CHECKING:
    from kinestream.streamer.fleet.fleetfile import FleetFile

_MOST = 1000


@root.group(short_help="Run many streamers as one, on many machines.")
def fleet() -> None:
    """Run many streamers as one, on the machines of a Ray cluster or on this one alone.

    Streams belong to streamers by name; senders and subscribers are told which by the fleet's directory. 'fleet up'
    begins one by its file; the other commands mean the one that was brought up last, or that of --fleet.
    """


OF = click.option(
    "--fleet",
    "path",
    type=Place(exists=True, dir_okay=False, path_type=Path),
    metavar="FLEET.yaml",
    help="Which fleet, by its file; by default the one that was brought up last from this account.",
)


@verb(fleet, short_help="Begin a fleet by its file.")
@click.argument("path", metavar="FLEET.yaml", type=Place(exists=True, dir_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Say everything that is wrong with the file and the bundle; start nothing.")
def up(path: Path, check: bool) -> Result:
    """Begin a fleet by its file, on the Ray cluster that it names or on one that is started on this machine.

    It ends once all streamers serve and the directory tells of them; the fleet goes on without it.
    """
    from kinestream.streamer.fleet import local
    from kinestream.streamer.fleet.fleet import reached
    from kinestream.streamer.fleet.fleetfile import read_fleet, wrong_fleet

    of_file, problems = read_fleet(path)
    if of_file is not None:
        problems += wrong_fleet(of_file)
    if of_file is None or problems:
        for problem in problems:
            say(f"kinestream: {path}: {problem}")
        sys.exit(2)
    if check:
        return {"ok": True}, lambda console: console.print("nothing is wrong with it")
    with reached(of_file, begins=True) as there:
        done = there.up()
    local.remember(path)
    told = f"{done['fleet']} is up: {counted(len(done['slots']), 'streamer')}; "
    told += f"senders and subscribers ask {of_file.directory}"
    return {**done, "directory": of_file.directory}, _line(told)


@verb(fleet, short_help="Show nodes, streamers and how they fare.")
@OF
def status(path: Path | None) -> Result:
    """Show a fleet's nodes, its streamers and how they fare.

    It ends with status 0 where all streamers serve and the directory tells of them, else with 1.
    """
    from kinestream.screens.fleet import print_status
    from kinestream.streamer.fleet.fleet import reached

    with reached(_file(path)) as there:
        found = there.status()
    serving = {each["slot"] for each in found["streamers"] if each["state"] == "serving"}
    end_with(interrupted=False, incomplete=not (found["directory"]["ready"] and serving >= set(found["slots"])))
    return found, lambda console: print_status(found, console)


@verb(fleet, short_help="Have so many streamers.")
@click.argument("count", metavar="N", type=Whole(1, _MOST))
@OF
def scale(count: int, path: Path | None) -> Result:
    """Have N streamers: those that are added serve before streams move to them, those that go end once theirs have."""
    from kinestream.streamer.fleet.fleet import reached

    with reached(_file(path)) as there:
        done = there.scale(count)
    return done, _line(f"{counted(done['streamers'], 'streamer')}, {done['before']} before")


@verb(fleet, short_help="Move all streamers off a node.")
@click.argument("node", metavar="NODE", type=Named())
@OF
def drain(node: str, path: Path | None) -> Result:
    """Move all streamers off NODE, one after the other, each once another serves in its place; then it may be ended.

    NODE is its name, address or the beginning of its id, as 'fleet status' shows them.
    """
    from kinestream.streamer.fleet.fleet import reached

    with reached(_file(path)) as there:
        done = there.drain(node)
    moved = ", ".join(f"{slot} to {to}" for slot, to in done["moved"].items()) or "nothing was there"
    return done, _line(f"{done['node']} is drained: {moved}")


@verb(fleet, short_help="Have all streamers take another bundle.")
@click.argument("bundle", type=Named())
@OF
def reload(bundle: str, path: Path | None) -> Result:
    """Have all streamers take another bundle, one after the other, while their streams go on.

    BUNDLE is a folder that every node has under the same name. Where a streamer refuses it, all keep the old one.
    """
    from kinestream.streamer.fleet.fleet import reached

    with reached(_file(path)) as there:
        done = there.reload(os.path.abspath(bundle))
    return done, _line(f"{counted(done['streamers'], 'streamer')} took {done['new']} in place of {done['old']}")


@verb(fleet, short_help="End a fleet.")
@click.option("--now", is_flag=True, help="Do not wait for streams that still come.")
@OF
def down(now: bool, path: Path | None) -> Result:
    """End all streamers of a fleet, its directory, and the cluster if 'fleet up' started it."""
    from kinestream.streamer.fleet import local
    from kinestream.streamer.fleet.fleet import reached

    where = path or local.last()
    with reached(local.loaded(where)) as there:
        done = there.down(now)
    local.forget(where)
    return done, _line(f"{done['fleet']} is down: {counted(done['ended'], 'streamer')} ended")


add_plan(fleet)


def _file(path: Path | None) -> "FleetFile":
    from kinestream.streamer.fleet import local

    return local.loaded(path or local.last())


def _line(text: str) -> Any:
    return lambda console: console.print(text, markup=False, soft_wrap=True)
