"""SIGHUP has a bundle read again; from a terminal that is closed it ends what was started there."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from kinestream.model.bundle.bundle import Bundle, read_bundle
from kinestream.streamer.client.keeper import health, reload
from tests.given.hostile import DEMO, PATIENCE_S, SERVE, until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there is no SIGHUP elsewhere")


def written(folder: Path, name: str) -> str:
    """Write the shipped bundle under another name; return its id."""
    shipped = read_bundle(DEMO)
    other = Bundle(shipped.description.model_copy(update={"name": name}), shipped.weights)
    other.write(folder)
    return other.id


@contextmanager
def served(bundle: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], dict]]:
    """Serve a bundle until the block ends; its process, and what it says when it is ready."""
    command = [str(bundle) if each == str(DEMO) else each for each in SERVE]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def said(process: subprocess.Popen[str], what: str) -> str:
    """Return the next line of stderr that says this."""
    assert process.stderr is not None
    for line in process.stderr:
        if what in line:
            return line
    raise AssertionError(f"it never said {what}")


@pytest.mark.parametrize("options", [(), ("--no-restart",)])
def test_a_link_that_was_moved_on_is_followed_and_what_is_no_bundle_changes_nothing(tmp_path, options):
    first, second = written(tmp_path / "1", "first"), written(tmp_path / "2", "second")
    link = tmp_path / "current"
    link.symlink_to(tmp_path / "1")
    with served(link, *options) as (process, ready):
        assert ready["bundle"] == first
        moved = tmp_path / "moved"
        moved.symlink_to(tmp_path / "2")
        moved.rename(link)
        process.send_signal(signal.SIGHUP)
        until(lambda: health(ready["control"]).bundle == second)
        assert "reloaded: bundle second" in said(process, "reloaded")
        shutil.rmtree(tmp_path / "2")
        process.send_signal(signal.SIGHUP)
        assert "not reloaded, bundle second" in said(process, "not reloaded")
        assert health(ready["control"]).bundle == second


def test_what_it_took_is_kept_over_every_death(tmp_path):
    second = written(tmp_path / "2", "second")
    with served(DEMO) as (process, ready):
        reload(tmp_path / "2", ready["control"])
        for _ in range(2):
            psutil.Process(ready["pid"]).kill()
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            assert ready["bundle"] == second


def test_a_hangup_while_it_is_started_again_is_not_its_end():
    with served(DEMO) as (process, ready):
        serving = psutil.Process(ready["pid"])
        serving.kill()
        until(lambda: not serving.is_running())
        process.send_signal(signal.SIGHUP)
        assert process.stdout is not None
        again = json.loads(process.stdout.readline())
        assert again["pid"] != ready["pid"]
        process.send_signal(signal.SIGHUP)
        said(process, "reloaded: ")
        assert health(ready["control"]).ready


@pytest.mark.parametrize("options", [(), ("--no-restart",)])
def test_a_terminal_that_is_closed_ends_it(options):
    ours, theirs = os.openpty()

    def own_it() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    with subprocess.Popen(
        [*SERVE, *options], stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, text=True, preexec_fn=own_it
    ) as process:
        os.close(theirs)
        assert process.stdout is not None
        serving = psutil.Process(json.loads(process.stdout.readline())["pid"])
        os.close(ours)
        assert process.wait(PATIENCE_S) == 0
        until(lambda: not serving.is_running())
