"""A window gets the same answer alone, in a batch and from every engine, whatever its sensors left out."""

import sys
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinestream.model.engine.cuda import BUCKETS, CudaEngine
from kinestream.model.engine.engine import MANY
from kinestream.model.engine.load import KERNEL_FEATURES, load_engine
from kinestream.model.engine.onnx.engine import OnnxEngine
from kinestream.model.errors import MissingExtra
from tests.given.bundles import random_bundle, reference_knobs

LENGTH, CHANNELS = 12, 5
TOLERANCE = 1e-5
KNOBS = {
    "kinestream": {},
    "reference": reference_knobs(),
    "skip batch last": {"norm": "batch", "readout": "last"},
    "sum layer mean": {"residual": "sum"},
    "forward": {"bidirectional": False, "norm": "none", "readout": "last"},
    "one cell": {"cells": 0, "bidirectional": False},
    "as many features as channels": {"hidden": CHANNELS, "bidirectional": False},
    "as many features as channels, last": {"hidden": CHANNELS, "cells": 1, "bidirectional": False, "readout": "last"},
    "stem": {"stem_kernel": 5, "stem_stride": 2, "residual": "identity", "readout": "mean_last"},
    "stem, skip, last": {"stem_kernel": 4, "stem_stride": 4, "residual": "skip", "readout": "last"},
    "identity, as many features as channels": {"hidden": CHANNELS, "bidirectional": False, "residual": "identity"},
    "identity, last": {"residual": "identity", "readout": "last"},
    "detail": {"detail": 10.0},
    "detail, stem": {"detail": 3.0, "stem_kernel": 4, "stem_stride": 2, "residual": "identity"},
    "detail, as many features": {"detail": 3.0, "hidden": 2 * CHANNELS, "residual": "identity"},
    "DeepConvLSTM": {"kind": "deepconvlstm", "convolutions": 2, "filters": 4, "kernel": 3, "hidden": 7},
    "plain LSTM": {"kind": "lstm", "hidden": 6},
    "one cell in all": {"hidden": CHANNELS, "cells": 1, "blocks": 1, "bidirectional": False, "readout": "last"},
}


@cache
def engines(name):
    bundle = random_bundle(CHANNELS, length=LENGTH, **KNOBS[name])
    return OnnxEngine(bundle), CudaEngine(bundle, device="cpu"), load_engine(bundle, "cpu")


@st.composite
def batches(draw):
    """Return windows in which readings, samples and sensors are missing."""
    count = draw(st.integers(1, MANY + 20))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    windows = rng.normal(0, draw(st.sampled_from([0.1, 1, 10])), (count, LENGTH, CHANNELS)).astype(np.float32)
    share = draw(st.sampled_from([0.0, 0.05, 0.5, 0.95]))
    for shape in (windows.shape, (count, LENGTH, 1), (count, 1, CHANNELS)):
        gone = np.broadcast_to(rng.random(shape) < share, windows.shape)
        windows[gone] = rng.choice([np.nan, np.inf, -np.inf], size=int(gone.sum()), p=[0.8, 0.1, 0.1])
    return windows


@pytest.mark.parametrize("name", KNOBS)
@given(windows=batches(), cuts=st.lists(st.integers(1, MANY + 19), max_size=5), order=st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=25)
def test_batch_invariance(name, windows, cuts, order):
    shuffled = list(range(len(windows)))
    order.shuffle(shuffled)
    expected = engines(name)[0].probabilities(windows)
    np.testing.assert_allclose(expected.sum(axis=1), 1, atol=TOLERANCE)
    for engine in engines(name):
        parts = [part for part in np.split(windows[shuffled], sorted(cuts)) if len(part)]
        answers = np.concatenate([engine.probabilities(part) for part in parts])
        np.testing.assert_allclose(answers, expected[shuffled], atol=TOLERANCE, err_msg=engine.name)
        alone = engine.probabilities(windows[:1])
        np.testing.assert_allclose(alone, expected[:1], atol=TOLERANCE, err_msg=engine.name)


