"""How Sphinx makes the site of the Markdown in this repository: ``make site``.

The pages that people also read on GitHub keep to what GitHub shows. What only the site has, its order of pages and the
reference of Python, lies in this folder. Where GitHub and Sphinx differ, the text is changed as it is read, below.
"""

import re
from importlib import metadata
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike
from sphinx.application import Sphinx
from sphinx.util.typing import stringify_annotation

ROOT = Path(__file__).resolve().parents[2]

project = "kinestream"
author = "The kinestream authors"
copyright = author
release = version = metadata.version("kinestream")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/site/index"
source_suffix = {".md": "markdown"}
include_patterns = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/**",
    "results/README.md",
    "results/**/README.md",
    "replay/demo_data/README.md",
]
exclude_patterns = ["build", "dist", "runs", ".*", "kinestream", "model", "streamer", "tests", "**/node_modules"]

myst_heading_anchors = 4

default_role = "py:obj"  # so `LabelSubscriber` in a docstring is a link
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
autodoc_use_type_comments = False
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = "kinestream"
html_favicon = "static/icon.svg"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["redirect"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_permalinks_icon = "#"
pygments_style = "default"
pygments_dark_style = "github-dark"

# The README is the first page on GitHub. Here its sections are pages of their own, which include them.
README_PAGES = {
    "three-jobs": "three-jobs.md",
    "your-own-sensor": "your-own-program.md",
    "what-the-defaults-protect-and-what-they-do-not": "defaults.md",
    "train-and-evaluate": "train.md",
    "one-principle": "principle.md",
    "measured": "principle.md#measured",
}
DRAWING = re.compile(r"!\[[^\]]*\]\((?!\.*[\w./]*pictures/)([\w./]+\.svg)\)")
PICTURE = re.compile(r"^!\[([^\]]*)\]\(([\w./]*pictures/\w+)-light\.webp\)$", re.M)
NAMED_HEADING = re.compile(r'^(#+ )<a id="(\w+)"></a>', re.M)
README_LINK = re.compile(r"\]\(((?:\.\./)*)README\.md(?:#([\w-]+))?\)")


def as_sphinx_reads_it(app: Sphinx, name: str, content: list[str]) -> None:
    """Change what GitHub and Sphinx read differently: links to the README, named headings, drawings."""
    up = "../" * (len(Path(name).parts) - 1)

    def page(link: re.Match[str]) -> str:
        if link[1] != up:
            return link[0]  # another folder's
        elsewhere = f"five-minutes.md#{link[2]}" if link[2] else "five-minutes.md"
        return f"]({up}docs/site/{README_PAGES.get(link[2], elsewhere)})"

    content[0] = README_LINK.sub(page, content[0])
    content[0] = NAMED_HEADING.sub(r"(\2)=\n\1", content[0])
    content[0] = in_both_themes(drawn(content[0], ROOT / Path(name).parent))


def as_a_part_of_a_page(app: Sphinx, path: Path, parent: str, content: list[str]) -> None:
    """Change a page that is included in one of this folder: its links lead from there."""
    up = "../" * 2 if len(path.parts) == 1 else "../"
    content[0] = drawn(content[0], ROOT / path.parent)
    content[0] = in_both_themes(re.sub(r"\]\((?!https?:|#)", f"]({up}", content[0]))


def drawn(text: str, folder: Path) -> str:
    """Put drawings into the page itself: only there do they know whether the page is light or dark."""

    def drawing(link: re.Match[str]) -> str:
        picture = (folder / link[1]).read_text(encoding="utf-8")
        return f'```{{raw}} html\n<div class="drawing" tabindex="0">\n{picture}</div>\n```'

    return DRAWING.sub(drawing, text)


def in_both_themes(text: str) -> str:
    """Show a picture of the product as light or as dark as the page; GitHub shows the light one."""
    return PICTURE.sub(
        lambda found: "\n".join(
            f"```{{image}} {found[2]}-{theme}.webp\n:alt: {found[1]}\n:class: only-{theme} picture\n```"
            for theme in ("light", "dark")
        ),
        text,
    )


def array_like(app: Sphinx, what: str, name: str, of: Any, options: Any, signature: str, returns: str) -> Any:
    """Call what NumPy takes for an array by its name, which is written out otherwise."""
    return signature and signature.replace(stringify_annotation(ArrayLike, "smart"), "ArrayLike"), returns


def setup(app: Sphinx) -> None:
    """Have pages changed as they are read."""
    app.connect("source-read", as_sphinx_reads_it)
    app.connect("include-read", as_a_part_of_a_page)
    app.connect("autodoc-process-signature", array_like)
