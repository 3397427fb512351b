"""What commands share: how a verb becomes a command, and the options that several take."""

import json
import math
import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import click
from click.core import ParameterSource

from kinestream.screens.stderr import say
from kinestream.streamer.wire.messages import CONTROL, INGEST, LABELS, WATCH, name_is_valid

Verb = Callable[..., Any]
Result = tuple[dict[str, Any], Callable[[Any], None]]


class Named(click.ParamType[str]):
    """A name or path that is one: the current folder is called ``.``, not nothing."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name."""
        if not value.strip():
            self.fail("it is empty: give a name or a path", param, ctx)
        return str(value)


class Place(click.Path):
    """A path that is one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if not os.fspath(value).strip():
            self.fail("it is empty: give a path", param, ctx)
        return super().convert(value, param, ctx)


class StreamName(click.ParamType[str]):
    """A name that a stream can have."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name."""
        if not name_is_valid(value):
            self.fail(f"no stream can be called {value!r}: use 1 to 64 letters, digits and _ . : @ + -", param, ctx)
        return str(value)


class StreamNames(click.ParamType[tuple[str, ...]]):
    """Names of streams, with commas between them."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the names, each once."""
        one = StreamName()
        return tuple(dict.fromkeys(one.convert(each.strip(), param, ctx) for each in str(value).split(",")))


SOURCE = click.argument("source", type=Named())
TASK = click.option("--task", metavar="NAME", help="Which labels, where a dataset has several sets.")
RECORDINGS = click.option("--recording", "recordings", multiple=True, metavar="ID", help="Only this one; repeatable.")
PEOPLE = click.option("--person", "people", multiple=True, metavar="ID", help="Only this person's; repeatable.")
DEVICE = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="What computes; auto takes a GPU where PyTorch finds one.",
)
RAY = click.option(
    "--ray",
    type=Named(),
    is_flag=False,
    flag_value="local",
    metavar="[ADDRESS]",
    help="Spread the work over the Ray cluster whose head node is at host:port; auto: that which runs here; without an "
    "address, one is started on this machine.",
)
INGEST_ADDRESS = click.option("--ingest", default=INGEST, show_default=True, help="Where samples go in.")
LABELS_ADDRESS = click.option("--labels", default=LABELS, show_default=True, help="Where labels come out.")
WATCH_ADDRESS = click.option(
    "--watch", default=WATCH, show_default=True, help="Where readings and status come out, for recorders."
)
CONTROL_ADDRESS = click.option(
    "--control", default=CONTROL, show_default=True, help="Where the streamer answers requests."
)


FLEET = click.option(
    "--fleet", metavar="ADDRESS", help="Where a fleet's directory answers, in place of a streamer's addresses."
)
_PLACES = ("ingest", "labels", "watch", "control")


def check_fleet() -> None:
    """Refuse a streamer's address beside a fleet's."""
    context = click.get_current_context()
    if context.params.get("fleet") is None:
        return
    given = [
        f"--{name}" for name in _PLACES if context.get_parameter_source(name) not in (None, ParameterSource.DEFAULT)
    ]
    if given:
        raise click.UsageError(
            f"with --fleet its directory says where streamers are: leave out {' and '.join(given)}, or --fleet"
        )


KEYS = click.option(
    "--keys",
    type=Place(dir_okay=False),
    metavar="FILE",
    help="Your keys, where the streamer asks for them; else those that KINESTREAM_KEYS names.",
)


class Speed(click.ParamType[float | str]):
    """A factor, or ``max``."""

    name = "X|max"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        """Return the factor as a number."""
        if value == "max":
            return "max"
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor 'max'", param, ctx)


class Whole(click.IntRange):
    """A whole number within bounds."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        try:
            int(value)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a whole number", param, ctx)
        return int(super().convert(value, param, ctx))


class Bounded(click.FloatRange):
    """A number that is one: neither infinite nor NaN."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        try:
            float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number", param, ctx)
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is no number of any use here", param, ctx)
        return number


LONG = 1_000_000_000  # seconds: thirty years


class _Command(click.Command):
    """A command that says what to do with an argument too many."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments."""
        ctx.allow_extra_args = True
        rest = super().parse_args(ctx, args)
        if ctx.args and not ctx.resilient_parsing:
            options = [each for each in self.params if isinstance(each, click.Option) and not each.is_flag]
            names = ", ".join(each.opts[0] for each in options)
            meant = f": to give it to an option, write the option's name before it ({names})" if names else ""
            ctx.fail(f"{ctx.args[0]!r} is an argument too many{meant}")
        return rest


def verb(
    group: click.Group,
    name: str | None = None,
    *,
    short_help: str | None = None,
    json_help: str = "Print one JSON object instead of tables.",
) -> Callable[[Verb], click.Command]:
    """Make a function that returns (JSON content, how to print it for people) a command of `group`.

    `short_help` stands in the list of commands, which cuts what is longer than a line; `json_help` is said of
    ``--json``.
    """

    def decorate(function: Verb) -> click.Command:
        @wraps(function)
        def run(*args: Any, as_json: bool, **options: Any) -> None:
            content, show = function(*args, **options)
            if as_json:
                click.echo(json.dumps(content, allow_nan=False))
            else:
                from kinestream.screens.console import SafeConsole

                show(SafeConsole())

        with_json = click.option("--json", "as_json", is_flag=True, help=json_help)
        return group.command(name or function.__name__, cls=_Command, short_help=short_help)(with_json(run))

    return decorate


def end_with(interrupted: bool, incomplete: bool = False) -> None:
    """Set the exit status to be used once the result is out: 130 where Ctrl-C came, 1 where it is incomplete."""
    status = 130 if interrupted else 1 if incomplete else 0
    if status:
        click.get_current_context().call_on_close(lambda: sys.exit(status))


def need_torch() -> None:
    """Say what is missing where PyTorch is."""
    from kinestream.model.extras import need

    need("training", "torch")


def fail(message: str, status: int) -> NoReturn:
    """End with a line on stderr."""
    say(f"kinestream: {message}")
    sys.exit(status)
