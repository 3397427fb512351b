"""What runs a bundle's network: ONNX Runtime on the CPU, PyTorch on CUDA; the same interface and the same answers."""

from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from model.bundle import Bundle
from model.errors import MissingExtra

Device = Literal["auto", "cpu", "cuda"]
Array = npt.NDArray[np.float32]


class Engine(Protocol):
    """Names windows.

    Attributes
    ----------
    name : str
        What it runs on, for people.
    """

    name: str

    def probabilities(self, windows: Array) -> Array:
        """Return the probability of each class.

        Parameters
        ----------
        windows : ndarray of float32, shape (W, T, C)
            Raw windows in the channels' units, NaN or infinite where a sensor was silent.

        Returns
        -------
        ndarray of float32, shape (W, K)
            Rows add up to one.
        """
        ...


def load_engine(bundle: Bundle, device: Device = "auto", threads: int = 1) -> Engine:
    """Return an engine for a bundle, warmed up.

    Parameters
    ----------
    bundle : Bundle
        What to run.
    device : str
        ``auto`` takes CUDA where PyTorch is installed and finds a GPU, else the CPU.
    threads : int
        CPU threads for one batch. One is best for a live stream: its batches are too small to share out.

    Raises
    ------
    MissingExtra
        Where ``cuda`` is asked for and PyTorch or the GPU is not there.
    """
    engine: Engine = CudaEngine(bundle) if device != "cpu" and _cuda(device) else OnnxEngine(bundle, threads)
    engine.probabilities(np.zeros((1, bundle.grid.length, len(bundle.channels)), dtype=np.float32))
    return engine


def _cuda(device: Device) -> bool:
    """Tell whether there is a GPU to use; `device` says how much it was wanted."""
    if device == "auto" and not _nvidia_driver():
        return False  # importing PyTorch takes seconds and hundreds of MB: not without a reason
    try:
        import torch
    except ModuleNotFoundError:
        if device == "auto":
            return False
        raise MissingExtra("running on CUDA needs PyTorch: pip install 'kinestream[train]'") from None
    if not torch.cuda.is_available() and device == "cuda":
        raise MissingExtra("PyTorch finds no CUDA device here: use --device cpu")
    return torch.cuda.is_available()


def _nvidia_driver() -> bool:
    import ctypes.util

    return ctypes.util.find_library("cuda") is not None


class OnnxEngine:
    """ONNX Runtime on the CPU."""

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        import onnxruntime

        from model.graphs import build_graph

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Idle threads would spin on a core that other streams' messages need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.name = f"ONNX Runtime {onnxruntime.__version__} on the CPU"
        self._prepared = bundle.prepared
        self._session = onnxruntime.InferenceSession(build_graph(bundle), options, providers=["CPUExecutionProvider"])

    def probabilities(self, windows: Array) -> Array:
        """Return the probability of each class; see `Engine`."""
        result: Array = self._session.run(["probabilities"], {"windows": self._prepared(windows)})[0]
        return result


class CudaEngine:
    """PyTorch, on CUDA or wherever `device` says."""

    def __init__(self, bundle: Bundle, device: str = "cuda") -> None:
        import torch

        from model.networks import make_network

        description = bundle.description
        self._device = torch.device(device)
        sizes = len(bundle.inputs), len(description.classes), bundle.grid.length
        self._network = make_network(description.network, *sizes)
        self._network.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in bundle.weights.items()})
        self._network.eval().to(self._device)
        self._prepared, self._temperature = bundle.prepared, description.temperature
        self._scaling = [torch.from_numpy(a).to(self._device) for a in (bundle.means, bundle.factors)]
        place = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "the CPU"
        self.name = f"PyTorch {torch.__version__} on {place}"

    def probabilities(self, windows: Array) -> Array:
        """Return the probability of each class; see `Engine`."""
        import torch

        means, factors = self._scaling
        with torch.inference_mode():
            raw = torch.from_numpy(self._prepared(windows)).to(self._device)
            logits: torch.Tensor = self._network((raw - means) * factors)
            result: Array = (logits / self._temperature).softmax(dim=-1).cpu().numpy()
        return result
