"""A replay through a streamer of its own, and the labels that somebody else hears meanwhile."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kinestream.model.bundle.bundle import Bundle
from kinestream.replay.report import ReplayReport
from kinestream.replay.run import replay
from kinestream.streamer.client import Event, Label, LabelSubscriber
from kinestream.streamer.server.server import Streamer
from tests.given.streamers import running_streamer


def replayed(bundle: Bundle, source: Path, ids: Sequence[str], **options: Any) -> tuple[dict[str, Any], list[Label]]:
    """Return the report of a scored replay, and the labels that another subscriber received of it."""

    def play(streamer: Streamer) -> ReplayReport:
        return replay(
            source,
            recordings=ids,
            score=True,
            wait_for_subscribers=True,
            ingest=streamer.ingest,
            labels=streamer.labels,
            **options,
        )

    report, labels, _ = listened(bundle, ids, play)
    return report, labels


def listened(
    bundle: Bundle, ids: Sequence[str], play: Callable[[Streamer], ReplayReport]
) -> tuple[dict[str, Any], list[Label], list[Event]]:
    """Return the report of what plays these streams, and the labels and events that another subscriber received."""
    labels: list[Label] = []
    events: list[Event] = []

    def collect(address: str) -> None:
        running = set(ids)
        with LabelSubscriber(address, streams=ids, events=True) as subscriber:
            while running:
                message = subscriber.receive(60)
                assert message is not None
                if isinstance(message, Label):
                    labels.append(message)
                    continue
                assert isinstance(message, Event)
                events.append(message)
                if message.event == "end":
                    running.discard(message.stream)

    with running_streamer(bundle) as streamer:
        listener = threading.Thread(target=collect, args=(streamer.labels,))
        listener.start()
        report = play(streamer).as_dict()
        listener.join()
    return report, labels, events
