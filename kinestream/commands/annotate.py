"""kinestream annotate."""

import re
from typing import Any

import click

from kinestream.commands.options import (
    CONTROL_ADDRESS,
    FLEET,
    KEYS,
    WATCH_ADDRESS,
    Result,
    StreamName,
    check_fleet,
    verb,
)
from kinestream.commands.root import root

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Span(click.ParamType[float]):
    """A time as in ``10s`` or ``2m``, in seconds."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return it in seconds."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h)?", value.strip())
        if not found:
            self.fail(f"{value!r} is no time: write it as in 10s, 2m or 1.5h", param, ctx)
        return float(found[1]) * _UNITS[found[2] or "s"]


class Names(click.ParamType[tuple[str, ...]]):
    """Names with commas between them."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the names, each once."""
        names = tuple(dict.fromkeys(each.strip() for each in str(value).split(",") if each.strip()))
        if not names:
            self.fail("it names nothing", param, ctx)
        return names


@verb(root, short_help="Say what the wearer of a stream does.")
@click.argument("stream", type=StreamName())
@click.argument("activity", required=False)
@click.option("--since", type=Span(), metavar="TIME", help="With ACTIVITY: since so long, as in 10s or 2m.")
@click.option("--until", type=Span(), metavar="TIME", help="With ACTIVITY: it ended so long ago; now by default.")
@click.option(
    "--activities", type=Names(), metavar="NAME,...", help="What keys stand for; the bundle's classes by default."
)
@CONTROL_ADDRESS
@WATCH_ADDRESS
@FLEET
@KEYS
def annotate(
    stream: str,
    activity: str | None,
    since: float | None,
    until: float | None,
    activities: tuple[str, ...] | None,
    control: str,
    watch: str,
    fleet: str | None,
    keys: str | None,
) -> Result:
    """Say what the wearer of a stream does: by keys in a terminal, or once with ACTIVITY.

    It is published beside the labels, shown by watch and written down by record; it changes no label. With keys, each
    begins an activity and ends the one before; a blank ends it, q or Ctrl-C ends it and the command. By itself:

    kinestream annotate anna walking --since 10s

    With --fleet it is said to the streamer that has the stream when the command begins.
    """
    from kinestream.model.clock import now_ns
    from kinestream.streamer.client.keeper import annotate

    check_fleet()
    if activity is None:
        if since is not None or until is not None:
            raise click.UsageError("--since and --until need an ACTIVITY: kinestream annotate anna walking --since 10s")
        from kinestream.screens.annotate import annotate_by_keys

        control, watch = _places(stream, control, watch, fleet, keys)
        said = annotate_by_keys(stream, activities, control=control, watch=watch, keys=keys)
        return {"stream": stream, "annotations": said}, lambda console: None
    if since is None:
        raise click.UsageError(f"say since when: kinestream annotate {stream} {activity} --since 10s")
    if (until or 0.0) > since:
        raise click.UsageError("it ends before it begins: --since is longer ago than --until")
    control, _ = _places(stream, control, watch, fleet, keys)
    now = now_ns()
    begin, end = (max(now - round(ago * 1e9), 0) for ago in (since, until or 0.0))
    done = annotate(stream, activity, begin, end, control, keys=keys)
    content = {"stream": stream, "session": done.session, "activity": activity, "begin": begin, "end": end}
    return content, lambda console: console.print(
        f"{stream}: {activity} for {(end - begin) / 1e9:g} s", markup=False, highlight=False
    )


def _places(stream: str, control: str, watch: str, fleet: str | None, keys: str | None) -> tuple[str, str]:
    """Return where the streamer answers and is watched that has a stream."""
    if fleet is None:
        return control, watch
    from kinestream.streamer.client.fleetkeeper import owner

    found = owner(stream, fleet, keys=keys)
    return found.control, found.watch
