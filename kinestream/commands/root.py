"""The command that all others are part of."""

from typing import Any

import click

COMMAND = object()
"""A context that carries it is that of a process's own command line."""


class ReaderGone(Exception):
    """Whoever read stdout stopped reading."""


class _Commands(click.Group):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments; without any, the help is what is asked for."""
        return super().parse_args(ctx, args or ["--help"])


class _Root(_Commands):
    group_class = _Commands  # groups within

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise ReaderGone from None  # click itself would end with 1, which says that a result is incomplete


@click.group("kinestream", cls=_Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kinestream")
def root() -> None:
    """Live human activity recognition from body-worn motion sensors.

    Samples go in over ZeroMQ, labels come out. Start with: kinestream demo
    """