@pytest.mark.parametrize("name", KNOBS)
def test_loading_says_nothing(name, capfd):
    OnnxEngine(random_bundle(CHANNELS, length=LENGTH, **KNOBS[name]))
    assert capfd.readouterr() == ("", "")  # the runtime warns of what a graph has and does not use


@pytest.mark.parametrize("name", ["detail", "detail, stem"])
def test_readings_that_no_sensor_gives_still_have_finite_answers(name):
    windows = np.random.default_rng(0).normal(size=(3, LENGTH, CHANNELS)).astype(np.float32)
    windows[0, 3, 1], windows[1, 2, 0], windows[1, 5, 0] = 3e38, 1e25, -1e25
    for engine in engines(name):
        found = engine.probabilities(windows)
        assert np.isfinite(found).all(), engine.name


@pytest.mark.parametrize(
    "count", [0, 1, 2, BUCKETS[1], BUCKETS[1] + 1, BUCKETS[-1], BUCKETS[-1] + 1, 2 * BUCKETS[-1] + 3]
)
def test_a_batch_of_any_size_fits_the_sizes_there_are(count):
    windows = np.random.default_rng(count).normal(size=(count, LENGTH, CHANNELS)).astype(np.float32)
    onnx, torch_engine, _ = engines("stem")
    torch_engine.probabilities(np.full((BUCKETS[-1], LENGTH, CHANNELS), 7, dtype=np.float32))  # fills every buffer
    np.testing.assert_allclose(torch_engine.probabilities(windows), onnx.probabilities(windows), atol=TOLERANCE)


@pytest.fixture
def gpu(monkeypatch):
    """Make it seem that there is an NVIDIA driver, and let a test say what PyTorch finds."""
    monkeypatch.setattr("kinestream.model.engine.load._nvidia_driver", lambda: True)
    return monkeypatch


def broken(bundle):
    raise RuntimeError("CUDA error: no kernel image is available\nCUDA kernel errors might be reported later")


@pytest.mark.parametrize(
    ("found", "made", "said"),
    [
        (False, broken, "PyTorch finds no CUDA device here"),
        (True, broken, "PyTorch cannot use the GPU (CUDA error: no kernel image is available)"),
    ],
)
def test_a_gpu_that_cannot_be_used_is_one_line_and_the_cpu(gpu, caplog, found, made, said):
    bundle = random_bundle(CHANNELS, length=LENGTH)
    gpu.setattr("torch.cuda.is_available", lambda: found)
    gpu.setattr("kinestream.model.engine.cuda.CudaEngine", made)
    assert "on the CPU" in load_engine(bundle, "auto").name
    (told,) = caplog.messages
    assert told.startswith(f"running on the CPU: {said}")
    assert "\n" not in told
    with pytest.raises(MissingExtra, match="use --device cpu"):
        load_engine(bundle, "cuda")


def test_a_gpu_that_can_be_used_is(gpu):
    bundle = random_bundle(CHANNELS, length=LENGTH)
    gpu.setattr("torch.cuda.is_available", lambda: True)
    gpu.setattr("kinestream.model.engine.cuda.CudaEngine", lambda bundle: engines("stem")[1])
    assert load_engine(bundle, "auto") is load_engine(bundle, "cuda") is engines("stem")[1]


@pytest.mark.parametrize("network", [{"kind": "lstm"}, {"hidden": 2 * KERNEL_FEATURES + 2}])
def test_what_the_kernel_is_not_for_runs_in_onnx_runtime(network):
    assert load_engine(random_bundle(CHANNELS, length=LENGTH, **network), "cpu").name.startswith("ONNX Runtime")


def test_without_the_kernel_one_line_says_what_to_do(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "kinestream.model.engine.kernel.engine", None)
    assert load_engine(random_bundle(CHANNELS, length=LENGTH), "cpu").name.startswith("ONNX Runtime")
    (told,) = caplog.messages
    assert "install a C compiler" in told
    assert "\n" not in told
