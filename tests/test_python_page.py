"""The page about Python: its examples run as written, one after the other, beside a streamer of the shipped bundle."""

import re
import signal
import subprocess
import sys
from pathlib import Path

from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.engine.load import load_engine
from kinestream.replay.demo import BUNDLE
from kinestream.streamer.recognizer.recognizer import Recognizer
from tests.given.streamers import OtherDefaults, running_streamer

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
UNTIL_CTRL_C = [block for block in BLOCKS if "KeyboardInterrupt" in block]
OTHERS = [block for block in BLOCKS if "KeyboardInterrupt" not in block]
WAIT_S = 60


def test_every_example_prints_what_it_says():
    bundle = read_bundle(BUNDLE)
    classes = list(bundle.description.classes)
    recognizer = Recognizer(bundle, load_engine(bundle, "cpu"))
    with running_streamer(recognizer) as running:
        page = OtherDefaults(running.ingest, running.labels, running.control).instead("\n".join(OTHERS))
        done = subprocess.run(
            [sys.executable, "-c", page], cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[:5]] == classes
    assert abs(sum(float(line.split()[1]) for line in lines[:5]) - 1) < 0.01
    clara = next(i for i, line in enumerate(lines) if line.startswith("clara "))
    heard, rest = lines[5:clara], lines[clara:]
    assert heard[0] == f"the classes are {classes}"
    activities = [line for line in heard if line.startswith(("started ", "ended "))]
    assert activities[0].startswith("started ")
    assert activities[-1].startswith("ended ")
    windows = [line.split()[0] for line in heard if line != heard[0] and line not in activities]
    assert windows == ["0", "1", "2", "3", "4"]  # (128 - 64) // 16 + 1 of them
    assert re.fullmatch("clara [A-Z_]+", rest[0])
    assert rest[1] == "1 message kept"
    assert [line.split(maxsplit=1)[0] for line in rest[2:5]] == ["0", "1", "2"]
    assert all(f"'{name}': " in line for line in rest[2:5] for name in classes)
    *recordings, accuracy = rest[5:]
    assert len(recordings) == 10
    assert float(accuracy) > 0.9


def test_ctrl_c_ends_a_program_that_listens_without_a_traceback():
    (block,) = UNTIL_CTRL_C
    with running_streamer(read_bundle(BUNDLE)) as running:
        defaults = OtherDefaults(running.ingest, running.labels, running.control)
        listening = block.replace("for label in", "print('listening', flush=True)\n        for label in")
        code = defaults.instead(f"from kinestream import LabelSubscriber\n{listening}")
        with subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout.readline() == "listening\n"
            process.send_signal(signal.SIGINT)
            told, said = process.communicate(timeout=WAIT_S)
    assert (process.returncode, told, said) == (0, "", "")
