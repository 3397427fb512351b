"""A pytest plugin: what needs an extra that is not installed is skipped instead of failing.

``.ci/package`` runs the tests with it where none is installed. No other run of them should want it.
"""

from collections.abc import Generator
from importlib import import_module
from pathlib import Path

import pytest

from kinestream.model.errors import MissingExtra
from kinestream.model.extras import missing_extra

ELSE = ("markupsafe", "mcap", "psutil", "sklearn")
"""Packages that only tests need."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if not collection_path.match("test_*.py"):
        return None
    try:
        import_module(".".join(collection_path.relative_to(config.rootpath).with_suffix("").parts))
    except pytest.skip.Exception:
        return None  # it says so again
    except (ImportError, MissingExtra) as error:
        if is_extra(error):
            return True
        raise
    return None


def skipping() -> Generator[None, object, object]:
    try:
        return (yield)
    except (ImportError, MissingExtra) as error:
        if is_extra(error):
            pytest.skip(str(error))
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    return (yield from skipping())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    return (yield from skipping())


def is_extra(error: Exception) -> bool:
    if isinstance(error, MissingExtra):
        return "pip install" in str(error)
    name = getattr(error, "name", None)
    return missing_extra(name) is not None or name in ELSE
