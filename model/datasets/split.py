"""Reads of a source what a configuration trains and tests on, and nothing else."""

import numpy as np

from kinestream.model.config.split import SplitSection
from kinestream.model.datasets.reader import Outline
from kinestream.model.datasets.source import Source
from kinestream.model.recordings.recording import Recording
from kinestream.model.recordings.split import Split, split_recordings


def read_split(source: Source, section: SplitSection, seed: int) -> Split:
    """Read the recordings of a source that are in any part, and divide them; one left out need not be readable.

    Parameters
    ----------
    source : Source
        Where they are.
    section, seed
        As for `split_recordings`.

    Raises
    ------
    ConfigError
        As `split_recordings`, before anything is read.
    SourceError
        Where one of them cannot be read.
    """
    unread = [_unread(source, outline) for outline in source.outlines()]
    shares = dict.fromkeys(("leave_out_share", "test_share", "validation_share"), 0.0)
    whole = section.model_copy(update={**shares, "train_minutes": None})
    parts = split_recordings(unread, whole, seed)
    wanted = {recording.id for part in (parts.train, parts.validation, parts.test) for recording in part}
    coming = source.recordings([recording.id for recording in unread if recording.id in wanted])
    recordings = [next(coming) if each.id in wanted else each for each in unread]
    return split_recordings(recordings, section, seed)


def _unread(source: Source, outline: Outline) -> Recording:
    """Return a recording of no samples: all that is asked of one that is in no part is whose it is."""
    return Recording(
        id=outline.id,
        person=outline.person,
        dataset=source.info.name,
        rate_hz=source.rate_hz,
        channels=source.channels,
        samples=np.empty((0, len(source.channels)), dtype=np.float32),
        timestamps=np.empty(0, dtype=np.int64),
        labels=np.empty(0, dtype=np.int16),
        classes=source.classes,
        split=outline.split,
    )
