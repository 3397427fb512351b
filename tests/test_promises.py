"""The page about promises names tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "`tests/" in line]


def test_every_test_that_is_named_is_there():
    assert len(ROWS) >= 10
    for row in ROWS:
        files = [ROOT / name for name in re.findall(r"`(tests/[\w/]+\.py)`", row)]
        for path in files:
            assert path.is_file(), path
        defined = "".join(path.read_text() for path in files)
        for name in re.findall(r"`(test_\w+)`", row):
            assert f"def {name}(" in defined, name


def test_every_file_that_is_named_is_there():
    for name in re.findall(r"`((?:tests|streamer)/[\w/]+\.py)`", PAGE):
        assert (ROOT / name).is_file(), name


def test_every_link_leads_somewhere():
    for page, _, section in re.findall(r"\]\(([\w./-]*)(#([\w-]+))?\)", PAGE):
        path = ROOT / "docs" / (page or "promises.md")
        anchor = section.removeprefix("#")
        titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
        assert not anchor or anchor in anchors, f"{page}#{anchor}"
