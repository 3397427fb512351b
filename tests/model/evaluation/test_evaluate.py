"""Evaluation of networks that have learnt nothing, on recordings in published layouts: counts, choices, refusals."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from kinestream.model.bundle.bundle import Bundle, read_bundle
from kinestream.model.datasets import open_source
from kinestream.model.engine.load import load_engine
from kinestream.model.errors import ChannelMismatch, SourceError
from kinestream.model.evaluation.evaluate import evaluate
from kinestream.model.progress import Progress
from kinestream.model.recordings.recording import Channel
from kinestream.model.windows.grid import WindowGrid
from kinestream.replay.demo import BUNDLE, RECORDINGS
from kinestream.screens.evaluation import print_evaluation
from kinestream.screens.progress import EvaluationBar
from kinestream.streamer.recognizer.recognizer import Recognizer
from tests.given.bundles import random_bundle
from tests.given.published import write_opportunity, write_uci_har
from tests.given.synthetic import CLASSES, write_hapt


@pytest.fixture(scope="module", autouse=True)
def hapt(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KINESTREAM_CACHE", str(folder / "cache"))
        yield write_hapt(folder / "hapt")


def bundle_for(source, classes=CLASSES, training=None, **sizes):
    """Return a random bundle with a source's channels and rate."""
    made = random_bundle(source.channels, len(classes), rate_hz=source.rate_hz, **sizes)
    update = {"classes": tuple(classes), "training": training or {}}
    return Bundle(made.description.model_copy(update=update), made.weights)


@pytest.fixture
def bundle(hapt):
    return bundle_for(open_source(hapt), length=20, stride=10)


def test_every_window_gets_what_it_would_get_alone(hapt, bundle):
    evaluation = evaluate(bundle, hapt)
    engine = load_engine(bundle, device="cpu")
    source = open_source(hapt)
    assert [labels.recording for labels in evaluation.recordings] == list(source.ids)
    for labels in evaluation.recordings[:2]:
        recording = source.read(labels.recording)
        assert labels.windows.tolist() == list(range(bundle.grid.count(len(recording.samples))))
        for i in range(0, len(labels.windows), 7):
            start = bundle.grid.start(int(labels.windows[i]))
            alone = engine.probabilities(recording.samples[None, start : start + 20])[0]
            np.testing.assert_allclose(labels.probabilities[i], alone, atol=1e-5)
            assert labels.labels[i] == labels.probabilities[i].argmax()
            label = recording.labels[start + 19]
            assert labels.truth[i] == (CLASSES.index(recording.classes[label]) if label >= 0 else -1)


def test_units_are_converted_as_a_streamer_converts_them(hapt):
    source = open_source(hapt)
    others = {"g": "m/s2", "rad/s": "deg/s"}
    assert {channel.unit for channel in source.channels} <= set(others)
    made = random_bundle([Channel(each.name, others[each.unit]) for each in source.channels[::-1]], rate_hz=50.0)
    offline = evaluate(made, hapt, recordings=source.ids[:2])
    live = Recognizer(made, load_engine(made, "cpu"))
    for recorded in offline.recordings:
        live.describe(recorded.recording, source.channels)
        labels = live.push(recorded.recording, source.read(recorded.recording).samples)
        assert [label.window for label in labels] == recorded.windows.tolist()
        np.testing.assert_allclose([label.probabilities for label in labels], recorded.probabilities, atol=1e-5)
    assert offline.windows > 20
    quantity = [Channel(each.name, "uT") for each in source.channels]
    with pytest.raises(ChannelMismatch, match="other units"):
        evaluate(random_bundle(quantity, rate_hz=50.0), hapt)


def test_counts_add_up_and_are_told(hapt, bundle):
    evaluation = evaluate(bundle, hapt)
    assert evaluation.windows == evaluation.scores.windows + evaluation.not_scored
    assert evaluation.not_scored > 0
    told = json.loads(json.dumps(evaluation.as_dict()))
    assert told["accuracy"] == evaluation.scores.averages.accuracy
    assert told["windows_recognised"] == evaluation.windows
    assert told["cut"] == "continuous"
    console = Console(file=io.StringIO(), width=80)
    print_evaluation(evaluation, console)
    assert "always" in console.file.getvalue()
    titles = [line for line in console.file.getvalue().splitlines() if "true class" in line]
    assert titles == ["windows by true class (rows) and label (columns), numbered as above"]


