"""What your own code imports: `SampleSender` for a wearer's samples, `LabelSubscriber` for what they mean.

::

    with SampleSender("anna", ["acc_x", "acc_y", "acc_z"], rate_hz=50) as sender:
        for reading in sensor:
            sender.send(reading)

    with LabelSubscriber() as labels:
        for label in labels:
            print(label.stream, label.label, label.p)

Neither may be shared between threads: open one in each.
"""

from kinestream.model.recordings.recording import Channel
from kinestream.streamer.client.connection import SampleConnection
from kinestream.streamer.client.reliable import Reliable
from kinestream.streamer.client.sender import SampleSender
from kinestream.streamer.client.subscriber import AsyncLabelSubscriber, LabelSubscriber
from kinestream.streamer.wire.messages import Annotation, Event, Label

__all__ = [
    "Annotation",
    "AsyncLabelSubscriber",
    "Channel",
    "Event",
    "Label",
    "LabelSubscriber",
    "Reliable",
    "SampleConnection",
    "SampleSender",
]
