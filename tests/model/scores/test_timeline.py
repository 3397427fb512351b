"""Labels of windows on the time line of their recording, drawn by hand and laid sample by sample."""

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinestream.model.datasets import open_source
from kinestream.model.scores.delay import score_delays
from kinestream.model.scores.events import score_events
from kinestream.model.scores.metrics import score
from kinestream.model.scores.timeline import Timeline, lay_out, score_timelines
from kinestream.model.windows.labelled import truth_of

ARCHIVE = Path(os.environ.get("KINESTREAM_DATA", "")) / "HAPT Data Set.zip"
CLASSES = ("null", "a", "b")


def drawn(text):
    """Return class indices: a dot is null, a question mark has none."""
    return np.array([".ab?".index(c) for c in text], dtype=np.int64) % 4 - (np.array(list(text)) == "?") * 4


def test_a_label_speaks_for_the_stride_that_ends_with_its_window():
    # windows of 6 every 3: the first ends with sample 5, the third was skipped
    line = lay_out(drawn("aaaaaabbbbbbbbbbb"), np.array([5, 8, 14]), drawn("aba"), stride=3)
    assert line.labels.tolist() == drawn("???aaabbb???aaa??").tolist()
    assert line.scored.tolist() == [c != "?" for c in "???aaabbb???aaa??"]


def test_a_stride_longer_than_a_window_ends_where_the_recording_begins():
    line = lay_out(drawn("a" * 12), np.array([1, 8]), drawn("ab"), stride=7)
    assert line.labels.tolist() == drawn("aabbbbbbb???").tolist()


def test_no_window_speaks_for_nothing():
    nothing = np.empty(0, dtype=np.int64)
    line = lay_out(drawn("aaa"), nothing, nothing, stride=2)
    assert line.labels.tolist() == [-1] * 3
    assert score_timelines([line], CLASSES, "null", 1.0) is None
    assert score_timelines([], CLASSES, "null", 1.0) is None


recordings = st.tuples(
    st.lists(st.integers(-1, 2), min_size=1, max_size=60),
    st.integers(1, 6),  # stride
    st.integers(1, 9),  # length
    st.randoms(use_true_random=False),
)


@settings(deadline=None)
@given(recordings)
def test_every_sample_has_the_label_of_the_window_that_ends_next_within_a_stride(recording):
    truth, stride, length, random = recording
    ends = [end for end in range(length - 1, len(truth), stride) if random.random() < 0.8]
    named = [random.randrange(3) for _ in ends]
    line = lay_out(np.array(truth), np.array(ends, dtype=int), np.array(named, dtype=int), stride)
    for i, label in enumerate(line.labels):
        speaking = [name for end, name in zip(ends, named, strict=True) if i <= end < i + stride]
        assert [label] == (speaking or [-1])


def test_samples_are_scored_as_windows_are():
    truth, labels = drawn("..aaab?b"), drawn("..aa?bbb")
    line = Timeline(truth, labels, np.arange(8))
    found = score_timelines([line, line], CLASSES, "null", 2.0)
    kept = [0, 1, 2, 3, 5, 7]
    same = score(np.tile(truth[kept], 2), np.tile(labels[kept], 2), CLASSES, "null")
    assert (found.samples.samples, found.samples.seconds) == (12, 6.0)
    assert (found.samples.averages, found.samples.floor) == (same.averages, same.floor)
    assert found.events == score_events([(truth, labels)] * 2, CLASSES, "null", 2.0)
    told = json.loads(json.dumps(found.as_dict()))
    assert set(told) == {"samples", "events", "delay"}
    assert told["samples"]["accuracy"] == 1.0
    assert told["delay"]["overall"] == found.delay.overall.as_dict()


def delays(truth, labels, last, rate_hz=1.0):
    found = score_delays([(drawn(truth), drawn(labels), np.array(last, dtype=int))], CLASSES, "null", rate_hz)
    return {entry.name: entry for entry in (found.overall, *found.classes)}


