"""kinestream info."""

import click

from kinestream.commands.options import Named, Result, verb
from kinestream.commands.root import root


@verb(root, short_help="Show a bundle's channels, classes and origin.")
@click.argument("bundle", type=Named())
def info(bundle: str) -> Result:
    """Show what a bundle needs (channels, rate, window), its classes, its origin, and the device faults it notices."""
    from kinestream.model.bundle.bundle import read_bundle
    from kinestream.model.bundle.describe import describe
    from kinestream.screens.bundle import bundle_table

    described = describe(read_bundle(bundle))
    return described, lambda console: console.print(bundle_table(described))
