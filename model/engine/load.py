"""Chooses what runs a bundle: our kernel or ONNX Runtime on the CPU, PyTorch on CUDA."""

import ctypes
import ctypes.util
import logging

import numpy as np

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.config.network import NetworkConfig
from kinestream.model.engine.engine import BATCH, MANY, Device, Engine
from kinestream.model.errors import BundleError, MissingExtra
from kinestream.model.extras import install, need

_log = logging.getLogger(__name__)

KERNEL_FEATURES = 64
"""Units of an LSTM up to which our kernel has a network. There it is four times faster than ONNX Runtime for one window
and at worst a third slower for many; with twice the units, whose weights a core's own cache no longer holds, ONNX
Runtime, which reads them once for all windows, is up to three times faster for many. Measured."""


def load_engine(bundle: Bundle, device: Device = "auto", threads: int = 1) -> Engine:
    """Return an engine for a bundle, warmed up.

    Parameters
    ----------
    bundle : Bundle
        What to run.
    device : str
        ``auto`` takes a GPU where PyTorch can use it, else the CPU; a logged warning says why a GPU is left unused.
    threads : int
        CPU threads for one batch. One is best for a live stream: its batches are too small to share out.

    Raises
    ------
    MissingExtra
        Where ``cuda`` is asked for and PyTorch or the GPU is not there, or of no use; where there is no kernel for the
        network and ONNX Runtime is not installed.
    BundleError
        Where the network's probabilities are not finite, which finite weights do not rule out.
    """
    engine = _gpu_engine(bundle, device) or _cpu_engine(bundle, threads)
    # The largest batch allocates its memory now rather than when the load is highest.
    for count in (1, MANY, BATCH):
        answers = engine.probabilities(np.zeros((count, bundle.grid.length, len(bundle.channels)), dtype=np.float32))
    if not np.isfinite(answers).all():
        raise BundleError(f"{bundle.id} is unusable, its probabilities are not finite numbers: train it again")
    return engine


def _gpu_engine(bundle: Bundle, device: Device) -> Engine | None:
    """Return what runs on the GPU; None where there is none or, with a warning, where it cannot be used."""
    # Importing PyTorch takes seconds and hundreds of MB, so it is imported only where it can be needed.
    if device == "cpu" or (device == "auto" and not _nvidia_driver()):
        return None
    try:
        return _cuda_engine(bundle)
    except MissingExtra as error:
        if device == "cuda":
            raise
        _log.warning("running on the CPU: %s", error)
        return None


def _cuda_engine(bundle: Bundle) -> Engine:
    try:
        import torch

        from kinestream.model.engine.cuda import CudaEngine
    except ModuleNotFoundError:
        raise MissingExtra(f"running on CUDA needs PyTorch: {install('train')}") from None
    if not torch.cuda.is_available():
        raise MissingExtra("PyTorch finds no CUDA device here: use --device cpu")
    try:
        return CudaEngine(bundle)
    except RuntimeError as error:  # an old driver, a GPU that PyTorch was not built for, no memory left on it
        raise MissingExtra(f"PyTorch cannot use the GPU ({str(error).splitlines()[0]}): use --device cpu") from None


def _cpu_engine(bundle: Bundle, threads: int) -> Engine:
    network = bundle.description.network
    if isinstance(network, NetworkConfig) and network.features <= KERNEL_FEATURES:
        try:
            from kinestream.model.engine.kernel.engine import KernelEngine
        except ImportError:  # there was no C compiler, or one without vector extensions
            need("running without our compiled kernel", "onnx", "onnxruntime", extra="onnx")
            advice = "install a C compiler (gcc or clang), then kinestream again"
            _log.warning(
                "our compiled kernel is missing, and ONNX Runtime takes about five times longer per window: %s", advice
            )
        else:
            return KernelEngine(bundle, threads)
    need(f"running the network of {bundle.id}", "onnx", "onnxruntime", extra="onnx")
    # Imported only here: the kernel does without the time and memory that it takes.
    from kinestream.model.engine.onnx.engine import OnnxEngine

    return OnnxEngine(bundle, threads)


def _nvidia_driver() -> bool:
    try:
        return ctypes.util.find_library("cuda") is not None
    except OSError:  # it asks a compiler, by a temporary file, and there may be no folder for one
        return _can_be_loaded("libcuda.so.1")


def _can_be_loaded(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
