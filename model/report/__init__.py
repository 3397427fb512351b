"""One HTML file that shows what a run or an evaluation came to; needs matplotlib and Jinja2, which ``train`` installs.

`colours` says what is drawn in which colour, `drawing` how a figure becomes text, `figures` and `timeline` draw from
plain arrays, `facts` and `words` say what it is in tables and sentences, `page` puts all of it together.
"""

from kinestream.model.extras import need

need("a report", "matplotlib", "jinja2")
