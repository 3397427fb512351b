"""The documentation becomes a site: whole, without a warning; a link that leads nowhere fails it."""

import html
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import kinestream

ROOT = Path(__file__).parent.parent

pytestmark = [
    pytest.mark.skipif(not (ROOT / "results").is_dir(), reason="of the checkout: an sdist holds no results"),
    pytest.mark.skipif(
        any(find_spec(needed) is None for needed in ("sphinx", "myst_parser", "furo")),
        reason="needs sphinx, myst-parser and furo, which `.[dev]` installs",
    ),
]


def build(root: Path, to: Path, builder: str) -> subprocess.CompletedProcess[str]:
    """Do what ``make site`` does."""
    options = ["--quiet", "--fresh-env", "--fail-on-warning", "-b", builder, "-c", "docs/site"]
    command = [sys.executable, "-m", "sphinx", *options, ".", str(to)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=250, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder, "html")
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def test_every_page_is_in_it(site):
    pages = [*ROOT.glob("docs/**/*.md"), *ROOT.glob("results/**/README.md"), ROOT / "CHANGELOG.md"]
    pages = [page.relative_to(ROOT) for page in pages if "node_modules" not in page.parts]
    assert len(pages) > 30
    contents = (site / "docs" / "site" / "index.html").read_text(encoding="utf-8")
    begin = contents.index('<div class="sidebar-tree">')
    contents = contents[begin : contents.index("</aside>", begin)]
    listed = {(site / "docs" / "site" / link).resolve() for link in re.findall(r'href="([^"#]+\.html)"', contents)}
    for page in pages:
        built = (site / page).with_suffix(".html")
        assert built.exists(), page
        assert built.resolve() in listed or page.name == "index.md", f"{page} is not in the contents"


def test_the_readme_is_in_it_from_beginning_to_end():
    cut = re.compile(r'README\.md\n:start-after: "(.*)"\n:end-before: "(.*)"')
    cuts = dict(found.groups() for page in ROOT.glob("docs/site/*.md") for found in cut.finditer(page.read_text()))
    at, seen = "# kinestream", 0
    while at != "## Licence":
        at, seen = cuts[at], seen + 1
    assert seen == len(cuts)


def test_every_public_name_is_explained(site):
    text = (site / "docs" / "site" / "api.html").read_text(encoding="utf-8")
    assert {name for name in kinestream.__all__ if f'id="kinestream.{name}"' not in text} == set()
    assert "ArrayLike" in text
    assert "_SupportsArray" not in text


def test_nothing_is_fetched_from_elsewhere(site):
    for page in site.rglob("*.html"):
        text = html.unescape(page.read_text(encoding="utf-8"))
        fetched = re.findall(r'<(?:script|link|img|iframe|source)\b[^>]*(?:src|href)="((?:https?:)?//[^"]*)"', text)
        assert fetched == [], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"""(?:url\(["']?|@import ["'])(?:https?:)?//""", sheet.read_text(encoding="utf-8")), sheet


def test_the_drawing_is_in_the_page_and_can_be_looked_for(site):
    assert '<svg class="architecture"' in (site / "docs" / "architecture.html").read_text(encoding="utf-8")
    assert "patience" in (site / "searchindex.js").read_text(encoding="utf-8")


def test_links_that_lead_nowhere_fail_it(tmp_path):
    copy = tmp_path / "copy"
    for folder in ("docs", "results", "replay/demo_data"):
        ignored = shutil.ignore_patterns("node_modules", "bundle", "*.zip", "*.json")
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignored)
    for page in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "Dockerfile", "compose.yaml"):
        shutil.copy(ROOT / page, copy / page)
    (copy / "docs" / "monitoring" / "grafana.json").touch()
    planted = {
        "docs/privacy.md": "[a page](nowhere.md)",
        "docs/scaling.md": "[a heading](wire.md#nowhere)",
        "docs/dashboard.md": "[its own](#nowhere)",
        "docs/promises.md": "[the README](../README.md#nowhere)",
    }
    for page, link in planted.items():
        with (copy / page).open("a", encoding="utf-8") as file:
            file.write(f"\nThis leads nowhere: {link}.\n")
    readme = (copy / "README.md").read_text(encoding="utf-8")
    (copy / "README.md").write_text(readme.replace("\n## Install\n", "\n[It](docs/nowhere-else.md)\n\n## Install\n"))
    done = build(copy, tmp_path / "site", "dummy")
    assert done.returncode != 0
    told = done.stderr.splitlines()
    assert len(told) == len(planted) + 1, done.stderr
    for page in planted:
        assert any(page in line and "nowhere" in line for line in told), page
    assert any("README.md" in line and "nowhere-else" in line for line in told)
