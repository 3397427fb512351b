"""Labels that no streamer made, for what reads them."""

import numpy as np

from kinestream.streamer.wire.messages import Event, Label


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


def seam_between(last_window: int, next_window: int, stream: str = "anna", session: int = 1) -> Event:
    """Return the seam between two windows of `label_of`."""
    about = {"last_seq": last_window + 8, "first_seq": next_window}
    return Event("seam", stream, session, about | {"last_window": last_window, "next_window": next_window})
