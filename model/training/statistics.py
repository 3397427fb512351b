"""What training learns of the channels before it begins: their means and deviations, by which inputs are scaled."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def channel_statistics(
    recordings: Sequence[npt.NDArray[np.float32]],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the mean and the deviation of each channel over many recordings, what is no reading left out.

    A channel without a single reading has mean 0, and a deviation of 1 stands in for 0, so that scaling stays finite.

    Parameters
    ----------
    recordings : sequence of ndarray of float32, each of shape (N, C)
        Samples of the training people.

    Returns
    -------
    means, deviations : ndarray of float32, shape (C,)
        In the units of the channels.
    """
    channels = recordings[0].shape[1]
    means, deviations = np.zeros(channels), np.ones(channels)
    for c in range(channels):  # a channel at a time, so that double precision needs little memory
        readings = np.concatenate([samples[:, c] for samples in recordings]).astype(np.float64)
        readings = readings[np.isfinite(readings)]
        if len(readings):
            means[c] = readings.mean()
            deviations[c] = readings.std() or 1.0
    return means.astype(np.float32), deviations.astype(np.float32)
