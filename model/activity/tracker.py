"""The activities of one run of a stream, window by window.

A pure function of the windows' numbers, moments and probabilities: the same ones give the same activities however they
arrive.
"""

from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from kinestream.model.activity.decisions import Change, Decisions
from kinestream.model.activity.smoother import Probabilities, Smoother
from kinestream.model.config.activity import ActivitySection


class ActivityTracker:
    """Tells the activities of a run from its windows' probabilities.

    Parameters
    ----------
    settings : ActivitySection
        How.
    stride : int
        From one window's moment to the next one's.
    """

    def __init__(self, settings: ActivitySection, stride: int) -> None:
        self._longest_gap, self._stride = settings.longest_gap, stride
        self._smoother = Smoother(settings, len(settings.least))
        self._decisions = Decisions(settings, stride)
        self._moments: deque[int] = deque()  # of the windows that the smoother holds
        self._window: int | None = None  # the last one that had a label
        self._at = 0  # its moment

    @property
    def window(self) -> int | None:
        """The last window of the run that had a label."""
        return self._window

    @property
    def current(self) -> int | None:
        """The activity that was told last and has not ended, None where none is; as in `Change.which`."""
        return self._decisions.current

    def add(self, window: int, at: int, probabilities: npt.NDArray[np.floating[Any]]) -> list[Change]:
        """Take a window; one that does not follow the last one is passed over, as a repetition.

        Parameters
        ----------
        window : int
            Its number: a jump says that those between got no label.
        at : int
            Its moment.
        probabilities : ndarray of float, shape (K,)
            Of each class.
        """
        changes: list[Change] = []
        if self._window is not None:
            if window <= self._window:
                return changes
            changes += self.skip(window - 1)
            if self._moments or self._decisions.has_begun:
                for missing in range(1, window - self._window):
                    changes += self._take(self._at + missing * self._stride, None)
        self._window, self._at = window, at
        return changes + self._take(at, probabilities)

    def skip(self, last: int) -> list[Change]:
        """Learn that the windows up to `last` get no label: no more than a later one would tell, but sooner."""
        if self._window is not None and last - self._window > self._longest_gap:
            return self._end()
        return []

    def finish(self) -> list[Change]:
        """End the run: what the next window says is of another one."""
        self._window = None
        return self._end()

    def _take(self, at: int, probabilities: npt.NDArray[np.floating[Any]] | None) -> list[Change]:
        self._moments.append(at)
        return self._decide(self._smoother.add(probabilities))

    def _decide(self, smoothed: Probabilities | None) -> list[Change]:
        if smoothed is None:
            return []
        best = int(smoothed.argmax())
        return self._decisions.add(self._moments.popleft(), best, float(smoothed[best]))

    def _end(self) -> list[Change]:
        changes = [change for smoothed in self._smoother.finish() for change in self._decide(smoothed)]
        return changes + self._decisions.end()
