"""What the benches find; plain data, so that tables and plots need none of what is measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OURS = "kinestream"
OURS_COLD = "kinestream, no warm-up"
OURS_GRID = "kinestream, shipped bundle"
OURS_WORN = "kinestream, shipped bundle, two devices at 100 Hz"
OUR_GRAPH = "our graph in ONNX Runtime"  # what runs where the kernel does not
EAGER = "PyTorch eager"
EXPORT = "plain ONNX export"
PLAIN = "one nn.LSTM per direction"


@dataclass(frozen=True)
class EngineFigure:
    """One engine at one batch.

    Parameters
    ----------
    engine : str
        Its name.
    windows : int
        Windows in a batch.
    ms : float
        Median over the rounds of the mean time of a batch.
    difference : float
        Largest difference of any probability from PyTorch's.
    """

    engine: str
    windows: int
    ms: float
    difference: float


@dataclass(frozen=True)
class LatencyFigure:
    """What one of them came to, all turns together.

    Parameters
    ----------
    name : str
        Which.
    labels, missing : int
        Labels that came, and windows without one.
    latency_ms, stages_ms : dict
        Percentiles of the latency, and of each of `kinestream.replay.score.scorer.STAGES`.
    pacing_error_ms : dict
        How late samples left.
    cpu : float
        Cores it kept busy meanwhile.
    """

    name: str
    labels: int
    missing: int
    latency_ms: dict[str, float | None]
    stages_ms: dict[str, dict[str, float | None]]
    pacing_error_ms: dict[str, float | None]
    cpu: float


@dataclass(frozen=True)
class StreamsFigure:
    """What is drawn of one number of streams.

    Parameters
    ----------
    streams : int
        How many.
    latency_p50_ms, latency_p90_ms, latency_p99_ms : float or None
        From a window's last sample to its label; None where no label came.
    cores : float
        Processors the streamer kept busy.
    """

    streams: int
    latency_p50_ms: float | None
    latency_p90_ms: float | None
    latency_p99_ms: float | None
    cores: float

    @classmethod
    def of_point(cls, point: Mapping[str, Any]) -> "StreamsFigure":
        """Return it of a point as a report has it."""
        heard = point["heard"]
        p50, p90, p99 = (heard[f"latency_{name}_ms"] for name in ("p50", "p90", "p99"))
        return cls(point["streams"], p50, p90, p99, point["streamer_cpu"])


@dataclass(frozen=True)
class TrainingFigure:
    """One form of one network in training.

    Parameters
    ----------
    network, form : str
        The preset, and how its cells are run.
    batch : int
        Windows in a step.
    windows_per_second : float
        Median over the turns.
    difference : float
        Largest difference between the two forms' gradients, as a share of the largest gradient.
    """

    network: str
    form: str
    batch: int
    windows_per_second: float
    difference: float
