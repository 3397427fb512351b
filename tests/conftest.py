"""What holds for every test.

`make test` runs three processes side by side (pytest-xdist): one computes and gives way to the others, which mostly
wait, for what opens ports, streams at a true rate or starts processes. Those take a file of tests each time; ports are
whichever are free.
"""

import os
import signal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from kinestream.model.system import give_way

COMPUTING = (
    "model/",
    "activities/",
    "fuzz/",
    "kinestream/",
    "streamer/events/",
    "streamer/ingest/",
    "streamer/recognizer/",
    "streamer/reliable/",
    "streamer/streams/",
)
"""Folders whose tests share nothing with others but the processors."""

# Whoever runs the tests in the background or under nohup may have had these ignored, which children inherit; here they
# are sent on purpose.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How long an example takes says how busy the machine is.
settings.register_profile("patient", settings(), deadline=None)
settings.load_profile("patient")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Say which tests run in one process, one after the other."""
    from xdist.scheduler import LoadScopeScheduling

    class Sides(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            computes = nodeid.partition("/")[2].startswith(COMPUTING)
            return "computing" if computes else nodeid.partition("::")[0]

    return Sides(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give way to the tests beside."""
    if "PYTEST_XDIST_WORKER" in os.environ and _computes(item):
        _give_way_once()


@cache
def _give_way_once() -> None:
    give_way()


def _computes(item: pytest.Item) -> bool:
    return item.path.relative_to(Path(__file__).parent).as_posix().startswith(COMPUTING)
