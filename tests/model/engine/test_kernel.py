"""The kernel gives ONNX Runtime's answers for every network, and the same bits whatever comes with a window."""

import ctypes
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinestream.model.engine.onnx.engine import OnnxEngine
from tests.given.bundles import random_bundle, reference_knobs

COMPILER = shutil.which("cc")
if COMPILER is None:
    pytest.skip("no C compiler here to have compiled the kernel", allow_module_level=True)
kernelengine = import_module("kinestream.model.engine.kernel.engine")  # it must be there where it could be compiled

KernelEngine, laid_out, shape_of = kernelengine.KernelEngine, kernelengine.laid_out, kernelengine.shape_of
SOURCES = Path(__file__).parents[3] / "model/engine/kernel"  # an installed package has none
TOLERANCE = 1e-5

networks = st.fixed_dictionaries(
    {
        "hidden": st.integers(1, 20).map(lambda half: 2 * half),
        "cells": st.integers(0, 3),
        "blocks": st.integers(1, 3),
        "bidirectional": st.booleans(),
        "residual": st.sampled_from(["sum", "identity", "skip"]),
        "norm": st.sampled_from(["none", "batch", "layer"]),
        "readout": st.sampled_from(["last", "mean", "mean_last"]),
        "head_relu": st.booleans(),
        "detail": st.sampled_from([0.0, 0.5, 40.0]),
        "stem_kernel": st.sampled_from([0, 0, 1, 3, 8]),
        "stem_stride": st.integers(1, 4),
    }
)


def readings(count, length, channels, seed=0, scale=1.0):
    return np.random.default_rng(seed).normal(0, scale, (count, length, channels)).astype(np.float32)


@given(
    network=networks,
    channels=st.integers(1, 40),
    length=st.integers(1, 30),
    classes=st.integers(2, 20),
    scale=st.sampled_from([0.1, 1.0, 30.0]),
    seed=st.integers(0, 2**16),
)
@settings(deadline=None, max_examples=150)
def test_any_network_answers_as_in_onnx_runtime(network, channels, length, classes, scale, seed):
    kernel = min(network["stem_kernel"], length)  # no stem may read more than there is, nor leave out samples
    network |= {"stem_kernel": kernel, "stem_stride": min(network["stem_stride"], max(kernel, 1))}
    bundle = random_bundle(channels, classes, length=length, stride=1, seed=seed, **network)
    windows = readings(3, length, channels, seed, scale)
    expected = OnnxEngine(bundle).probabilities(windows)
    # Of readings thirty deviations out both differ from double precision by up to 1e-5, each in other networks.
    tolerance = TOLERANCE * max(1.0, scale / 3)
    np.testing.assert_allclose(KernelEngine(bundle).probabilities(windows), expected, atol=tolerance)


@pytest.mark.parametrize("residual", ["identity", "skip"])
@pytest.mark.parametrize(("channels", "hidden"), [(16, 2), (32, 28), (32, 32)])
def test_samples_are_added_only_to_what_has_as_many_features(channels, hidden, residual):
    """A value between the layers is rounded up to panels of 16, which may make it as wide as the samples are."""
    bundle = random_bundle(channels, length=12, hidden=hidden, residual=residual)
    windows = readings(3, 12, channels)
    expected = OnnxEngine(bundle).probabilities(windows)
    np.testing.assert_allclose(KernelEngine(bundle).probabilities(windows), expected, atol=TOLERANCE)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_windows_bits_do_not_depend_on_what_comes_with_it(threads):
    bundle = random_bundle(5, length=12)
    windows = readings(40, 12, 5)
    engine = KernelEngine(bundle, threads)
    together = engine.probabilities(windows)
    alone = np.concatenate([engine.probabilities(windows[at : at + 1]) for at in range(len(windows))])
    np.testing.assert_array_equal(alone, together)
    assert engine.probabilities(windows[:0]).shape == (0, 4)


