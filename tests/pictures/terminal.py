"""What a terminal shows, as a drawing that reads well on light and dark pages, and fetches no letters."""

from rich.console import Console
from rich.terminal_theme import TerminalTheme

THEME = TerminalTheme(
    (20, 26, 32),
    (232, 237, 242),
    [
        (29, 37, 45),
        (255, 143, 134),
        (107, 207, 152),
        (234, 181, 96),
        (134, 170, 255),
        (187, 152, 236),
        (95, 196, 184),
        (232, 237, 242),
    ],
)
"""The dashboard's colours on its dark page."""
_FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: 600; font-family: system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def as_svg(console: Console, title: str) -> str:
    """Return what a console recorded."""
    return console.export_svg(title=title, theme=THEME, code_format=_FORMAT, unique_id="watch")
