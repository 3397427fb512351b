"""kinestream recognises what people are doing from body-worn motion sensors, live.

What your own code needs is here, and is loaded when it is first used, so that ``import kinestream`` costs nothing::

    from kinestream import Recognizer, SampleSender, LabelSubscriber
"""

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kinestream.model.bundle.bundle import read_bundle
    from kinestream.model.config.file import load_config
    from kinestream.model.datasets.source import open_source
    from kinestream.model.errors import ChannelMismatch, ConfigError, EndpointError, KinestreamError
    from kinestream.model.evaluation.evaluate import evaluate
    from kinestream.model.recordings.clocks import ClockMap
    from kinestream.model.recordings.counters import CounterMap
    from kinestream.model.recordings.recording import Channel
    from kinestream.model.training.train import train
    from kinestream.streamer.client.activities import Activities, Activity
    from kinestream.streamer.client.connection import SampleConnection
    from kinestream.streamer.client.reliable import Reliable
    from kinestream.streamer.client.sender import SampleSender
    from kinestream.streamer.client.subscriber import AsyncLabelSubscriber, LabelSubscriber
    from kinestream.streamer.recognizer.recognizer import Recognizer
    from kinestream.streamer.wire.messages import Annotation, Event, Label

__all__ = [
    "Activities",
    "Activity",
    "Annotation",
    "AsyncLabelSubscriber",
    "Channel",
    "ChannelMismatch",
    "ClockMap",
    "ConfigError",
    "CounterMap",
    "EndpointError",
    "Event",
    "KinestreamError",
    "Label",
    "LabelSubscriber",
    "Recognizer",
    "Reliable",
    "SampleConnection",
    "SampleSender",
    "evaluate",
    "load_config",
    "open_source",
    "read_bundle",
    "train",
]

_PLACES = {
    "Activities": "streamer.client.activities",
    "Activity": "streamer.client.activities",
    "Annotation": "streamer.wire.messages",
    "AsyncLabelSubscriber": "streamer.client.subscriber",
    "Channel": "model.recordings.recording",
    "ChannelMismatch": "model.errors",
    "ClockMap": "model.recordings.clocks",
    "ConfigError": "model.errors",
    "CounterMap": "model.recordings.counters",
    "EndpointError": "model.errors",
    "Event": "streamer.wire.messages",
    "KinestreamError": "model.errors",
    "Label": "streamer.wire.messages",
    "LabelSubscriber": "streamer.client.subscriber",
    "Recognizer": "streamer.recognizer.recognizer",
    "Reliable": "streamer.client.reliable",
    "SampleConnection": "streamer.client.connection",
    "SampleSender": "streamer.client.sender",
    "evaluate": "model.evaluation.evaluate",
    "load_config": "model.config.file",
    "open_source": "model.datasets.source",
    "read_bundle": "model.bundle.bundle",
    "train": "model.training.train",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return metadata.version("kinestream")
    if name not in _PLACES:
        raise AttributeError(f"module 'kinestream' has no attribute {name!r}")
    return getattr(import_module(f"kinestream.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