def test_the_time_line_is_scored_and_told(hapt, bundle):
    evaluation = evaluate(bundle, hapt, people=["1", "2"])
    source = open_source(hapt)
    for labels in evaluation.recordings:
        recording = source.read(labels.recording)
        assert labels.last.tolist() == (labels.windows * 10 + 19).tolist()
        assert labels.truth.tolist() == labels.sample_truth[labels.last].tolist()
        assert len(labels.sample_truth) == len(recording.samples)
        assert labels.timeline.labels[labels.last].tolist() == labels.labels.tolist()
        assert labels.timeline.labels[:10].tolist() == [-1] * 10  # no label speaks for what was before the first stride
        assert labels.rate_hz == 50
    # Six activities of 200 samples a person, the first ten samples without a label.
    assert evaluation.timeline.samples.samples == 2 * (6 * 200 - 10)
    assert evaluation.timeline.events.total.events.truth == evaluation.timeline.delay.overall.events == 2 * 6
    assert evaluation.calibration.windows == evaluation.scores.windows
    assert evaluation.calibration.accuracy == pytest.approx(evaluation.scores.averages.accuracy)
    told = json.loads(json.dumps(evaluation.as_dict()))
    assert told["samples"]["samples"] == evaluation.timeline.samples.samples
    assert [entry["name"] for entry in told["events"]["classes"]] == list(CLASSES)
    assert told["delay"]["overall"]["events"] == 12
    assert len(told["calibration"]["bins"]) == 15
    console = Console(file=io.StringIO(), width=80)
    print_evaluation(evaluation, console)
    printed = console.file.getvalue()
    assert max(map(len, printed.splitlines())) <= 80
    for words in ("by the sample: 2,380 samples, 48 s", "events of each class", "first label", "calibration error"):
        assert words in printed


def test_each_recording_is_progress(hapt, bundle, capsys):
    told = []
    with EvaluationBar() as bar:
        evaluate(bundle, hapt, people=["1", "2"], progress=lambda progress: (told.append(progress), bar.show(progress)))
    assert told == [Progress("evaluating", done, 2) for done in range(3)]
    assert capsys.readouterr().err == ""  # stderr is no terminal, where a bar would leave nothing but empty lines


def test_windows_that_are_too_empty_are_skipped_and_counted(hapt):
    strict = bundle_for(open_source(hapt), length=20, stride=10, max_missing=0.1)
    evaluation = evaluate(strict, hapt, people=["1", "2"])
    lenient, empty = evaluation.recordings
    assert (lenient.skipped, empty.skipped) == (0, 2)  # samples 70-73 are missing: windows 6 and 7
    assert set(range(9)) - set(empty.windows.tolist()) == {6, 7}


def test_classes_that_the_bundle_does_not_know_are_recognised_and_not_scored(hapt):
    two = bundle_for(open_source(hapt), classes=("LAYING", "WALKING"), length=20, stride=20)
    evaluation = evaluate(two, hapt)
    assert set(evaluation.foreign) == {"SITTING"}
    assert sum(entry.support for entry in evaluation.scores.classes) == evaluation.windows - evaluation.not_scored
    assert evaluation.not_scored >= evaluation.foreign["SITTING"] > 0
    console = Console(file=io.StringIO(), width=100)
    print_evaluation(evaluation, console)
    assert f"SITTING ({evaluation.foreign['SITTING']})" in console.file.getvalue()


def test_a_bundle_without_a_single_known_class_scores_nothing(hapt):
    strange = bundle_for(open_source(hapt), classes=("SWIMMING", "FLYING"), length=20, stride=20)
    evaluation = evaluate(strange, hapt)
    assert evaluation.scores is None
    told = evaluation.as_dict()
    assert told["windows"] == 0
    assert [told[name] for name in ("samples", "events", "delay", "calibration")] == [None] * 4
    print_evaluation(evaluation, Console(file=io.StringIO()))


def test_those_held_out_are_evaluated_on_unless_others_are_asked_for(hapt):
    ids = open_source(hapt).ids
    training = {"dataset": "hapt", "task": "activities", "recordings": {"train": list(ids[2:]), "test": list(ids[:2])}}
    trained = bundle_for(open_source(hapt), training=training, length=20, stride=20)
    default = evaluate(trained, hapt)
    assert [labels.recording for labels in default.recordings] == list(ids[:2])
    assert "held out as test" in default.chosen
    asked = evaluate(trained, hapt, people=["1", "5"])
    assert [labels.person for labels in asked.recordings] == ["1", "5"]
    assert "1 of them were trained on" in asked.chosen
    published = evaluate(trained, hapt, split="test")
    assert [labels.person for labels in published.recordings] == ["2", "4"]
    named = evaluate(trained, hapt, recordings=[ids[4]])
    assert [labels.recording for labels in named.recordings] == [ids[4]]


