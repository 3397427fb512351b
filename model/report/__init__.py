"""One HTML file that shows what a run or an evaluation came to; needs matplotlib and Jinja2, which ``train`` installs.

`colours` chooses the colours, `drawing` turns a figure into SVG, `figures`, `latency`, `reliability` and `strips` draw
from plain arrays, `facts`, `tables` and `words` make the tables and sentences, `sections` and `page` put the page
together.
"""

from kinestream.model.extras import need

need("a report", "matplotlib", "jinja2")
