"""What library code logs reaches whoever types a command: each warning once, as a line that obeys nobody."""

import logging
import subprocess
import sys
from contextlib import contextmanager

from kinestream.commands.log import WarningLines, show_warnings
from kinestream.replay.demo import BUNDLE, RECORDINGS
from kinestream.screens.serve import StatusLine

LOGGER = logging.getLogger("kinestream.somewhere")


@contextmanager
def nobody_else():
    """Let records reach nobody but whom a test adds, not pytest either."""
    root = logging.getLogger()
    before, root.handlers = root.handlers, []
    try:
        yield
    finally:
        root.handlers = before


def test_a_warning_is_a_line_and_what_is_less_is_none(capsys):
    with nobody_else():
        show_warnings()
        LOGGER.info("nothing to see")
        LOGGER.warning("cannot read %s: %s", "\x1b[2J", "two\nlines")
    assert capsys.readouterr().err == r"cannot read \x1b[2J: two\nlines" + "\n"


def test_an_error_keeps_its_traceback(capsys):
    with nobody_else():
        show_warnings()
        try:
            raise ValueError("\x1b[2J")
        except ValueError:
            LOGGER.exception("it failed")
    first, *_, last = capsys.readouterr().err.splitlines()
    assert (first, last) == ("it failed", r"ValueError: \x1b[2J")


def test_what_serve_shows_itself_is_shown_once(capsys):
    with nobody_else():
        show_warnings()
        LOGGER.warning("before")
        with StatusLine():
            LOGGER.warning("meanwhile")
        LOGGER.warning("after")
    assert capsys.readouterr().err.splitlines() == ["before", "meanwhile", "after"]


def test_it_stays_out_of_the_way_of_others(capsys):
    with nobody_else():
        logging.getLogger().addHandler(logging.NullHandler())
        logging.getLogger().addHandler(WarningLines())
        LOGGER.warning("taken care of")
    assert capsys.readouterr().err == ""


def test_commands_show_what_the_library_logs(tmp_path):
    (tmp_path / "bundle").symlink_to(BUNDLE)
    command = [sys.executable, "-m", "kinestream", "evaluate", tmp_path, RECORDINGS, "--recording", "s04_01", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[0] == f"{tmp_path}: taking the bundle in it, {tmp_path / 'bundle'}"
    assert done.stderr.count("taking the bundle") == 1
