"""One HTML file that shows what a run or an evaluation came to; needs matplotlib and Jinja2, which ``train`` installs.

`colours` says what is drawn in which colour, `drawing` how a figure becomes text, `figures` and `timeline` draw from
plain arrays, `facts` and `words` say what it is in tables and sentences, `page` puts all of it together.
"""

from importlib.util import find_spec

from model.errors import MissingExtra

if not all(map(find_spec, ("matplotlib", "jinja2"))):
    raise MissingExtra("a report needs matplotlib and Jinja2: pip install 'kinestream[train]'")