def test_calls_in_several_threads_do_not_disturb_each_other():
    bundle = random_bundle(20, length=40, **reference_knobs())
    engine = KernelEngine(bundle)
    batches = [readings(64, 40, 20, seed) for seed in range(8)]
    expected = [engine.probabilities(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for found, wanted in zip(pool.map(engine.probabilities, batches), expected, strict=True):
                np.testing.assert_array_equal(found, wanted)


def test_windows_in_another_order_of_memory_are_read_all_the_same():
    engine = KernelEngine(random_bundle(5, length=12))
    windows = readings(6, 12, 5)
    found = engine.answer(np.asfortranarray(windows)[::2])
    np.testing.assert_array_equal(found, engine.answer(windows[::2]))


@pytest.mark.parametrize("detail", [0.0, 3.0])
def test_readings_beyond_all_sense_still_have_probabilities(detail):
    engine = KernelEngine(random_bundle(5, length=12, detail=detail))
    windows = readings(3, 12, 5)
    windows[0, 3, 1], windows[1, 2, 0], windows[2] = 1e30, -1e25, 1e6
    found = engine.probabilities(windows)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def constants(**others):
    """Return what the compiled kernel exports, but for some of it."""
    kernel = kernelengine._kernel
    return SimpleNamespace(**{name: getattr(kernel, name) for name in dir(kernel) if name.isupper()} | others)


def test_python_and_c_agree_by_name():
    assert kernelengine.disagreements() == []
    assert kernelengine.disagreements(constants()) == []


def test_a_kernel_of_other_sources_is_found_out_when_it_is_imported():
    fields, gates = kernelengine._kernel.FIELDS, kernelengine._kernel.GATES
    for name, value in {
        "FIELDS": (fields[1], fields[0], *fields[2:]),
        "GATES": gates[::-1],
        "NORMS": ("none", "layer", "batch"),
        "PANEL": 8,
        "FIELD_BYTES": 8,
        "MOST_SCALED": 1e5,
        "LAYER_NORM_EPS": 1e-3,
    }.items():
        assert kernelengine.disagreements(constants(**{name: value})) == [name]
    script = (
        "import types, kinestream.model.engine.kernel as package\n"
        "package._kernel = types.ModuleType('_kernel')\n"
        "import kinestream.model.engine.kernel.engine"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "compiled from other sources (FIELDS, " in done.stderr.splitlines()[-1]


def test_memory_that_does_not_fit_is_refused():
    bundle = random_bundle(5, length=12)
    engine = KernelEngine(bundle)
    shape = shape_of(bundle)
    with pytest.raises(ValueError, match="bytes of weights"):
        kernelengine._kernel.load(np.array(astuple(shape), np.int32).tobytes(), np.zeros(16, np.float32))
    with pytest.raises(ValueError, match="a shape has"):
        kernelengine._kernel.load(b"1234", np.zeros(16, np.float32))
    windows = readings(2, 12, 5)
    with pytest.raises(ValueError, match="do not go with"):
        kernelengine._kernel.answer(engine._network, windows, np.empty((3, 4), np.float32))
    with pytest.raises(ValueError, match="do not go with"):
        kernelengine._kernel.answer(engine._network, windows[:, :-1].copy(), np.empty((2, 4), np.float32))


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The kernel by itself, whose functions for each set of instructions can be called."""
    path = tmp_path_factory.mktemp("kernel") / "kernel.so"
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-psabi", "-shared", "-fPIC"]
    sources = [source for source in sorted(SOURCES.glob("*.c")) if source.name != "module.c"]
    subprocess.run([COMPILER, *flags, *sources, "-lm", "-o", path], check=True, timeout=120)
    loaded = ctypes.CDLL(str(path))
    loaded.room_of.restype = ctypes.c_size_t
    loaded.instructions.restype = ctypes.c_char_p
    return loaded


@pytest.mark.parametrize("instructions", ["plain", "avx2", "avx512"])
@pytest.mark.parametrize(
    "network", [{}, reference_knobs(), {"detail": 40.0, "stem_kernel": 8, "stem_stride": 4}, {"hidden": 40, "cells": 0}]
)
def test_every_set_of_instructions_gives_the_same_answers(network, instructions, library):
    """A processor that has one of these sets has those before it, too."""
    sets = {b"AVX-512": 3, b"AVX2": 2}.get(library.instructions(), 1)
    if ["plain", "avx2", "avx512"].index(instructions) >= sets:
        pytest.skip(f"this processor has no {instructions}")
    bundle = random_bundle(7, length=24, **network)
    shape, weights = np.array(astuple(shape_of(bundle)), np.int32), laid_out(bundle)
    windows, out = readings(5, 24, 7), np.empty((5, 4), np.float32)
    room = np.empty(library.room_of(_at(shape)), np.float32)
    answer = getattr(library, f"answer_{instructions}")
    answer(_at(shape), _at(weights), _at(windows), ctypes.c_size_t(5), _at(room), _at(out))
    np.testing.assert_allclose(out, OnnxEngine(bundle).probabilities(windows), atol=TOLERANCE)
    np.testing.assert_allclose(out, KernelEngine(bundle).probabilities(windows), atol=TOLERANCE)


def _at(array):
    return ctypes.c_void_p(array.ctypes.data)
