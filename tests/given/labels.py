"""Labels that no streamer made, for what reads them."""

import numpy as np

from kinestream.streamer.wire.messages import Label


def label_of(stream: str = "anna", window: int = 0, name: str = "walk", **others: object) -> Label:
    """Return a label of a window of 8 samples, one after the other, all of its times 0 unless `others` says more."""
    label = Label(
        stream=stream,
        session=1,
        window=window,
        first_seq=window,
        last_seq=window + 7,
        label=name,
        class_index=0,
        p=0.75,
        probs=np.array([0.75, 0.25], "<f4").tobytes(),
        missing={"sensor": 0.0},
        model="m-1",
        t_source=0,
        t_received=0,
        t_ready=0,
        t_inferred=0,
        t_published=0,
    )
    return label._replace(**others)
