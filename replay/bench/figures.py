"""What the benches find; plain data, so that tables and plots need none of what is measured."""

from dataclasses import dataclass

OURS = "kinestream"
OURS_COLD = "kinestream, no warm-up"
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
        Percentiles of the latency, and of each of `replay.score.scorer.STAGES`.
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
