"""The command that all others are part of."""

import click

COMMAND = object()
"""A context that carries it is that of a process's own command line."""


@click.group("kinestream", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kinestream")
def root() -> None:
    """Live human activity recognition from body-worn motion sensors.

    Samples go in over ZeroMQ, labels come out. Start with: kinestream demo
    """
