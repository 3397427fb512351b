"""How many windows the loop classifies itself rather than hand them to the inference thread."""

import numpy as np

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.clock import monotonic_ns
from kinestream.model.engine.engine import MANY, Engine
from kinestream.streamer.server import tuning


def inline_limit(bundle: Bundle, engine: Engine) -> int:
    """Return it: measured by how long the engine takes for one window of many."""
    windows = np.zeros((MANY, bundle.grid.length, len(bundle.channels)), dtype=np.float32)
    begin = monotonic_ns()
    engine.probabilities(windows)
    window_ns = (monotonic_ns() - begin) // MANY
    return max(1, tuning.INLINE_INFERENCE_NS // max(window_ns, 1))
