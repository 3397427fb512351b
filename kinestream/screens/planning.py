"""A plan of a fleet, for people."""

from typing import Any

from kinestream.model.counted import counted
from kinestream.replay.planning.figures import MACHINE, Costs
from kinestream.replay.planning.plan import Needs, Plan


def print_plan(needs: Needs, found: Plan, costs: Costs, console: Any) -> None:
    """Print what is needed, what follows when a node dies, and what it was reckoned from."""
    about = f"{counted(needs.streams, 'stream')} of {counted(needs.channels, 'channel')} at {needs.rate_hz:g} Hz"
    size = f"{counted(needs.processors, 'processor')} and {found.node_memory_gb:g} GB"
    away = f"{counted(needs.spare, 'node')} away" if needs.spare else "none to spare"
    rows = (
        ("for", f"{about}, {counted(needs.chunk, 'sample')} in a message"),
        ("nodes", f"{found.nodes:,} of {size} each: {counted(found.streamers, 'streamer')}"),
        ("a streamer", f"{found.streams_each:,} streams, {found.streams_most:,} at most by chance"),
        ("", f"busy {found.processors_each:g} processors; {found.processors_spare:g} with {away}"),
        ("network", f"{found.in_mbit_s:g} Mbit/s into a node, {found.out_mbit_s:g} out to one subscriber"),
        ("", f"{found.total_in_mbit_s:,g} Mbit/s in all"),
        ("a sender", f"keeps {found.sender_kb:g} kB of a stream"),
        (
            "a node dies",
            f"{counted(found.moved, 'stream')} move; their labels come up to {found.late_most_s:g} s late,",
        ),
        ("", f"the median {found.late_p50_s:g} s; {found.burst_mb:g} MB are sent again to whoever gets most"),
        ("one streamer more", f"{counted(found.rescale_moved, 'stream')} move; done after {found.rescale_s:g} s"),
        ("measured on", MACHINE),
        ("measured in", ", ".join(costs.sources)),
        ("fits", f"the processors measured within {costs.worst:.0%}"),
    )
    for name, text in rows:
        console.print(f"{name:<18} {text}", markup=False, highlight=False, soft_wrap=True)
