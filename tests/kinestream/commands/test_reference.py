"""The reference says what the code says."""

from pathlib import Path

import pytest

from kinestream.commands.reference import PAGES

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "reference"


@pytest.mark.skipif(not FOLDER.exists(), reason="of the checkout: this is an install")
@pytest.mark.parametrize("name", PAGES)
def test_it_is_up_to_date(name):
    assert (FOLDER / name).read_text() == PAGES[name](), "run 'make docs'"


def test_every_key_has_a_meaning():
    rows = [line for line in PAGES["configuration.md"]().splitlines() if line.startswith("| `")]
    assert len(rows) > 80
    assert [row for row in rows if row.endswith("|  |")] == []
