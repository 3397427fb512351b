"""Means and deviations are those of the readings there are."""

import numpy as np

from kinestream.model.training.statistics import channel_statistics


def test_statistics_leave_out_what_is_no_reading():
    samples = np.array([[1, np.inf], [np.nan, -np.inf], [3, np.nan]], dtype=np.float32)
    means, deviations = channel_statistics([samples])
    assert means.tolist() == [2, 0]
    assert deviations.tolist() == [1, 1]
