"""Builds the packages, installs them where there is no compiler and nothing else of ours, and uses them there."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.package.contents import check_sdist, check_wheels
from tests.package.environment import Environment

CHECKOUT = Path(__file__).parents[2]
TESTS = (
    "tests/test_readme.py",
    "tests/kinestream",
    "tests/model",
    "tests/replay",
    "tests/streamer/ingest",
    "tests/streamer/recognizer",
    "tests/streamer/streams",
    "tests/streamer/wire",
)
TESTS_OF_SDIST = (
    "tests/kinestream",
    "tests/model/config",
    "tests/model/test_files.py",
    "tests/streamer/recognizer",
    "tests/streamer/wire",
    "tests/test_house.py",
)
begun = time.monotonic()


def main(work: Path) -> None:
    sdist, wheel, pure = packages(work)
    elsewhere = work / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "model.py").write_text('raise SystemExit("somebody else\'s")\n')

    compiled = Environment(work / "compiled", CHECKOUT)
    compiled.install(wheel)
    say(f"{wheel.name} without extras: {compiled.megabytes():.0f} MB")
    bundle = next(compiled.folder.glob("lib/python*/site-packages/kinestream/replay/demo_data/bundle"))
    say(f"--help takes {compiled.seconds_to_help():.2f} s, serve is ready in {compiled.seconds_to_serve(bundle):.2f} s")
    say(check_demo(compiled, elsewhere))
    refused(compiled, elsewhere, "kinestream[datasets]", "datasets", "describe", ".")
    refused(compiled, elsewhere, "kinestream[train]", "train", "sp_sw_har")

    plain = Environment(work / "plain", CHECKOUT)
    plain.install(pure)
    refused(plain, elsewhere, "kinestream[onnx]", "serve", str(bundle), "--no-restart")
    plain.install(f"{pure}[onnx]")
    say(f"{pure.name} with ONNX Runtime: {check_demo(plain, elsewhere)}")

    check_tests(compiled, elsewhere, work / "copy")
    check_tests_of_sdist(compiled, sdist, work / "source")


def packages(work: Path) -> tuple[Path, Path, Path]:
    """Build all, make sure of what they hold, and return the sdist and its wheels, with the kernel and without."""
    shutil.rmtree(CHECKOUT / "build", ignore_errors=True)  # what an earlier build left would be packed again
    sdist = build("--sdist", CHECKOUT, work / "sdist")
    unpacked = []
    for each in ("unpacked", "unpacked-pure"):
        shutil.unpack_archive(sdist, work / each)
        unpacked += (work / each).iterdir()
    wheel = build("--wheel", unpacked[0], work / "wheel")
    pure = build("--wheel", unpacked[1], work / "pure", KINESTREAM_KERNEL="no")
    check_sdist(CHECKOUT, sdist)
    check_wheels(CHECKOUT, build("--wheel", CHECKOUT, work / "checkout"), wheel, pure)
    say(f"{sdist.name}, {wheel.name} and {pure.name} hold what they should")
    return sdist, wheel, pure


def build(kind: str, source: Path, out: Path, **environment: str) -> Path:
    command = [sys.executable, "-m", "build", kind, "--outdir", out, source]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.iterdir()
    return built


def check_demo(environment: Environment, folder: Path) -> str:
    """Run the demo in a folder and say what it came to."""
    done = environment.run("kinestream", "demo", "--speed", "6", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["accuracy"] >= 0.85, told["accuracy"]
    assert told["labels_missing"] == 0, told["labels_missing"]
    assert told["labels_received"] == told["labels_expected"] > 300
    return f"the demo's accuracy is {told['accuracy']:.3f}, none of {told['labels_expected']} labels is missing"


def refused(environment: Environment, folder: Path, advice: str, *arguments: str) -> None:
    """Make sure that a command ends with a line that says which extra it needs."""
    done = environment.run("kinestream", *arguments, cwd=folder)
    assert done.returncode == 2, done
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert f"pip install '{advice}'" in done.stderr, done.stderr


def check_tests(environment: Environment, elsewhere: Path, copy: Path) -> None:
    """Run a copy of the tests where nothing else of the checkout stands; what needs an extra is skipped."""
    environment.install("hypothesis", "pytest", "pytest-asyncio", "pytest-timeout")
    shutil.copytree(CHECKOUT / "tests", copy / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(CHECKOUT / "docs", copy / "docs")
    for path in (CHECKOUT / "README.md", CHECKOUT / "pyproject.toml", elsewhere / "model.py"):
        shutil.copy(path, copy)
    plugins = ("-p", "tests.package.without_extras", "-p", "no:cacheprovider")
    done = environment.run("python", "-m", "pytest", "-q", "--durations=8", *plugins, *TESTS, cwd=copy)
    print(done.stdout[-6000:] if done.returncode else done.stdout[-1500:])
    assert done.returncode == 0, done.stderr
    say("the tests that need no extras pass with the installed wheel")


def check_tests_of_sdist(environment: Environment, sdist: Path, folder: Path) -> None:
    """Run some of the tests where the sdist is unpacked, installed from there and without a git repository around."""
    shutil.unpack_archive(sdist, folder)
    (source,) = folder.iterdir()
    environment.install("import-linter", "ruff")
    environment.install_editable(source)
    kernel = "import kinestream.model.engine.kernel._kernel as kernel; print(kernel.__file__)"
    done = environment.run("python", "-c", kernel, cwd=source)
    assert done.stdout.startswith(str(source)), done
    plugins = ("-p", "tests.package.without_extras", "-p", "no:cacheprovider")
    done = environment.run("python", "-m", "pytest", "-q", *plugins, *TESTS_OF_SDIST, cwd=source)
    print(done.stdout[-6000:] if done.returncode else done.stdout[-300:])
    assert done.returncode == 0, done.stderr
    say("tests from the unpacked sdist pass")


def say(line: str) -> None:
    print(f"{time.monotonic() - begun:4.0f} s  {line}", flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
