"""The kernel answers on aarch64 as on this processor: compiled for it here, and run in an emulator."""

import shutil
import subprocess
from dataclasses import astuple
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from kinestream.model.bundle.bundle import read_bundle
from kinestream.replay.demo import BUNDLE
from tests.given.bundles import random_bundle, reference_knobs

ROOT = Path(__file__).parents[3]
SOURCES = ROOT / "model/engine/kernel"
COMPILER, EMULATOR = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64")
if COMPILER is None or EMULATOR is None:
    pytest.skip(
        "nothing here to compile and run for aarch64: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
        " qemu-user",
        allow_module_level=True,
    )
if shutil.which("cc") is None:
    pytest.skip("no C compiler here to have compiled the kernel", allow_module_level=True)
engine = import_module("kinestream.model.engine.kernel.engine")

TOLERANCE = 2e-6
"""Probabilities apart; sums of single precision, in another order and with another set of fused products."""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("aarch64") / "answers"
    flags = ["-std=c11", "-O3", "-fno-wrapv", "-ffp-contract=fast", "-fno-math-errno", "-Wno-psabi", "-static"]
    sources = [source for source in sorted(SOURCES.glob("*.c")) if source.name != "module.c"]
    command = [COMPILER, *flags, f"-I{SOURCES}", ROOT / "tests/given/answers.c", *sources, "-lm", "-o", path]
    subprocess.run(command, check=True, timeout=120)
    return path


@pytest.mark.parametrize(
    "network",
    [
        {},
        reference_knobs(),
        {"detail": 40.0, "stem_kernel": 8, "stem_stride": 4},
        {"hidden": 40, "cells": 0},
        {"hidden": 34, "residual": "skip", "norm": "layer", "readout": "mean_last", "bidirectional": False},
    ],
)
def test_any_network(network, program, tmp_path):
    bundle = random_bundle(7, length=24, **network)
    compare(bundle, np.random.default_rng(0).normal(size=(5, 24, 7)), program, tmp_path)


def test_the_shipped_bundle(program, tmp_path):
    bundle = read_bundle(BUNDLE)
    raw = np.random.default_rng(0).normal(0, 5, (6, bundle.grid.length, len(bundle.channels)))
    compare(bundle, raw, program, tmp_path)


def compare(bundle, raw, program, folder):
    windows = np.ascontiguousarray(bundle.prepare(raw.astype(np.float32)), np.float32)
    counts = np.array([len(windows), *astuple(engine.shape_of(bundle))], np.int32)
    asked = folder / "asked"
    asked.write_bytes(counts.tobytes() + engine.laid_out(bundle).tobytes() + windows.tobytes())
    done = subprocess.run([EMULATOR, program, asked], capture_output=True, text=True, timeout=120, check=True)
    assert done.stderr == "NEON\n"
    answers = np.array(done.stdout.split(), np.float32).reshape(len(windows), -1)
    np.testing.assert_allclose(answers, engine.KernelEngine(bundle).answer(windows), rtol=0, atol=TOLERANCE)
    assert answers.std() > 0.01  # it does tell windows or classes apart
