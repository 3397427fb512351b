"""Thousands of streams by name: each label reaches the replay that scores it and a subscriber that names every stream.

``python -m tests.soak.many_names 5000``; the tests do the same with fewer.
"""

import sys
import threading
import time
from typing import Any

from kinestream.replay.play.take import takes_of
from kinestream.replay.run import Addresses, play_takes
from kinestream.streamer.client import Event, Label, LabelSubscriber
from tests.given.bundles import random_bundle
from tests.given.replayed import made_up
from tests.given.streamers import running_streamer

SAMPLES, WINDOWS = 16, 3
PATIENCE_S = 60.0


def play_many(streams: int) -> tuple[dict[str, Any], int]:
    """Play so many streams, three windows each; return the report, and how many labels another subscriber got."""
    bundle = random_bundle(channels=3, length=8, stride=4)
    takes = takes_of((made_up(f"wearer-{i:05d}", SAMPLES, seed=i) for i in range(streams)), first_session=1)
    names = [take.stream for take in takes]
    with running_streamer(bundle) as streamer:
        heard: list[int] = []
        with LabelSubscriber(streamer.labels, streams=names, events=True) as subscriber:
            listener = threading.Thread(target=lambda: heard.append(_labels(subscriber, streams)))
            listener.start()
            report = play_takes(
                takes,
                Addresses(streamer.ingest, streamer.labels),
                speed="max",
                score=True,
                wait_for_subscribers=True,
                timeout_s=PATIENCE_S,
            )
            listener.join()
    return report.as_dict(), heard[0]


def _labels(subscriber: LabelSubscriber, streams: int) -> int:
    """Count labels until every session has ended."""
    labels = ended = 0
    while ended < streams:
        message = subscriber.receive(PATIENCE_S)
        if message is None:
            break
        labels += isinstance(message, Label)
        ended += isinstance(message, Event) and message.event == "end"
    return labels


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    began = time.monotonic()
    told, by_subscriber = play_many(count)
    print(
        f"{count} streams in {time.monotonic() - began:.1f} s: {told['labels_received']} of {told['labels_expected']} "
        f"labels scored, {by_subscriber} heard by name"
    )
    sys.exit(told["labels_missing"] != 0 or by_subscriber != count * WINDOWS)