@pytest.mark.parametrize(
    ("truth", "labels", "last", "expected"),
    [
        ("...aaaaaaaaa", "???...aaaaaa", [5, 8, 11], 5.0),  # the window of sample 5 still says null
        ("...aaaaaaaaa", "???aaaaaaaaa", [5, 8, 11], 2.0),
        ("...aaaaaaaaa", "???bbbbbb...", [5, 8, 11], None),
        # the label speaks of the event's own time too, but comes when it is over
        ("...aaaa.....", "???...aaa...", [5, 8, 11], None),
        ("...aaa......", "???aaa......", [5, 8, 11], 2.0),
        ("aaaaaaaaaaaa", "???aaaaaaaaa", [5, 8, 11], 5.0),  # from the first sample on, though no label speaks for it
        ("aa..........", "???.........", [5, 8, 11], None),
        ("???aaaaaaa??", "???aaa???aaa", [5, 11], 2.0),
        # named by the sample that begins it
        (".....aaa", ".....aaa", [5, 6, 7], 0.0),
    ],
)
def test_delays_drawn_by_hand(truth, labels, last, expected):
    found = delays(truth, labels, last)["a"]
    assert (found.events, found.missed) == (1, int(expected is None))
    assert found.median_s == found.p90_s == expected
    assert delays(truth, labels, last, rate_hz=50.0)["a"].median_s == (None if expected is None else expected / 50)


def test_delays_by_class_and_over_all():
    #        delays 2, 0, never for a; 1 for b; null is not waited for
    found = delays("aaabaaa.bba", "..ab.aa..bb".replace("b.aa", "baaa"), range(11))
    assert (found["a"].events, found["a"].missed, found["a"].missed_share) == (3, 1, 1 / 3)
    assert found["a"].median_s == 1.0
    assert found["a"].p90_s == pytest.approx(1.8)
    assert (found["b"].events, found["b"].missed, found["b"].median_s) == (2, 0, 0.5)
    assert (found["all"].events, found["all"].missed, found["all"].median_s) == (5, 1, 0.5)
    assert "null" not in found


def test_without_events_there_is_no_delay():
    found = score_delays([], CLASSES, "null", 1.0).overall
    assert (found.events, found.missed, found.missed_share, found.median_s, found.p90_s) == (0, 0, None, None, None)


@settings(deadline=None)
@given(recordings)
def test_delays_are_as_defined(recording):
    truth, stride, length, random = recording
    ends = [end for end in range(length - 1, len(truth), stride) if random.random() < 0.8]
    named = [random.randrange(3) for _ in ends]
    line = lay_out(np.array(truth), np.array(ends, dtype=int), np.array(named, dtype=int), stride)
    found = score_delays([(line.truth, line.labels, line.last)], CLASSES, None, 1.0)
    waits, missed = [], 0
    for onset in (i for i in range(len(truth)) if truth[i] >= 0 and (not i or truth[i - 1] != truth[i])):
        over = next((i for i in range(onset, len(truth)) if truth[i] != truth[onset]), len(truth))
        hits = [end for end, name in zip(ends, named, strict=True) if onset <= end < over and name == truth[onset]]
        waits += [hits[0] - onset] if hits else []
        missed += not hits
    assert (found.overall.events, found.overall.missed) == (len(waits) + missed, missed)
    assert found.overall.median_s == (np.median(waits) if waits else None)


@pytest.mark.skipif(not ARCHIVE.is_file(), reason="KINESTREAM_DATA names no folder with HAPT's recordings")
def test_every_activity_of_hapt_is_one_event(tmp_path, monkeypatch):
    monkeypatch.setenv("KINESTREAM_CACHE", str(tmp_path))
    with zipfile.ZipFile(ARCHIVE) as archive:
        rows = archive.read("HAPT Data Set/RawData/labels.txt").decode().split("\n")
    published = np.bincount([int(row.split()[2]) for row in rows if row.strip()])[1:]
    source = open_source(ARCHIVE)
    lines = []
    for recording in source.recordings():
        truth = truth_of(recording, source.classes, np.arange(len(recording.labels)), 1)
        last = np.arange(63, len(truth), 64)
        lines.append(lay_out(truth, last, np.maximum(truth[last], 0), 64))
    found = score_timelines(lines, source.classes, None, source.rate_hz)
    assert [entry.events for entry in found.delay.classes] == published.tolist()
    assert found.delay.overall.events == 1214
    # Labels are right at every window's end: nothing can be later than a stride, or missed unless it is shorter.
    assert found.delay.overall.p90_s < 64 / 50
    division = found.events.total.division
    assert division.positives == found.samples.samples
    assert found.events.total.events.deleted <= found.delay.overall.missed
