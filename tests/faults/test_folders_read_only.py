"""Nothing that `serve` needs can be written to: it serves all the same, since it writes no file."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from kinestream.model.errors import EndpointError
from kinestream.replay.process import OwnStreamer
from kinestream.streamer.client.keeper import reload
from tests.given.hostile import DEMO, PATIENCE_S, SERVE, get_labels

# A process whose folders are mounted read-only: rights alone would not keep root out.
_READ_ONLY = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, MS_REC, MS_PRIVATE, MS_BIND, MS_REMOUNT, MS_RDONLY = 0x20000, 0x4000, 1 << 18, 0x1000, 0x20, 1
def mount(what, where, flags):
    if libc.mount(what, where, None, flags, None):
        sys.exit(77)
if libc.unshare(CLONE_NEWNS):
    sys.exit(77)
mount(None, b"/", MS_REC | MS_PRIVATE)
for folder in sys.argv[1].split(":"):
    mount(folder.encode(), folder.encode(), MS_BIND | MS_REC)
    mount(None, folder.encode(), MS_REMOUNT | MS_BIND | MS_RDONLY)
    try:
        open(folder + "/probe", "w")
    except OSError:
        continue
    sys.exit(77)
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_it_serves_where_every_folder_it_sees_is_read_only(tmp_path: Path):
    for name in ("bundle", "other"):
        shutil.copytree(DEMO, tmp_path / name)
    (tmp_path / "cache").mkdir()
    (tmp_path / "tmp").mkdir()
    locked = f"{tmp_path}:/tmp:/var/tmp"
    serve = [str(tmp_path / "bundle") if each == str(DEMO) else each for each in SERVE]
    environment = os.environ | {
        "KINESTREAM_CACHE": str(tmp_path / "cache"),
        "TMPDIR": str(tmp_path / "tmp"),
        "HOME": str(tmp_path / "cache"),
    }
    command = [sys.executable, "-c", _READ_ONLY, locked, *serve]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path / "tmp", env=environment
    ) as process:
        try:
            streamer = _ready(process)
            get_labels(streamer, "anna")
            assert reload(tmp_path / "other", streamer.addresses.control).new
            serving = psutil.Process(process.pid).children()[0]
            serving.kill()
            get_labels(streamer, "ben")
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(PATIENCE_S)
    assert process.returncode == 0
    assert not [line for line in streamer.said if "Traceback" in line or "Read-only" in line]


def _ready(process: subprocess.Popen[str]) -> OwnStreamer:
    try:
        return OwnStreamer(process)
    except EndpointError:
        if process.wait(PATIENCE_S) == 77:
            pytest.skip("no mount of one's own is to be had here")
        raise
