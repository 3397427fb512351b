"""The pictures of the documentation: small, each on a page in words as well, and taken by a script that still works."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.given.dashboards import BROWSER
from tests.given.long import long_form
from tests.pictures.limits import MOST_BYTES

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

pytestmark = pytest.mark.skipif(not PICTURES.is_dir(), reason="of the checkout: this is an install")


def shown() -> dict[str, list[str]]:
    """Return what is said in words of each picture, by its name."""
    found: dict[str, list[str]] = {}
    for page in PAGES:
        if "node_modules" in page.parts:
            continue
        for words, link in re.findall(r"!\[([^\]]*)\]\(([^)]*pictures/[^)]*)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).resolve().parent == PICTURES, (page, link)
            found.setdefault(Path(link).name, []).append(words)
    return found


def test_each_is_shown_and_told_in_words():
    words = shown()
    for path in PICTURES.iterdir():
        assert path.name.replace("-dark.", "-light.") in words, f"{path.name} is on no page"
    for name, told in words.items():
        assert (PICTURES / name).is_file(), name
        assert all(len(each) > 60 for each in told), name
        if "-light." in name:
            assert (PICTURES / name.replace("-light.", "-dark.")).is_file(), name


def test_each_is_small_and_fetches_nothing():
    paths = list(PICTURES.iterdir())
    assert len(paths) > 8
    assert [path.name for path in paths if path.stat().st_size > MOST_BYTES] == []
    for path in PICTURES.glob("*.svg"):
        assert not re.search(r"(?:url\(|href=|@import)[\"']?(?:https?:)?//", path.read_text(encoding="utf-8"))


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium: apt-get install chromium")
@long_form
def test_they_can_be_taken_anew(tmp_path):
    pytest.importorskip("playwright")
    command = [sys.executable, "-m", "tests.pictures", "--to", tmp_path, "--fill", "1", "--only", "streams", "watch"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"streams-light.webp", "streams-dark.webp", "watch.svg"}
    drawing = (tmp_path / "watch.svg").read_text(encoding="utf-8").replace("&#160;", " ")
    assert all(word in drawing for word in ("s04_01", "s20_01", "annotated", "lately"))
