"""Runs a bundle's network with ONNX Runtime: every network, on every processor it knows."""

import numpy as np
import onnxruntime

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.engine.engine import MANY, Array, Engine
from kinestream.model.engine.onnx.build import build_graph, build_graph_for_many


class OnnxEngine(Engine):
    """ONNX Runtime on the CPU.

    Parameters
    ----------
    bundle : Bundle
        Of any network.
    threads : int
        As of `kinestream.model.engine.load.load_engine`.
    """

    multiple = 8

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Idle threads would spin on a core that other streams' messages need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Planned for a thousand nodes, the reuse of memory takes a second to load and gains nothing.
        options.enable_mem_reuse = False
        self.name = f"ONNX Runtime {onnxruntime.__version__} on the CPU"
        self._prepare, self._classes = bundle.prepare, len(bundle.description.classes)

        def session(graph: bytes) -> onnxruntime.InferenceSession:
            return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

        for_many = build_graph_for_many(bundle)
        self._for_few = session(build_graph(bundle))
        self._for_many = session(for_many) if for_many else self._for_few

    def prepare(self, windows: Array) -> Array:
        """Return what the network reads of raw windows; see `Engine`."""
        return self._prepare(windows)

    def answer(self, prepared: Array) -> Array:
        """Return the probability of each class; see `Engine`."""
        if not len(prepared):
            return np.empty((0, self._classes), dtype=np.float32)  # the runtime aborts the process
        session = self._for_few if len(prepared) < MANY else self._for_many
        result: Array = session.run(["probabilities"], {"windows": prepared})[0]
        return result
