"""The command line where the disk, a signal or a name is against it: a line, a status, nothing half done."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kinestream.replay.demo import BUNDLE, RECORDINGS
from tests.given.synthetic import write_hapt
from tests.test_commands import refused, run

CHECKOUT = Path(__file__).resolve().parents[1]
TRAINING = """
dataset: {{name: hapt, source: {source}, classes: [WALKING, SITTING, LAYING]}}
window: {{length: 20, stride: 10}}
split: {{test: published, validation: [3]}}
network: {{hidden: 8, cells: 1, blocks: 1}}
train: {{epochs: 1}}
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("config")
    path = folder / "small.yaml"
    path.write_text(TRAINING.format(source=write_hapt(folder / "hapt")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KINESTREAM_CACHE", str(folder / "cache"))
        yield path


def test_a_file_where_a_folder_should_be_is_told_by_every_verb(config, tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("mine")
    wrong = {
        "evaluate": ["evaluate", BUNDLE, RECORDINGS, "--report", taken / "page.html"],
        "describe": ["datasets", "describe", config.parent / "hapt", "--out", taken / "mine.yaml"],
        "fetch": ["datasets", "fetch", "hapt", "--to", taken / "below", "--url", "http://127.0.0.1:9/x"],
        "compare": ["compare", "hapt6", "--results", taken / "results"],
        "bench": ["bench", "replay", "--out", taken / "bench"],
    }
    for verb, arguments in wrong.items():
        assert str(taken) in refused(*arguments), verb
    assert taken.read_text() == "mine"


def limited(*arguments: object, bytes_: int = 0) -> subprocess.CompletedProcess[str]:
    """Run kinestream where no file may grow beyond so many bytes, as on a disk that is full."""
    command = [sys.executable, "-m", "kinestream", *map(str, arguments)]
    limit = ["import resource, os, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)"]
    script = f"{limit[0]}\nos.execv(sys.argv[2], sys.argv[2:])"
    return subprocess.run(
        [sys.executable, "-c", script, str(bytes_), *command], capture_output=True, text=True, timeout=120, check=False
    )


def test_a_full_disk_is_told_by_every_verb(config, tmp_path):
    assert run("datasets", "info", config).returncode == 0  # now it is in the cache
    made = tmp_path / "made"
    full = {
        "train": ["train", config, "--out", made / "run"],
        "evaluate": ["evaluate", BUNDLE, RECORDINGS, "--report", made / "page.html"],
        "describe": ["datasets", "describe", config.parent / "hapt", "--out", made / "mine.yaml"],
    }
    for verb, arguments in full.items():
        done = limited(*arguments, bytes_=5000 if verb == "evaluate" else 0)  # matplotlib writes, too
        assert done.returncode == 2, verb
        last = done.stderr.splitlines()[-1]
        assert last.startswith(f"kinestream: {made}"), verb
        assert "File too large" in last, verb
        assert "Traceback" not in done.stderr, verb
    assert not [path for path in made.rglob("*") if path.is_file()]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_output_that_is_full_is_told_and_one_that_is_closed_is_not(options):
    command = [sys.executable, "-m", "kinestream", "datasets", "list", *options]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "No space left on device" in line
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")  # as of whoever is ended by SIGPIPE


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_what_may_not_be_read_or_written_is_told(config, tmp_path):
    """As somebody who owns nothing here."""
    bundle = shutil.copytree(BUNDLE, tmp_path / "bundle")
    data = tmp_path / "data"
    data.mkdir()
    (data / "anna.csv").write_text(
        "t,x,activity\n" + "".join(f"{i / 50},{i % 7}.5,{'AB'[i // 50 % 2]}\n" for i in range(400))
    )
    for path in (tmp_path, *tmp_path.parents):
        if path.owner() == "root" and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o011)
    (bundle / "weights.safetensors").chmod(0o600)
    config = shutil.copy(config, tmp_path / "closed.yaml")
    Path(config).chmod(0o600)
    archive = Path(shutil.copy(RECORDINGS, tmp_path / "closed.zip"))
    archive.chmod(0o600)
    script = (
        "import sys, os; import kinestream.commands.main\n"  # what it needs is read before
        "import kinestream.model.bundle.bundle, kinestream.model.config.file, kinestream.model.datasets.describe\n"
        "import kinestream.model.datasets.drafts.write, kinestream.model.evaluation.evaluate\n"
        "import kinestream.screens.evaluation, kinestream.screens.console\n"
        "os.setgid(65534); os.setuid(65534); os.environ['KINESTREAM_CACHE'] = '/nowhere'\n"
        "sys.argv = sys.argv[1:]; sys.argv.insert(0, 'kinestream'); from kinestream.commands.main import main; main()"
    )
    for arguments in (
        ["evaluate", bundle, RECORDINGS],
        ["datasets", "info", config],
        ["datasets", "info", archive],
        ["datasets", "describe", data, "--out", tmp_path / "mine.yaml"],
    ):
        command = [sys.executable, "-c", script, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2, done.stderr
        (line,) = done.stderr.splitlines()
        assert "Permission denied" in line


def test_nothing_is_no_name_of_a_file_or_folder(config):
    for arguments in (
        ["train", config, "--out", ""],
        ["evaluate", BUNDLE, RECORDINGS, "--report", " "],
        ["evaluate", "", RECORDINGS],
        ["evaluate", BUNDLE, ""],
        ["serve", ""],
        ["datasets", "describe", ""],
        ["datasets", "fetch", "hapt", "--to", ""],
        ["results", "--results", ""],
    ):
        assert "it is empty" in refused(*arguments)


def test_a_name_cannot_command_the_terminal(tmp_path):
    hostile = "\x1b]0;pwned\x07\x1b[2J\nready: all is well"
    line = refused("datasets", "info", tmp_path / f"{hostile}.zip")
    assert r"\x1b]0;pwned\x07\x1b[2J\nready" in line
    folder = tmp_path / "data"
    folder.mkdir()
    for person in ("\x1b[31manna", "b\udcffen"):
        (folder / f"{person}.csv").write_text("x,activity\n" + "1,A\n2,B\n" * 20)
    (tmp_path / "mine.yaml").write_text(
        "dataset: {name: mine, source: data, tabular: {files: '{person}.csv', rate_hz: 50, channels: {x: }, "
        "labels: {column: activity, classes: [A, B]}}}\n"
    )
    done = run("datasets", "info", tmp_path / "mine.yaml")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert r"\x1b[31manna, b\udcffen" in done.stdout


# Signals --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["watch", "train"])
def test_ctrl_c_before_anything_has_begun_is_no_traceback(tmp_path, verb):
    """It comes while what every verb needs is imported: a click of our own brings it."""
    (tmp_path / "click.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = run(verb, PYTHONPATH=str(tmp_path))
    assert done.returncode == 130
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("verb", "module"),
    [
        (["watch"], "kinestream.screens.watch"),
        (["serve", str(BUNDLE)], "kinestream.streamer.server.serve"),
        (["train", "hapt"], "kinestream.model.config.file"),
        (["replay", str(RECORDINGS)], "kinestream.replay.run"),
    ],
)
def test_ctrl_c_while_a_verb_loads_ends_it_with_one_status(verb, module):
    script = (
        "import os, signal, sys\nfrom importlib.abc import MetaPathFinder\n"
        "class Brings(MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Brings())\nimport kinestream\n"
        "sys.argv[0] = 'kinestream'\nfrom kinestream.commands.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", script, *verb], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr.strip() == "kinestream: interrupted"


@pytest.mark.parametrize(("ignored", "status"), [(False, 128 + signal.SIGHUP), (True, 0)])
def test_a_terminal_that_is_closed_ends_what_it_began_unless_told_otherwise(ignored, status):
    command = [sys.executable, "-m", "kinestream", "demo", "--seconds", "2", "--speed", "4"]
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)  # inherited, as by nohup
    try:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGHUP, before)
    with process:
        assert "streamer ready" in process.stderr.readline()
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=60)
    assert process.returncode == status


