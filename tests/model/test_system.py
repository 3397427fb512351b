"""Nothing asks for what only some systems have, but for the place that has a stand-in for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kinestream.model.system import file_limit, lock

# As on Windows. What others have imported by then they keep: only ours is looked at.
HIDDEN = """
import importlib, os, pkgutil, signal, socket, sys

def import_everything():
    import kinestream
    for module in pkgutil.walk_packages(kinestream.__path__, "kinestream.", onerror=lambda name: None):
        if module.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:  # an extra that is not installed
            assert error.name.partition(".")[0] not in ("kinestream", *hidden), error
        except ImportError as error:
            assert "_kernel" in str(error), error  # not compiled
        except Exception as error:
            assert type(error).__name__ == "MissingExtra", error

hidden = ()
import_everything()
for name in [name for name in sys.modules if name.partition(".")[0] == "kinestream"]:
    if not name.endswith("._kernel"):  # a second copy of it is no other system's
        del sys.modules[name]
hidden = ("fcntl", "resource", "termios", "tty", "pwd", "grp", "pty", "syslog")
for name in hidden:
    sys.modules[name] = None
for owner, names in (
    (os, ("sched_yield", "fork", "setsid", "killpg", "getuid", "geteuid", "getpgid", "uname", "mkfifo")),
    (os, ("sched_getaffinity", "sched_setaffinity", "fchmod", "pread", "pwrite", "posix_spawn", "nice", "wait3")),
    (signal, ("SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGQUIT", "SIGSTOP", "SIGCHLD")),
    (socket, ("AF_UNIX", "SO_REUSEPORT")),
):
    for name in names:
        if hasattr(owner, name):
            delattr(owner, name)
import_everything()
"""

USED = """
import io
import numpy as np
from kinestream.model.errors import EndpointError
from kinestream.model.system import allow_many_files, file_limit, lock, yield_processor
from kinestream.replay.demo import BUNDLE
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.transport.addresses import check_bind
from kinestream.streamer.transport.connections import Room

allow_many_files()
yield_processor()
assert Room().size > 1000
assert lock(io.BytesIO())
assert len(list(Recognizer.load(BUNDLE, device="cpu").push("anna", np.zeros((100, 12))))) == 3
try:
    check_bind("ipc:///somewhere/else")
except EndpointError as error:
    print(error)
sys.argv = ["kinestream", "--help"]
from kinestream.commands.main import main
main()
"""


def test_everything_is_imported_and_recognises_where_there_is_nothing_of_posix():
    done = subprocess.run(
        [sys.executable, "-c", HIDDEN + USED], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "this system has no sockets that are files: give a tcp:// address" in done.stdout
    assert "Usage: kinestream" in done.stdout


def test_a_file_is_locked_once(tmp_path: Path):
    path = tmp_path / "file"
    with path.open("ab") as first, path.open("ab") as second:
        assert lock(first)
        assert not lock(second)
    with path.open("ab") as third:
        assert lock(third)


def test_there_is_a_limit_to_files():
    assert 0 < file_limit() <= 1 << 20


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="only Linux knows processes that take what others leave")
@pytest.mark.parametrize(("wholly", "policy"), [(False, "SCHED_OTHER"), (True, "SCHED_IDLE")])
def test_a_process_that_gives_way_comes_after_others(wholly, policy):
    code = f"import os; from kinestream.model.system import give_way; give_way(wholly={wholly}); "
    code += "print(os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert [int(each) for each in told] == [getattr(os, policy), min(os.getpriority(os.PRIO_PROCESS, 0) + 10, 19)]


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this system does not share between sessions")
@pytest.mark.parametrize(("is_own", "nice"), [(True, 10), (False, 0)])
def test_a_process_gives_way_with_its_session_only_where_that_is_its_own(is_own, nice):
    code = "from kinestream.model.system import give_way; give_way(); print(open('/proc/self/autogroup').read())"
    if not is_own:
        code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], check=True)"
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, capture_output=True, text=True, check=True, start_new_session=True).stdout.split()
    if not told:
        pytest.skip("this system does not share between sessions")
    assert told[-1] == str(nice)
