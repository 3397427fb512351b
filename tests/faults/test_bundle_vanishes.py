"""The folder of the bundle goes while it is served: labels go on, and a death is told until it is back."""

import json
import shutil
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.errors import BundleError
from kinestream.replay.process import OwnStreamer
from kinestream.streamer.client.keeper import health, reload
from tests.given.hostile import DEMO, PATIENCE_S, SERVE, get_labels, until


def test_labels_go_on_and_it_is_started_again_as_soon_as_the_folder_is_back(tmp_path: Path):
    folder = tmp_path / "bundle"
    shutil.copytree(DEMO, folder)
    command = [str(folder) if each == str(DEMO) else each for each in SERVE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            streamer = OwnStreamer(process)
            control = streamer.addresses.control
            serving = psutil.Process(process.pid).children()[0]
            folder.rename(tmp_path / "elsewhere")
            get_labels(streamer, "during")
            with pytest.raises(BundleError, match="is no bundle"):
                reload(folder, control)
            process.send_signal(signal.SIGHUP)
            until(lambda: any("not reloaded" in line and "is no bundle" in line for line in streamer.said))
            assert health(control).ready
            serving.kill()
            until(lambda: sum("ended with status 2" in line for line in streamer.said) >= 2)
            assert [line for line in streamer.said if line.startswith(f"kinestream: {folder} is no bundle")]
            (tmp_path / "elsewhere").rename(folder)
            assert process.stdout is not None
            again = json.loads(process.stdout.readline())
            assert (again["control"], again["bundle"]) == (control, read_bundle(DEMO).id)
            get_labels(streamer, "after")
        finally:
            process.terminate()
            process.wait(PATIENCE_S)
    assert process.returncode == 0
