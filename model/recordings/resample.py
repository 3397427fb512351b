"""Puts a sensor's irregular readings on a regular grid."""

import numpy as np
import numpy.typing as npt


def on_grid(
    times: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    grid: npt.NDArray[np.int64],
    longest_gap: int,
) -> npt.NDArray[np.float32]:
    """Interpolate readings linearly at the times of a grid.

    Readings that carry the same time (a clock coarser than the sensor) count as one, their mean. Nothing is
    invented: where the readings on both sides lie further apart than `longest_gap`, and outside the readings
    altogether, the result is NaN, unless a reading falls on the grid's very time.

    Parameters
    ----------
    times : ndarray of int64, shape (M,)
        When the readings were taken, in any order.
    values : ndarray of float64, shape (M, C)
        The readings.
    grid : ndarray of int64, shape (N,)
        Times at which values are wanted, in the unit of `times`.
    longest_gap : int
        The longest time between two readings that is bridged.

    Returns
    -------
    ndarray of float32, shape (N, C)
    """
    moments, belongs = np.unique(times, return_inverse=True)
    counts = np.bincount(belongs, minlength=len(moments))
    means = np.column_stack([np.bincount(belongs, column, len(moments)) / counts for column in values.T])
    after = np.searchsorted(moments, grid, side="left").clip(max=len(moments) - 1)
    before = (np.searchsorted(moments, grid, side="right") - 1).clip(min=0)
    near = (moments[before] <= grid) & (grid <= moments[after]) & (moments[after] - moments[before] <= longest_gap)
    at_grid = np.column_stack([np.interp(grid, moments, column) for column in means.T])
    at_grid[~near] = np.nan
    return at_grid.astype(np.float32)


def sharing(times: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which readings carry the time of another, shape (M,) as `times`, which may be in any order."""
    _, belongs, counts = np.unique(times, return_inverse=True, return_counts=True)
    shared: npt.NDArray[np.bool_] = counts[belongs] > 1
    return shared


def nearest(times: npt.NDArray[np.int64], grid: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the index of the reading nearest to each time of a grid, the earlier one of two equally near.

    Parameters
    ----------
    times : ndarray of int64, shape (M,)
        Not decreasing, at least one.
    grid : ndarray of int64, shape (N,)
    """
    after = np.searchsorted(times, grid).clip(max=len(times) - 1)
    before = (after - 1).clip(min=0)
    return np.where(np.abs(times[after] - grid) < np.abs(grid - times[before]), after, before)