def test_segmented_windows_lie_within_one_activity(hapt, bundle):
    evaluation = evaluate(bundle, hapt, cut="segmented")
    # Six segments of 200 samples a person, 8 people: 19 windows each, and all of them scored.
    assert (evaluation.windows, evaluation.not_scored) == (8 * 6 * 19, 0)
    assert evaluation.timeline is None  # windows anchored anew in each activity lie on no common line
    assert all(labels.timeline is None for labels in evaluation.recordings)
    assert evaluation.as_dict()["samples"] is None
    assert evaluation.calibration.windows == evaluation.windows
    print_evaluation(evaluation, Console(file=io.StringIO()))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"people": ["1", "99"]}, "nobody called 99: there are 1, 2"),
        ({"people": ["1"], "split": "test"}, "no recording is left"),
        ({"recordings": ["exp99"]}, "no recording 'exp99'"),
        ({"task": "gestures"}, "no task 'gestures'"),
    ],
)
def test_what_is_not_there_is_one_line(hapt, bundle, wanted, expected):
    with pytest.raises(SourceError, match=r"^[^\n]+$") as caught:
        evaluate(bundle, hapt, **wanted)
    assert expected in str(caught.value)


def test_a_part_of_a_split_that_was_not_published_is_refused_by_saying_so():
    bundle = read_bundle(BUNDLE)
    with pytest.raises(SourceError, match=r"^[^\n]*sp_sw_har was published without a split[^\n]*choose people[^\n]*$"):
        evaluate(bundle, RECORDINGS, split="test")


def test_a_source_of_another_rate_or_without_the_channels_is_refused(hapt, bundle):
    slow = Bundle(bundle.description.model_copy(update={"rate_hz": 30.0}), bundle.weights)
    with pytest.raises(SourceError, match="50 samples a second, the bundle random expects 30"):
        evaluate(slow, hapt)
    with pytest.raises(ChannelMismatch):
        evaluate(random_bundle(6, 3), hapt)


def test_a_rate_may_be_off_by_what_a_live_stream_may(hapt, bundle):
    near = Bundle(bundle.description.model_copy(update={"rate_hz": 50.4}), bundle.weights)
    assert evaluate(near, hapt, people=["1"]).windows > 0


def test_channels_are_found_by_name_in_another_order(hapt, bundle):
    order = [3, 0, 5, 1, 4, 2]
    entries = tuple(bundle.description.channels[i] for i in order)
    turned = Bundle(bundle.description.model_copy(update={"channels": entries}), dict(bundle.weights))
    for name, weight in bundle.weights.items():
        if name.startswith("blocks.0.cells.0") and name.endswith("linear.weight"):
            turned.weights[name] = np.ascontiguousarray(weight[:, order])
    before, after = (evaluate(each, hapt, people=["2"]) for each in (bundle, turned))
    np.testing.assert_allclose(before.recordings[0].probabilities, after.recordings[0].probabilities, atol=1e-5)


def test_joined_recordings_give_the_published_count(tmp_path):
    runs = ["S2-ADL4", "S2-ADL5", "S3-ADL4", "S3-ADL5"]
    path = write_opportunity(tmp_path / "OpportunityUCIDataset.zip", rows_per_run=130, runs=runs)
    source = open_source(path, task="locomotion")
    training = {"dataset": "opportunity", "task": "locomotion"}
    made = bundle_for(source, classes=source.classes, training=training, length=24, stride=12, max_missing=0.9)
    grid = WindowGrid(24, 12)
    apart = evaluate(made, path, split="test")
    joined = evaluate(made, path, split="test", join_recordings=True)
    assert apart.task == joined.task == "locomotion"
    assert apart.windows == 4 * grid.count(130)
    assert joined.windows == grid.count(4 * 130)
    assert "joined" in joined.chosen
    assert grid.count(118_750) == 9894  # as published, of all test rows


def test_windows_as_published_are_taken_one_by_one(tmp_path):
    path = write_uci_har(tmp_path / "UCI HAR Dataset.zip", windows_per_person=3)
    source = open_source(path)
    made = bundle_for(source, classes=source.classes, length=128, stride=64, hidden=4, cells=1, blocks=1)
    evaluation = evaluate(made, path, split="test")
    assert [labels.windows.tolist() for labels in evaluation.recordings] == [[0, 1, 2]] * 2
    assert evaluation.scores.windows == 6
    assert evaluation.timeline is None
    shorter = made.description.window.model_copy(update={"length": 64})
    other = Bundle(made.description.model_copy(update={"window": shorter}), made.weights)
    assert evaluate(other, path).windows == 0
