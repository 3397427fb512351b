"""No text from outside commands a terminal, disfigures a table, or is taken for markup."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from kinestream.model.printable import printable
from kinestream.model.scores.metrics import score
from kinestream.screens.console import SafeConsole, styled
from kinestream.screens.datasets import description_table
from kinestream.screens.evaluation import print_scores
from kinestream.screens.stderr import say
from kinestream.screens.watch_table import table_of
from kinestream.streamer.client import Event
from kinestream.streamer.events.lines import LabelLines, event_line
from kinestream.streamer.watch.tally import Tally
from tests.given.labels import label_of

HOSTILE = "\x1b]0;pwned\x07\x1b[2J"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("WALKING upstairs, 歩く, ходьба", "WALKING upstairs, 歩く, ходьба"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b31mred", r"\x9b31mred"),  # the same in one character
        ("two\nlines\rand back", r"two\nlines\rand back"),
        ("left \u202eright", r"left \u202eright"),
        ("bytes \udcff", r"bytes \udcff"),  # as Python names a file whose name is no text
        ("zero\u200bwidth\u2028line", r"zero\u200bwidth\u2028line"),
        ("\N{WOMAN}\u200d\N{ROCKET}", "\N{WOMAN}\u200d\N{ROCKET}"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text, shown):
    assert printable(text) == shown


@given(st.text(st.characters(codec=None)))
def test_a_printable_text_stays_as_it_is_fits_a_line_and_can_be_encoded(text):
    shown = printable(text)
    assert printable(shown) == shown
    assert len(shown.splitlines()) <= 1
    assert not set(shown) & set(map(chr, [*range(32), *range(127, 160)]))
    shown.encode()


def test_a_line_on_stderr_stays_one(capsys):
    say(f"cannot read {HOSTILE}\nready: all is well")
    assert capsys.readouterr().err == r"cannot read \x1b]0;pwned\x07\x1b[2J\nready: all is well" + "\n"


def shown(*renderables, **options):
    console = SafeConsole(file=io.StringIO(), width=100, **options)
    for renderable in renderables:
        console.print(renderable)
    return console.file.getvalue()


@pytest.mark.parametrize("options", [{}, {"force_terminal": True, "color_system": None}])
def test_a_console_shows_names_as_they_are(options):
    table = Table("[/]", HOSTILE, title=":smile:", caption="[link=x]y[/link]")
    table.add_row("[bold]", Text(HOSTILE))
    printed = shown(table, HOSTILE, Text(HOSTILE), styled(("[red]", "bold"), HOSTILE), "[/]", **options)
    assert "\x1b" not in printed
    assert "\x07" not in printed
    assert printed.count("pwned") == 5
    assert printed.count(r"\x1b]0;pwned\x07\x1b[2J") >= 3  # rich itself leaves bells out of what is a Text already
    for text in ("[/]", "[bold]", "[red]", ":smile:", "[link=x]y[/link]"):
        assert text in printed


def test_scores_and_descriptions_of_hostile_names_are_shown():
    import numpy as np

    names = (HOSTILE, "[/]")
    found = score(np.array([0, 1, 1]), np.array([0, 1, 0]), names, names[1])
    console = SafeConsole(file=io.StringIO(), width=100)
    print_scores(found, console, title=HOSTILE)
    described = {
        "dataset": HOSTILE, "title": "[/]", "licence": "", "citation": HOSTILE, "path": HOSTILE, "task": HOSTILE,
        "tasks": [HOSTILE], "rate_hz": 50.0, "recordings": 1, "people": [HOSTILE], "splits": {}, "window": None,
        "seconds": 1.0, "missing_share": 0.0, "null_class": "[/]", "unlabelled_seconds": 0.0,
        "rows": {"read": 1, "out_of_order": 0, "shared_stamp": 0, "dropped": 0, "spread": 0}, "devices": [],
        "classes": [{"name": HOSTILE, "seconds": 1.0}],
        "channels": [{"name": HOSTILE, "unit": "[/]", "missing_share": 0.0}],
    }  # fmt: skip
    console.print(description_table(described))
    assert "\x1b" not in console.file.getvalue()
    assert "[/]" in console.file.getvalue()


def test_labels_and_events_are_watched_as_lines_and_in_a_table():
    label = label_of(name=f"{HOSTILE}\n2026  ben  SITTING")
    refused = Event("refused", HOSTILE, -1, {"reason": f"no {HOSTILE}\n[/]"})
    for line in (LabelLines().line(label, 2), event_line(refused)):
        assert line == printable(line)
    tally = Tally()
    tally.add(label, 2, 1)
    tally.add(refused, 2, 0)
    printed = shown(table_of(tally, 3, 20, 120, HOSTILE))
    assert "\x1b" not in printed
    assert r"\x1b]0;pwned" in printed
