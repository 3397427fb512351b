"""The page of the shipped model on the shipped recordings, read as a browser would: whole, alone, and true."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from kinestream.model.bundle.bundle import Bundle, read_bundle
from kinestream.model.errors import MissingExtra
from kinestream.model.evaluation.evaluate import evaluate
from kinestream.model.extras import install
from kinestream.model.report.page import Part, history_beside, render_page, write_page
from kinestream.model.report.reliability import reliability
from kinestream.model.scores.metrics import score
from kinestream.replay.demo import BUNDLE, RECORDINGS
from tests.given.long import long_form

VOID = {"meta", "br", "hr", "img", "input", "link"}
LOADING = {"script", "link", "img", "iframe", "object", "embed", "image", "video", "audio", "base", "foreignobject"}


class Read(HTMLParser):
    """A page as a browser takes it."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self.open = [], [], []
        self.drawn = {}  # the words in each drawing
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "svg":
            self.words_here = []
        if tag == "g" and self.open[-1] == "svg":
            self.drawn[dict(attrs)["id"].removesuffix("-figure_1")] = self.words_here
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.text.append(data.strip())
            if self.open[-1] == "text":
                self.words_here.append(data.strip())

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())

    def all(self, wanted):
        return [attributes for tag, attributes in self.tags if tag == wanted]


@pytest.fixture(scope="module")
def bundle():
    return read_bundle(BUNDLE)


@pytest.fixture(scope="module")
def evaluation(bundle):
    return evaluate(bundle, RECORDINGS)


@pytest.fixture(scope="module")
def page(bundle, evaluation):
    return render_page(bundle, [Part("Evaluation", evaluation)])


@pytest.fixture(scope="module")
def read(page):
    return Read(page)


def history(epochs=24):
    return [
        {"epoch": i + 1, "loss": 1 / (i + 1), "accuracy": i / 30, "f1_weighted": i / 32, "f1_macro": i / 35}
        for i in range(epochs)
    ]


