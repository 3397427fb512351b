"""How many machines so many streams need, and what it costs when one of them dies: reckoned from what was measured.

What is reckoned how:

- A streamer keeps so many processors busy as `kinestream.replay.planning.figures.Costs` says: for each message, and for
  each sample by its channels, a window's share included. It is given no more than `Needs.busy` of what it can be kept
  busy with before labels are late. A node has a streamer for each of its processors.
- With `Needs.spare` nodes away, the streams of those on the others keep each streamer below that limit, whole.
- A node's death: its streamers are not registered any more; after `PATIENCE_S` without that their slots are passed
  over, senders hear of it and send again what they keep. The last of a burst is taken when the streamer that gets the
  most has caught up, beside what comes anyway.
- Bytes are those of messages as they are encoded, with what ZeroMQ, TCP, IP and Ethernet add to each.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kinestream.model.errors import ConfigError
from kinestream.replay.planning.burst import Burst, burst, kept_messages
from kinestream.replay.planning.figures import Costs, Load
from kinestream.replay.planning.scene import Scene
from kinestream.streamer.reliable.outbox import size_of
from kinestream.streamer.wire.codec import encode_samples
from kinestream.streamer.wire.messages import Label
from kinestream.streamer.wire.published import encode_label
from kinestream.streamer.wire.tracked import encode_tracked

_ON_THE_WAY = 9 + 32 + 20 + 18 + 20
"""Bytes that ZMTP, TCP with its stamps, IP, Ethernet and the gap between its frames add, where each message leaves by
itself; those that leave together take less."""
_ROUND_TRIP_S = 0.1
"""Until a sender has acted on a table and is connected: it looks after what it keeps every 50 ms."""
_SMALLEST_GB = 1.0
MOST_STREAMS = 2_000_000
"""Placing them takes seconds."""


@dataclass(frozen=True)
class Needs:
    """What a fleet is for, and what its nodes are.

    Parameters
    ----------
    streams, channels : int
        Wearers, and channels of each.
    rate_hz : float
        Samples a second of each channel.
    chunk : int
        Samples in a message.
    length, stride : int
        Of windows, in samples.
    classes : int
        Of the bundle.
    processors : int
        Of a node.
    spare : int
        Nodes that may be away at a time.
    busy : float
        The share of what a streamer can do that it is given.
    history_s : float
        How long labels may be asked for (``serve --history``).
    """

    streams: int
    channels: int
    rate_hz: float
    chunk: int = 1
    length: int = 128
    stride: int = 64
    classes: int = 12
    processors: int = 2
    spare: int = 1
    busy: float = 0.5
    history_s: float = 5.0

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.stride <= self.length:
            problems.append(f"stride: give from 1 to the window's length, {self.length}")
        if not 0 < self.busy <= 1:
            problems.append("busy: give a share above 0, up to 1")
        if self.streams > MOST_STREAMS:
            problems.append(f"streams: up to {MOST_STREAMS:,} are reckoned with")
        if problems:
            raise ConfigError("the plan", problems)

    @property
    def load(self) -> Load:
        """What a stream is."""
        return Load(self.channels, self.rate_hz, self.chunk, self.length, self.stride)

    @property
    def scene(self) -> Scene:
        """The streams, as they are simulated."""
        return Scene(self.streams, 1, **self.load._asdict(), history_s=self.history_s)


@dataclass(frozen=True)
class Plan:
    """What is needed, and what follows.

    Parameters
    ----------
    nodes, streamers : int
        How many.
    streams_each, streams_most : int
        Of a streamer, on average and at most: by chance some get more.
    processors_each : float
        That the one with most streams keeps busy.
    processors_spare : float
        The same, with the spare nodes away.
    node_memory_gb : float
        That its streamers take with the spare nodes away, and 1 GB for all else, rounded up.
    in_mbit_s, out_mbit_s : float
        Of a node: samples in, and labels out to one subscriber.
    total_in_mbit_s : float
        Of all.
    sender_kb : float
        What a sender keeps of a stream until it is acknowledged.
    moved : int
        Streams that go elsewhere when a node dies.
    late_p50_s, late_most_s : float
        By how much labels of those are late: of the median stream, and the last.
    burst_mb : float
        What is sent again to the streamer that gets the most.
    rescale_moved : int
        Streams that go elsewhere when a streamer is added.
    rescale_s : float
        How long it then takes until labels are no later than before.
    """

    nodes: int
    streamers: int
    streams_each: int
    streams_most: int
    processors_each: float
    processors_spare: float
    node_memory_gb: float
    in_mbit_s: float
    out_mbit_s: float
    total_in_mbit_s: float
    sender_kb: float
    moved: int
    late_p50_s: float
    late_most_s: float
    burst_mb: float
    rescale_moved: int
    rescale_s: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def plan(needs: Needs, costs: Costs) -> Plan:
    """Reckon what a fleet needs.

    Raises
    ------
    ConfigError
        Where a streamer cannot take a single stream of that size.
    """
    scene = needs.scene
    nodes = _nodes(needs, costs)
    streamers = nodes * needs.processors
    taking = costs.taking_s(needs.load)
    timed = Scene(**{**asdict(scene), "deaths": (), "taking_s": taking})
    added = burst(timed, streamers, streamers + 1)
    # A node's streamers die together: nearly the same as one after the other, each taking its share of the streams.
    lost = burst(timed, streamers, streamers - needs.processors, outage_s=timed.patience_s)
    most = _most_streams(needs, streamers)
    without = _most_streams(needs, streamers - needs.spare * needs.processors)
    cpu = [costs.processors(each, needs.load) for each in (most, without)]
    up, down = _bytes_per_s(needs)
    per_node = needs.streams / nodes
    memory_mb = needs.processors * costs.memory_mb(without, needs.channels)
    message = size_of(_message(needs))
    outage = _outages(timed, lost)
    return Plan(
        nodes=nodes,
        streamers=streamers,
        streams_each=math.ceil(needs.streams / streamers),
        streams_most=most,
        processors_each=round(cpu[0], 2),
        processors_spare=round(cpu[1], 2),
        node_memory_gb=float(math.ceil(_SMALLEST_GB + memory_mb / 1000)),
        in_mbit_s=_mbit(up * per_node),
        out_mbit_s=_mbit(down * per_node),
        total_in_mbit_s=_mbit(up * needs.streams),
        sender_kb=round(kept_messages(timed) * message / 1000, 1),
        moved=round(needs.streams / nodes),
        late_p50_s=round(outage[0], 2),
        late_most_s=round(outage[1], 2),
        burst_mb=round(lost.messages * message / 1e6, 1),
        rescale_moved=added.moved,
        rescale_s=round(added.caught_up_s + _ROUND_TRIP_S, 2),
    )


def _nodes(needs: Needs, costs: Costs) -> int:
    """Return the smallest number of nodes that does."""
    limit = [share * costs.most for share in (needs.busy, 1.0)]
    each = [max(_streams_within(costs, most, needs), 0.0) for most in limit]
    if each[0] < 1:
        raise ConfigError(
            "the plan",
            [
                f"channels, rate: a streamer cannot take one such stream within {needs.busy:.0%} of what it can do: "
                "put more samples in a message, or allow more (--busy)"
            ],
        )
    full = math.ceil(needs.streams / (each[0] * needs.processors))
    without_spare = math.ceil(needs.streams / (each[1] * needs.processors)) + needs.spare
    return max(full, without_spare, needs.spare + 1)


def _streams_within(costs: Costs, processors: float, needs: Needs) -> float:
    one = costs.processors(1, needs.load) - costs.idle
    return (processors - costs.idle) / one


def _most_streams(needs: Needs, streamers: int) -> int:
    """Return how many streams the streamer has that chance gives the most, once in a hundred fleets exceeded.

    Hashing gives each a share as of a multinomial draw, which is close to normal.
    """
    mean = needs.streams / streamers
    spread = math.sqrt(mean * (1 - 1 / streamers)) * math.sqrt(2 * math.log(max(100 * streamers, 2)))
    return min(math.ceil(mean + spread), needs.streams)


def _outages(scene: Scene, lost: Burst) -> tuple[float, float]:
    """Return by how much the labels of a dead node's streams are late: of the median stream, and at most.

    Its last registration was up to `beat_s` before; the first late window was full up to a stride after.
    """
    stride_s = scene.stride / scene.rate_hz
    notice = scene.patience_s - scene.beat_s / 2
    most = scene.patience_s + _ROUND_TRIP_S + lost.caught_up_s
    return max(notice + _ROUND_TRIP_S + lost.caught_up_s / 2 - min(stride_s, notice) / 2, 0.0), most


def _message(needs: Needs) -> bytes:
    x = np.zeros((needs.chunk, needs.channels), np.float32)
    return encode_tracked(1, 0, 0, encode_samples(1, 0, 0, x))


def _bytes_per_s(needs: Needs) -> tuple[float, float]:
    """Return what a stream takes of the network: samples, and labels to one subscriber."""
    probs = np.zeros(needs.classes, "<f4").tobytes()
    numbers, stamps = (1 << 60, 10_000, 1 << 20, 1 << 20), (1 << 60,) * 5
    label = Label("wearer-100000", *numbers, "walking", 1, 0.5, probs, {}, "name-0123456789ab", *stamps, 1 << 40)
    labelled = sum(map(len, encode_label(label))) + _ON_THE_WAY
    sent = len(_message(needs)) + _ON_THE_WAY
    return sent * needs.rate_hz / needs.chunk, labelled * needs.rate_hz / needs.stride


def _mbit(bytes_per_s: float) -> float:
    return round(bytes_per_s * 8 / 1e6, 2)
