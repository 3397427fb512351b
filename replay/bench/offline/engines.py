"""Engines side by side: the same weights, the same windows, by turns in one run."""

import io
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import nn

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.engine.load import load_engine
from kinestream.model.engine.onnx.engine import OnnxEngine
from kinestream.model.network.make import make_network
from kinestream.model.network.residual import ResidualBiLSTM
from kinestream.replay.bench.bundles import random_readings
from kinestream.replay.bench.figures import EAGER, EXPORT, OUR_GRAPH, OURS, EngineFigure
from kinestream.replay.bench.offline.plain import PlainNetwork

Array = npt.NDArray[np.float32]
Run = Callable[[Array], Array]

_ROUND_S = 0.2  # how long an engine runs before it is the next one's turn
_ROUNDS = 15


def measure_engines(
    bundle: Bundle,
    batches: Sequence[int] = (1, 8, 64, 256),
    *,
    compiled: bool = True,
    rounds: int = _ROUNDS,
    show: Callable[[EngineFigure], None] = lambda figure: None,
) -> list[EngineFigure]:
    """Time every engine on one thread.

    Parameters
    ----------
    bundle : Bundle
        Whose network.
    batches : sequence of int
        Windows in a batch.
    compiled : bool
        Whether to take torch.compile along; it needs a C++ compiler and up to a minute.
    rounds : int
        Turns of each engine.
    show : callable
        Called with each figure.
    """
    torch.set_num_threads(1)
    engines = _engines(bundle, compiled)
    figures = []
    rng = np.random.default_rng(0)
    for batch in batches:
        windows = random_readings(bundle, rng, (batch, bundle.grid.length))
        truth = engines[EAGER](windows)
        answers = {name: run(windows) for name, run in engines.items()}  # warms up, too
        times: dict[str, list[float]] = {name: [] for name in engines}
        for _ in range(rounds):
            for name, run in engines.items():
                times[name].append(_mean_time(run, windows))
        for name in engines:
            difference = float(np.abs(answers[name] - truth).max())
            figures.append(EngineFigure(name, batch, 1e3 * float(np.median(times[name])), difference))
            show(figures[-1])
    return figures


def _mean_time(run: Run, windows: Array) -> float:
    run(windows)  # the engine before it has filled the caches
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < _ROUND_S:
        run(windows)
        count += 1
    return (time.perf_counter() - begin) / count


def plain_engines(bundle: Bundle) -> tuple[Run, Run]:
    """Return what anybody would run a bundle's network with: PyTorch eager, and its plain export in ONNX Runtime."""
    plain = _plain(_network(bundle)).eval()
    return _eager(bundle, plain), _onnx(bundle, _export(bundle, plain))


def _network(bundle: Bundle) -> nn.Module:
    description = bundle.description
    sizes = len(bundle.inputs), len(description.classes), bundle.grid.length
    network = make_network(description.network, *sizes)
    network.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in bundle.weights.items()})
    return network.eval()


def _plain(network: nn.Module) -> nn.Module:
    """Return the network as anybody would write it; those that others thought of are written so already."""
    return PlainNetwork(network) if isinstance(network, ResidualBiLSTM) else network


def _engines(bundle: Bundle, compiled: bool) -> dict[str, Run]:
    network = _network(bundle)
    plain = _plain(network).eval()
    engines: dict[str, Run] = {
        OURS: load_engine(bundle, "cpu").probabilities,
        EAGER: _eager(bundle, plain),
        "PyTorch, cells of a block joined": _eager(bundle, network),
    }
    if compiled:
        engines["torch.compile"] = _eager(bundle, torch.compile(plain))
    engines[OUR_GRAPH] = OnnxEngine(bundle).probabilities
    exported = _export(bundle, plain)
    engines[EXPORT] = _onnx(bundle, exported)
    if find_spec("openvino"):
        engines["OpenVINO"] = _openvino(bundle, exported)
    return engines


def _scaled(bundle: Bundle) -> Callable[[Array], Array]:
    means, factors = bundle.means, bundle.factors
    return lambda windows: (bundle.prepare(windows) - means) * factors


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Array = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _eager(bundle: Bundle, network: Callable[..., Any]) -> Run:
    scaled = _scaled(bundle)

    def run(windows: Array) -> Array:
        with torch.inference_mode():
            return _softmax(network(torch.from_numpy(scaled(windows))).numpy())

    return run


def _export(bundle: Bundle, plain: nn.Module) -> bytes:
    example = torch.zeros(2, bundle.grid.length, len(bundle.channels))
    file = io.BytesIO()
    with warnings.catch_warnings():  # of PyTorch, that this way of exporting is the older one
        warnings.simplefilter("ignore")
        torch.onnx.export(
            plain,
            (example,),
            file,  # type: ignore[arg-type]
            input_names=["windows"],
            output_names=["logits"],
            dynamic_axes={"windows": {0: "W"}, "logits": {0: "W"}},
            opset_version=17,
            dynamo=False,
        )
    return file.getvalue()


def _onnx(bundle: Bundle, model: bytes) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    scaled = _scaled(bundle)
    return lambda windows: _softmax(session.run(None, {"windows": scaled(windows)})[0])


def _openvino(bundle: Bundle, model: bytes) -> Run:
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model, b""), "CPU", {"INFERENCE_NUM_THREADS": 1})
    scaled = _scaled(bundle)
    return lambda windows: _softmax(compiled([scaled(windows)])[0])
