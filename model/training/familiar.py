"""What a bundle notes of the readings it was trained on, so that it can tell those that are nothing like them."""

from collections.abc import Sequence

import numpy as np

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.config.familiar import SensorRange
from kinestream.model.datasets import Recording
from kinestream.model.recordings.split import Split
from kinestream.model.windows.familiar import Features, features, fit_ranges, sensor_matrix, sensors_of
from kinestream.model.windows.grid import continuous_starts
from kinestream.model.windows.labelled import full_windows


def note_familiar(bundle: Bundle, split: Split, known: Sequence[SensorRange] = ()) -> Bundle:
    """Return the bundle with the ranges of what it was trained on.

    Parameters
    ----------
    bundle : Bundle
        As trained.
    split : Split
        Whose recordings are for what.
    known : sequence of SensorRange
        Those of the bundle that training started from.
    """
    ranges = fit_ranges(
        [channel.name for channel in bundle.channels],
        features_of(bundle, split.train),
        features_of(bundle, split.validation),
        known,
    )
    return Bundle(bundle.description.model_copy(update={"familiar": ranges}), bundle.weights)


def features_of(bundle: Bundle, recordings: Sequence[Recording]) -> Features:
    """Return the features of the windows of recordings, shape (W, C + 2 S); see `kinestream.model.windows.familiar`."""
    own = sensors_of([channel.name for channel in bundle.channels])
    sensors = sensor_matrix(own, len(bundle.channels))
    found = [np.empty((0, len(bundle.channels) + 2 * len(own)))]
    for recording in recordings:
        columns, factors = bundle.columns(recording.channels)
        starts = continuous_starts(recording, bundle.grid)
        for full in full_windows(recording, columns, starts, bundle.grid, bundle.frozen, factors):
            found.append(features(full.windows, sensors))
    return np.concatenate(found)
