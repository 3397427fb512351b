"""The messages of `fuzz` or `loops`, taken (and laid) by the loops in C compiled with sanitizers.

    python -m tests.streamer.ingest.sanitized --frames 10000000 --seed 0
    python -m tests.streamer.ingest.sanitized --of fuzz --frames 500000

Needs gcc and its sanitizers, on Linux. Their first report ends it with status 1.
"""

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[3]
SOURCES = {
    "kinestream.streamer.ingest._take": ROOT / "streamer" / "ingest" / "take.c",
    "kinestream.model.recordings._resample": ROOT / "model" / "recordings" / "resample.c",
}
_FLAGS = ("-std=c11", "-g", "-O1", "-shared", "-fPIC", "-ffp-contract=off", "-fno-sanitize-recover=all")
_SANITIZERS = "-fsanitize=address,undefined"
_RUN = """
import importlib, importlib.util, sys
modules = {}
for name, path in zip(sys.argv[1::2], sys.argv[2::2]):
    if name.startswith("--"):
        break
    spec = importlib.util.spec_from_file_location(name, path)
    modules[name] = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(modules[name])
    folder, _, own = name.rpartition(".")
    setattr(importlib.import_module(folder), own, modules[name])
from kinestream.model.recordings import resample
from kinestream.streamer.ingest import taker
assert taker.is_compiled and taker._take in modules.values()
assert resample.is_compiled and resample._resample in modules.values()
del sys.argv[1 : 1 + 2 * len(modules)]
importlib.import_module(f"tests.streamer.ingest.{sys.argv.pop(1)[2:]}").main()
"""


def lacking() -> str:
    """Return what there is no sanitizer for want of; nothing where there is one."""
    if sys.platform != "linux" or shutil.which("gcc") is None:
        return "it needs gcc on Linux"
    return "" if Path(_library()).is_file() else "gcc has no sanitizers here"


def sanitized(of: str, frames: int, seed: int, **options: object) -> "subprocess.CompletedProcess[str]":
    """Compile the loops with sanitizers and send them a fuzzer's messages; `options` are `subprocess.run`'s."""
    with tempfile.TemporaryDirectory() as folder:
        built = []
        for name, source in SOURCES.items():
            path = Path(folder) / f"{name}.so"
            include = f"-I{sysconfig.get_path('include')}"
            subprocess.run(["gcc", *_FLAGS, _SANITIZERS, include, str(source), "-lm", "-o", str(path)], check=True)
            built += [name, str(path)]
        # Python itself keeps what it has allocated until it ends, and so does NumPy.
        environment = os.environ | {"LD_PRELOAD": _library(), "ASAN_OPTIONS": "detect_leaks=0"}
        command = [sys.executable, "-c", _RUN, *built, f"--{of}", "--frames", str(frames), "--seed", str(seed)]
        return subprocess.run(command, cwd=ROOT, env=environment, text=True, check=False, **options)


def _library() -> str:
    command = ["gcc", "-print-file-name=libasan.so"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    """Read the options and run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.streamer.ingest.sanitized", description=__doc__)
    parser.add_argument("--of", choices=["loops", "fuzz"], default="loops", help="whose messages (default: loops)")
    parser.add_argument("--frames", type=int, default=10_000_000, help="messages in all (default: ten million)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if why := lacking():
        sys.exit(why)
    sys.exit(1 if sanitized(options.of, options.frames, options.seed).returncode else 0)


if __name__ == "__main__":
    main()
