"""The command line: one verb per job.

Every verb prints its result on stdout, for people or, with ``--json``, as one JSON object; all else goes to stderr.

=====  ==========================================================================================================
0      The verb did all it was asked to; so does ``serve`` after Ctrl-C or SIGTERM, once it is ready.
1      The result is out, but is incomplete (a streamer went away), differs from what was published (``verify``) or
       says that a streamer is not ready (``health``).
2      One line on stderr says what to mend.
130    Ctrl-C came before the verb was through; ``watch`` and ``replay`` still print what they have.
141    Whoever read stdout stopped reading, as in ``kinestream replay ... | head -1``.
=====  ==========================================================================================================

Each verb imports what it needs when it runs, so that ``serve`` does not wait for PyTorch, nor ``--help`` for anything.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import click

from kinestream.commands import (
    annotate,
    bench,
    bridge,
    compare,
    dashboard,
    datasets,
    demo,
    evaluate,
    fleet,
    forget,
    health,
    info,
    keys,
    metrics,
    record,
    reload,
    replay,
    serve,
    train,
    watch,
)
from kinestream.commands.log import show_warnings
from kinestream.commands.options import fail
from kinestream.commands.root import COMMAND, ReaderGone, root
from kinestream.model.errors import KinestreamError

VERBS = (
    annotate,
    bench,
    bridge,
    compare,
    dashboard,
    datasets,
    demo,
    evaluate,
    fleet,
    forget,
    health,
    info,
    keys,
    metrics,
    record,
    reload,
    replay,
    serve,
    train,
    watch,
)
"""Where the verbs are; each adds itself to the command as it is imported."""


def main() -> None:
    """Run the command line."""
    for name in ("SIGTERM", "SIGHUP"):
        ending = getattr(signal, name, None)
        if ending is not None and signal.getsignal(ending) != signal.SIG_IGN:  # as nohup leaves it
            signal.signal(ending, _terminate)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    show_warnings()
    with _failures():
        root.main(prog_name="kinestream", standalone_mode=False, obj=COMMAND)
        sys.stdout.flush()  # a disk that is full is told here, not by the interpreter when it ends


@contextmanager
def _failures() -> Iterator[None]:
    """Turn what a user can mend into a line and an exit status; all else keeps its traceback."""
    try:
        yield
    except KinestreamError as error:
        fail(str(error), 2)
    except (BrokenPipeError, ReaderGone):
        _drop_output()
        sys.exit(128 + 13)  # SIGPIPE, which Windows does not name: the reader has gone, and there is nobody to tell
    except OSError as error:
        from kinestream.model.files import reason

        _drop_output()
        fail(f"a file or the system failed ({reason(error)}): make room, or see to its permissions", 2)
    except ModuleNotFoundError as error:
        from kinestream.model.extras import missing_extra

        missing = missing_extra(error.name)
        if missing is None:
            raise
        fail(str(missing), 2)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "kinestream"
        message = error.format_message()
        fail(f"{message}{'' if message.endswith(('.', '?')) else '.'} Try '{command} --help'.", 2)
    except click.ClickException as error:
        fail(error.format_message(), 2)
    except (click.Abort, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second one while the interpreter ends is no traceback either
        fail("interrupted", 130)


def _drop_output() -> None:
    """Let nothing be written to stdout any more, which would fail again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + signum)  # so that what was begun is ended: a streamer of the demo's, files half written
