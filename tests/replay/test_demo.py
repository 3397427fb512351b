"""The shipped demo: a real streamer of its own, real people, what the package holds and nothing else."""

import io
import json
import re

from rich.console import Console

from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.datasets import open_source
from kinestream.replay.demo import BUNDLE, DATA, RECORDINGS, demo
from kinestream.replay.report import ReplayReport
from kinestream.screens.demo import DemoScreen, print_demo

PEOPLE = {"s04", "s08", "s12", "s16", "s20"}


def shown(console: Console, **options: float) -> ReplayReport:
    """Run the demo as the command does."""
    return demo(speed=8.0, screen=lambda takes, addresses: DemoScreen(takes, addresses, console), **options)


def test_the_demo_names_the_activities_of_strangers_and_misses_no_window():
    console = Console(record=True, width=100, force_terminal=False)
    report = shown(console)
    told = json.loads(json.dumps(report.as_dict()))
    assert told["labels_missing"] == 0
    assert told["labels_received"] == told["labels_expected"] > 300
    assert told["accuracy"] >= 0.85
    text = console.export_text()
    assert text.startswith("streamer ready: samples tcp://")
    assert text.count(" truth ") == told["labels_received"]
    assert text.count(" right ") == round(told["accuracy"] * told["windows"])
    print_demo(report, console)
    assert f"accuracy {told['accuracy']:.3f}" in console.export_text()


def test_seconds_end_the_demo_early():
    told = demo(seconds=3.0, speed=8.0).as_dict()
    assert told["samples_sent"] == 5 * 3 * 50
    assert told["labels_missing"] == 0


def test_the_table_on_a_terminal_fits_80_columns_and_shows_every_wearer():
    screen = io.StringIO()
    shown(Console(file=screen, width=80, force_terminal=True, color_system=None), seconds=4.0)
    lines = re.split(r"\n|\x1b\[[0-9;?]*[A-Za-z]", screen.getvalue())
    assert all(any(line.startswith(person) for line in lines) for person in PEOPLE)
    assert max(map(len, lines)) <= 80


def test_nobody_in_the_demo_was_trained_or_validated_on():
    bundle = read_bundle(BUNDLE)
    people = bundle.description.training["people"]
    assert {recording.person for recording in open_source(RECORDINGS).recordings()} == PEOPLE
    assert PEOPLE.isdisjoint(people["train"])
    assert PEOPLE.isdisjoint(people["validation"])


def test_what_is_shipped_says_whose_it_is_and_is_small():
    attribution = (DATA / "README.md").read_text(encoding="utf-8")
    assert "CC BY 4.0" in attribution
    assert "10.1016/j.dib.2023.109809" in attribution
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < 3_000_000
