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

from model.recording import Channel
from streamer.sender import SampleSender
from streamer.subscriber import AsyncLabelSubscriber, LabelSubscriber
from streamer.wire import Event, Label

__all__ = ["AsyncLabelSubscriber", "Channel", "Event", "Label", "LabelSubscriber", "SampleSender"]