def test_a_demo_that_is_interrupted_says_so_in_its_status():
    command = [sys.executable, "-m", "kinestream", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while "WALKING" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in told or "too short" in told


# What is shown --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [[], ["datasets"], ["bench"]])
def test_no_help_is_cut_within_a_sentence(group):
    done = run(*group, "--help", COLUMNS="80")
    assert "..." not in done.stdout.partition("Commands:")[2]


def test_where_a_dataset_lies_is_told_in_one_piece(tmp_path):
    folder = tmp_path / ("a-folder-with-a-long-name-" * 4)
    folder.mkdir()
    shutil.copy(RECORDINGS, folder / "sp-sw-har-dataset.zip")
    done = run("datasets", "list", KINESTREAM_DATA=str(folder), COLUMNS="80")
    assert f"sp_sw_har: {folder / 'sp-sw-har-dataset.zip'}\n" in done.stdout


@pytest.mark.parametrize(
    ("missing", "arguments", "extra", "folder"),
    [
        ("torch", ["train", "hapt"], "train", CHECKOUT),
        ("torch", ["compare", "hapt6"], "train", Path("/")),
        ("matplotlib", ["results"], "train", CHECKOUT),
        ("jinja2", ["evaluate", BUNDLE, RECORDINGS, "--report", "page.html"], "train", CHECKOUT),
        ("psutil", ["bench", "streams"], "bench", Path("/")),
        ("torch", ["serve", BUNDLE, "--device", "cuda"], "train", CHECKOUT),
    ],
)
def test_what_is_not_installed_is_one_line_that_says_how_to_install_it_here(missing, arguments, extra, folder):
    script = (
        "import sys\n"
        "class Without:\n"
        "    def __init__(self, finder): self.finder = finder\n"
        "    def __getattr__(self, name): return getattr(self.finder, name)\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        return None if name == {missing!r} else self.finder.find_spec(name, path, target)\n"
        "sys.meta_path[:] = map(Without, sys.meta_path)\n"
        "import kinestream; from kinestream.commands.main import main; main()"
    )
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert missing in line.lower()
    here = "." if folder == CHECKOUT else CHECKOUT
    assert line.endswith(f"pip install -e '{here}[{extra}]'")
