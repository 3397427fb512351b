"""A replay through a streamer of its own, and the labels that somebody else hears meanwhile."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kinestream.model.bundle.bundle import Bundle
from kinestream.replay.run import replay
from kinestream.streamer.client import Event, Label, LabelSubscriber
from tests.given.streamers import running_streamer


def replayed(bundle: Bundle, source: Path, ids: Sequence[str], **options: Any) -> tuple[dict[str, Any], list[Label]]:
    """Return the report of a scored replay, and the labels that another subscriber received of it."""
    labels: list[Label] = []

    def collect(address: str) -> None:
        running = set(ids)
        with LabelSubscriber(address, streams=ids, events=True) as subscriber:
            while running:
                message = subscriber.receive(60)
                assert message is not None
                if isinstance(message, Label):
                    labels.append(message)
                elif isinstance(message, Event) and message.event == "end":
                    running.discard(message.stream)

    with running_streamer(bundle) as streamer:
        listener = threading.Thread(target=collect, args=(streamer.labels,))
        listener.start()
        report = replay(
            source,
            recordings=ids,
            score=True,
            wait_for_subscribers=True,
            ingest=streamer.ingest,
            labels=streamer.labels,
            **options,
        ).as_dict()
        listener.join()
    return report, labels