def test_it_needs_nothing_but_itself(page, read):
    assert not LOADING & {tag for tag, _ in read.tags}
    named = {attributes["id"] for _, attributes in read.tags if "id" in attributes}
    assert len(named) == sum("id" in attributes for _, attributes in read.tags)
    for _, attributes in read.tags:
        assert not {"src", "srcset", "data", "poster", "action", "xlink:href"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
        if "href" in attributes:
            assert attributes["href"].removeprefix("#") in named
    for target in re.findall(r"url\(([^)]*)\)", page):
        assert target.removeprefix("#") in named
    assert "@import" not in page
    assert {found for found in re.findall(r"https?://[^\"'<\s]*", page)} <= {"http://www.w3.org/2000/svg"}


def test_it_tells_the_figures_that_the_evaluation_gave(read, evaluation):
    scores = evaluation.scores
    cells = " ".join(read.text)
    for value in (scores.averages.accuracy, scores.averages.f1_weighted, scores.averages.f1_macro):
        assert f" {value:.3f} " in cells
    for value in (scores.floor.accuracy, scores.floor.f1_weighted, scores.floor.f1_macro):
        assert f"always {scores.floor_class}: {value:.3f}" in cells
    for entry in scores.classes:
        figures = f"{entry.precision:.3f} {entry.recall:.3f} {entry.f1:.3f} {entry.support}"
        assert f"{entry.name} {figures}" in cells
    drawn = list(read.drawn["part0-confusion"])
    for count in (count for row in scores.confusion for count in row if count):
        drawn.remove(str(count))


def test_it_tells_what_became_of_samples_and_events_and_how_soon_they_are_named(read, evaluation):
    timeline, cells = evaluation.timeline, " ".join(read.text)
    averages, floor = timeline.samples.averages, timeline.samples.floor
    assert f"accuracy {averages.accuracy:.3f} {floor.accuracy:.3f} weighted F1 {averages.f1_weighted:.3f}" in cells
    for entry in (*timeline.events.classes, timeline.events.total):
        e = entry.events
        counts = (
            *(e.truth, e.correct, e.fragmented, e.merged, e.fragmented_merged, e.deleted),
            *(e.returned, e.inserted, e.fragmenting, e.merging, e.fragmenting_merging),
        )
        assert f"{entry.name} {' '.join(str(count or '·') for count in counts)} {e.f1:.3f}" in cells
    for entry in (*timeline.delay.classes, timeline.delay.overall):
        counts = f"{entry.name} {entry.events} {entry.missed or '·'}"
        assert f"{counts} {entry.median_s:.2f} s {entry.p90_s:.2f} s" in cells
    assert f"Brier score {evaluation.calibration.brier:.3f}" in read.words
    assert f"ECE {evaluation.calibration.ece:.3f}" in cells


def test_it_tells_what_was_trained_on_whom_and_how(read, bundle, evaluation):
    version = bundle.description.training["versions"]["kinestream"]
    for word in (bundle.id, "sp_sw_har", evaluation.chosen, evaluation.engine, f"kinestream {version}", "seed 0"):
        assert word in read.words
    for people in bundle.description.training["people"].values():
        assert f"{len(people)}: {', '.join(people)}" in read.words
    assert "64 samples (1.28 s) every 16 (0.32 s) of 12 channels at 50 Hz" in read.words
    assert "learning_rate: 0.003" in read.words


def test_every_drawing_says_what_one_sees(read, evaluation):
    drawings = read.all("svg")
    assert len(drawings) == 3 + len(evaluation.recordings)
    for drawing in drawings:
        assert drawing["role"] == "img"
        assert re.search(r"\d", drawing["aria-label"])
    assert len(read.all("figure")) == len(read.all("figcaption")) == len(drawings)


def test_every_recording_has_its_time_line_a_handful_at_once(page, evaluation):
    before, _, behind = page.partition("<details>")
    for where, recordings in ((before, evaluation.recordings[::2]), (behind, evaluation.recordings[1::2])):
        for labels in recordings:  # two of each person, in turn; the first of each is seen at once
            assert f"<h3>{labels.recording}, person {labels.person}</h3>" in where


@long_form
def test_the_same_evaluation_gives_the_same_page(page, bundle, evaluation):
    again = render_page(bundle, [Part("Evaluation", evaluation)])
    assert re.sub(r"\d\d:\d\d UTC", "", again) == re.sub(r"\d\d:\d\d UTC", "", page)


def test_what_a_class_is_called_stays_text(bundle, evaluation):
    names = ("<b>bold</b>", '"&amp;', "$x_1$", "</svg><script>", "url(#x) #1d2228 0.123456")
    renamed = Bundle(bundle.description.model_copy(update={"classes": names}), bundle.weights)
    classes = tuple(replace(entry, name=name) for entry, name in zip(evaluation.scores.classes, names, strict=True))
    scores = replace(evaluation.scores, classes=classes, floor_class=names[2])
    read = Read(render_page(renamed, [Part("<i>Mine</i>", replace(evaluation, scores=scores, chosen="<u>all</u>"))]))
    assert not {"b", "i", "u", "script"} & {tag for tag, attributes in read.tags if not attributes}
    for name in names:
        assert read.drawn["part0-confusion"].count(name) == 2  # beside its row and above its column
        assert name in read.text
    assert "<i>Mine</i>" in read.text


def test_an_evaluation_with_nothing_scored_still_gives_a_page(bundle, evaluation):
    blank = [
        replace(labels, truth=labels.truth * 0 - 1, sample_truth=labels.sample_truth * 0 - 1)
        for labels in evaluation.recordings
    ]
    nothing = replace(evaluation, scores=None, calibration=None, timeline=None, recordings=tuple(blank))
    read = Read(render_page(bundle, [Part("Evaluation", nothing)]))
    assert "nothing to score" in read.words
    assert len(read.all("svg")) == len(blank)
    empty = replace(nothing, recordings=())
    assert not Read(render_page(bundle, [Part("Evaluation", empty)])).all("svg")


def test_a_model_that_is_always_right_and_one_without_a_past_give_a_page(bundle, evaluation):
    right = [replace(labels, labels=labels.truth) for labels in evaluation.recordings]
    truth = [label for labels in right for label in labels.truth]
    classes = bundle.description.classes
    perfect = score(np.array(truth), np.array(truth), classes, null_class=classes[0])
    unknown = Bundle(bundle.description.model_copy(update={"training": {}, "null_class": classes[0]}), bundle.weights)
    read = Read(
        render_page(unknown, [Part("Evaluation", replace(evaluation, scores=perfect, recordings=tuple(right)))])
    )
    assert "No class is taken for another." in read.words
    assert f"Macro F1 without {classes[0]}" in read.words


def test_a_bundle_with_a_temperature_shows_what_it_would_claim_without(bundle):
    without, with_it = (
        Bundle(bundle.description.model_copy(update={"temperature": temperature}), bundle.weights)
        for temperature in (1.0, 2.5)
    )
    evaluation, cooled = (evaluate(each, RECORDINGS) for each in (without, with_it))
    (plain,) = reliability(evaluation)
    before, after = reliability(cooled, 2.5)
    assert before.ece == pytest.approx(plain.ece, abs=1e-5)
    assert after.ece != pytest.approx(plain.ece, abs=1e-3)
    assert before.counts.sum() == after.counts.sum() == evaluation.scores.windows
    told = Read(render_page(with_it, [Part("Evaluation", cooled)]))
    assert f"ECE {before.ece:.3f} as trained, ECE {after.ece:.3f} after temperature" in told.text
    assert "2.500, by which the logits are divided" in told.text
    assert "by which the logits are divided" not in Read(render_page(without, [Part("Evaluation", evaluation)])).words


def test_a_run_shows_how_it_learnt_and_which_epoch_was_kept(bundle, evaluation, tmp_path):
    read = Read(render_page(bundle, [Part("Test people", evaluation)], history=history()))
    assert "epoch 22 kept: 0.045" in read.drawn["curves-loss"]
    assert "epoch 22 kept: 0.600" in read.drawn["curves-validation"]
    unmeasured = [entry | {"accuracy": None, "f1_weighted": None, "f1_macro": None} for entry in history()]
    read = Read(render_page(bundle, [Part("Test people", evaluation)], history=unmeasured))
    assert "curves-validation" not in read.drawn


def test_the_epochs_are_found_beside_a_bundle_only_where_they_are_its_own(bundle, tmp_path):
    assert not history_beside(bundle, tmp_path / "bundle")
    (tmp_path / "history.json").write_text(json.dumps(history()))
    assert len(history_beside(bundle, tmp_path / "bundle")) == 24
    (tmp_path / "history.json").write_text(json.dumps(history(5)))
    assert not history_beside(bundle, tmp_path / "bundle")


def test_it_is_written_where_there_is_no_folder_yet(bundle, evaluation, tmp_path):
    write_page(tmp_path / "new" / "page.html", bundle, [Part("Evaluation", evaluation)])
    assert (tmp_path / "new" / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_without_what_draws_it_the_answer_is_one_line_and_all_else_works():
    script = (
        "import sys; sys.modules['matplotlib'] = sys.modules['jinja2'] = None\n"
        "import kinestream.streamer.server.serve, kinestream.replay.run\n"
        "from kinestream.commands.main import root\n"
        "root.main(sys.argv[1:], standalone_mode=False)"
    )
    command = [sys.executable, "-c", script, "evaluate", str(BUNDLE), str(RECORDINGS), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["windows"] == 327
    done = subprocess.run([*command, "--report", "never.html"], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last == (
        f"kinestream.model.errors.{MissingExtra.__name__}: a report needs matplotlib, jinja2: {install('train')}"
    )
