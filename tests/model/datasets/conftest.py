import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests' cache and downloads apart from the user's; one cache for all, so real data are parsed once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KINESTREAM_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("downloads")))
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = os.environ.get("KINESTREAM_DATA")
    if not folder:
        pytest.skip("KINESTREAM_DATA names no folder with the real recordings")
    return Path(folder)
