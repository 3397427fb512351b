"""The loop in C, compiled with sanitizers, takes what strangers send without a report."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "streamer" / "ingest" / "take.c"
FRAMES = 20_000

RUN = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("kinestream.streamer.ingest._take", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
import kinestream.streamer.ingest as room
sys.modules[spec.name] = room._take = module
from kinestream.streamer.ingest import taker
assert taker.is_compiled and taker._take is module
from tests.streamer.ingest import fuzz
sys.argv[1:] = sys.argv[2:]
fuzz.main()
"""


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("gcc") is None, reason="needs gcc on Linux")
def test_no_sanitizer_reports_anything(tmp_path):
    library = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(library).is_file():
        pytest.skip("gcc has no sanitizers here")
    built = tmp_path / "_take.so"
    flags = ["-std=c11", "-g", "-O1", "-shared", "-fPIC", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    include = f"-I{sysconfig.get_path('include')}"
    subprocess.run(["gcc", *flags, include, str(SOURCE), "-o", str(built)], check=True)
    # Python itself keeps what it has allocated until it ends, and so does NumPy.
    environment = os.environ | {"LD_PRELOAD": library, "ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(built), "--frames", str(FRAMES), "--seed", "1"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Sanitizer" not in done.stderr
    assert "messages_taken" in done.stdout
