"""kinestream metrics."""

import json
import sys

import click

from kinestream.commands.options import FLEET, KEYS, WATCH_ADDRESS, Named, Result, Whole, check_fleet, verb
from kinestream.commands.root import root
from kinestream.screens.stderr import say
from kinestream.streamer.wire.messages import METRICS_PORT


@verb(
    root,
    short_help="Serve metrics of a streamer to Prometheus.",
    json_help="Print a JSON object with its address as soon as it is ready.",
)
@WATCH_ADDRESS
@FLEET
@KEYS
@click.option(
    "--host",
    type=Named(),
    default="127.0.0.1",
    show_default=True,
    help="Where to listen. Whoever can connect there can read the metrics: no stream is named in them.",
)
@click.option(
    "--port", type=Whole(0, 65535), default=METRICS_PORT, show_default=True, help="The port; 0 for any that is free."
)
def metrics(watch: str, fleet: str | None, keys: str | None, host: str, port: int) -> Result:
    """Serve metrics of a running streamer to Prometheus, until Ctrl-C or SIGTERM.

    It is a process of its own that hears from the streamer once a second, whoever scrapes and how often. What is
    measured, a dashboard for Grafana and rules for alerts: docs/monitoring. With --fleet it is of all streamers that
    the directory tells of, each metric with the label "streamer", and of the fleet.
    """
    from kinestream.streamer.metrics.exporter import Exporter

    check_fleet()
    where = ("watch", watch) if fleet is None else ("fleet", fleet)
    as_json = click.get_current_context().params["as_json"]
    with Exporter(watch, host=host, port=port, keys=keys, fleet=fleet) as exporter:
        if as_json:
            click.echo(json.dumps({"ready": True, "address": exporter.address, where[0]: where[1]}))
            sys.stdout.flush()
        else:
            say(f"metrics ready: scrape {exporter.address} ({' '.join(where)})")
        try:
            exporter.run()
        except KeyboardInterrupt:
            pass
    return {"stopped": True}, lambda console: None
