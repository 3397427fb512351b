from typing import Any

import numpy as np
import numpy.typing as npt

INSTRUCTIONS: str
FIELDS: tuple[str, ...]
FIELD_BYTES: int
GATES: tuple[str, ...]
NORMS: tuple[str, ...]
PANEL: int
MOST_SCALED: float
LAYER_NORM_EPS: float

def load(shape: bytes, weights: npt.NDArray[np.float32], /) -> Any: ...
def answer(network: Any, windows: npt.NDArray[np.float32], out: npt.NDArray[np.float32], /) -> None: ...
