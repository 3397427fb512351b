"""The interface of every engine that runs a bundle's network; all engines give the same answer."""

from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Device = Literal["auto", "cpu", "cuda"]
Array = npt.NDArray[np.float32]

BATCH = 256
"""Windows in one call of an engine; larger batches take as long per window."""

MANY = 32
"""Windows worth a thread of their own, and from which on ONNX Runtime's graph for many is the faster one; measured."""


class Engine(Protocol):
    """Classifies windows.

    Attributes
    ----------
    name : str
        What it runs on, for people.
    multiple : int
        From `MANY` windows on, the size of a batch should be a multiple of this, for engines that are slower on a size
        they have not seen before.
    """

    name: str
    multiple: int = 1

    def prepare(self, windows: Array) -> Array:
        """Return what the network reads, shape (W, T, D), of raw: `kinestream.model.bundle.bundle.Bundle.prepare`.

        Parameters
        ----------
        windows : ndarray of float32, shape (W, T, C)
            In the channels' units, NaN or infinite where a sensor was silent.
        """
        ...

    def answer(self, prepared: Array) -> Array:
        """Return the probability of each class, shape (W, K), of what `prepare` returned; rows add up to one."""
        ...

    def probabilities(self, windows: Array) -> Array:
        """Return the probability of each class, shape (W, K), of raw windows."""
        return self.answer(self.prepare(windows))
