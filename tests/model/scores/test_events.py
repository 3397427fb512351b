"""Events on time lines drawn by hand, and against the definitions spelt out event by event."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinestream.model.scores.events import Division, EventCounts, Kind, score_events, segments

SHORT = {
    "-": Kind.TRUE_NEGATIVE,
    "+": Kind.TRUE_POSITIVE,
    "I": Kind.INSERTION,
    "M": Kind.MERGE,
    "o": Kind.OVERFILL_START,
    "O": Kind.OVERFILL_END,
    "D": Kind.DELETION,
    "F": Kind.FRAGMENTATION,
    "u": Kind.UNDERFILL_START,
    "U": Kind.UNDERFILL_END,
    "?": Kind.NOT_SCORED,
}
CLASSES = ("null", "a", "b")


def line(drawn):
    """Return class indices: a dot is null, a question mark is not scored."""
    return np.array([".ab".index(c) if c in ".ab" else -1 for c in drawn], dtype=np.int64)


def counts(truth, labels, which="a"):
    lines = [(line(t), line(p)) for t, p in zip(truth.split("|"), labels.split("|"), strict=True)]
    found = {entry.name: entry for entry in score_events(lines, CLASSES, "null", 1.0).classes}
    return found[which].events


@pytest.mark.parametrize(
    ("truth", "labels", "kinds"),
    [
        ("..aaaa..", "..aaaa..", "--++++--"),
        ("..aaaa..", "........", "--DDDD--"),
        ("........", "..aaaa..", "--IIII--"),
        ("...aaa..", "..aaaaa.", "--o+++O-"),
        ("..aaaaa.", "...aaa..", "--u+++U-"),
        ("..aaaaa.", "..aa.aa.", "--++F++-"),
        ("..aa.aa.", "..aaaaa.", "--++M++-"),
        # late: it begins and ends too late; early: the other way round
        ("..aaaa..", "...aaaa.", "--u+++O-"),
        ("..aaaa..", ".aaaa...", "-o+++U--"),
        # it misses the event by a hair: nothing is merely late
        ("..aaa...", ".....aaa", "--DDDIII"),
        ("...aaa..", "aaa.....", "IIIDDD--"),
        # at the ends of the line there is no neighbour that is a true positive
        ("aaaa", "....", "DDDD"),
        ("....", "aaaa", "IIII"),
        ("aaaa", ".aa.", "u++U"),
        (".aa.", "aaaa", "o++O"),
        # taken for another class: for class a the same as for null
        ("aabbaa", "aaaaaa", "++MM++"),
        ("aaaaaa", "aabbaa", "++FF++"),
        # what is not scored ends the line: no true positive stands beyond it
        ("aaa?aaa", ".aa?.aa", "u++?u++"),
        ("aa???aa", "aa.??aa", "++???++"),
        ("aaaaaaa", "aa.?aaa", "++U?+++"),
        ("aaa?a.a", "aaaa?aa", "+++??o+"),
        ("", "", ""),
    ],
)
def test_segments_drawn_by_hand(truth, labels, kinds):
    drawn = "".join(
        next(c for c, k in SHORT.items() if k == kind) * n for kind, n in segments(line(truth), line(labels), 1)
    )
    assert drawn == kinds


@pytest.mark.parametrize(
    ("truth", "labels", "expected"),
    [
        ("..aaaa..", "...aaaa.", {"correct": 1}),
        ("..aaaa..", "........", {"deleted": 1}),
        ("........", "..aaaa..", {"inserted": 1}),
        ("..aaaaa.", "..aa.aa.", {"fragmented": 1, "fragmenting": 2}),
        ("..aa.aa.", "..aaaaa.", {"merged": 2, "merging": 1}),
        # three pieces, three merged
        (".aaaaaaa.", ".a.aaa.a.", {"fragmented": 1, "fragmenting": 3}),
        (".a.aaa.a.", ".aaaaaaa.", {"merged": 3, "merging": 1}),
        # the first event is fragmented, and its second piece runs on into the next
        ("aaaaa.aaa", "aa.aaaaaa", {"fragmented_merged": 1, "merged": 1, "fragmenting": 1, "fragmenting_merging": 1}),
        # mirrored
        ("aaa.aaaaa", "aaaaaa.aa", {"fragmented_merged": 1, "merged": 1, "fragmenting": 1, "fragmenting_merging": 1}),
        # both events are fragmented, and share a piece
        ("aaaaa.aaaaa", "aa.aaaaa.aa", {"fragmented_merged": 2, "fragmenting": 2, "fragmenting_merging": 1}),
        # two returned events share an event, and each merges it with another
        ("aa.aaaaa.aa", "aaaaa.aaaaa", {"merged": 2, "fragmented_merged": 1, "fragmenting_merging": 2}),
        # a stray piece between the events is an insertion, a missed one a deletion; what overlaps is right
        (".aa.....aa.aa", ".aa..aa.aa...", {"correct": 2, "inserted": 1, "deleted": 1}),
        # side by side, never at once
        ("..aaa...", ".....aaa", {"deleted": 1, "inserted": 1}),
        # what is not scored, and where a recording ends, cut events in two
        ("aaa?aaa", "aaaaaaa", {"correct": 2}),
        ("aaaaaaa", "aaa?aaa", {"correct": 2}),
        ("..aa|aa..", "..aa|aa..", {"correct": 2}),
        ("..aa|aa..", "..aa|....", {"correct": 1, "deleted": 1}),
        ("|", "|", {}),
    ],
)
def test_events_drawn_by_hand(truth, labels, expected):
    none = dict.fromkeys(EventCounts.__dataclass_fields__, 0)
    assert counts(truth, labels) == EventCounts(**none | expected)


def test_the_example_of_ward_metrics():
    """Example 1 of github.com/phev8/ward-metrics, the package after the same paper, worked through by hand."""
    truth, labels = np.zeros(241, dtype=np.int64), np.zeros(241, dtype=np.int64)
    for first, last in (40, 60), (73, 75), (90, 100), (125, 135), (150, 157), (190, 215):
        truth[first:last] = 1
    for first, last in (10, 20), (45, 52), (70, 80), (120, 180), (195, 200), (207, 213):
        labels[first:last] = 1
    found = score_events([(truth[2:], labels[2:])], CLASSES[:2], "null", 1.0).classes[0]
    assert found.division == Division(
        true_negative=8 + 20 + 10 + 10 + 20 + 10 + 26,
        true_positive=7 + 2 + 10 + 7 + 5 + 6,
        insertion=10,
        overfill_start=3 + 5,
        overfill_end=5 + 23,
        merge=15,
        deletion=10,
        underfill_start=5 + 5,
        underfill_end=8 + 2,
        fragmentation=7,
    )
    assert found.events == EventCounts(
        correct=2,
        deleted=1,
        fragmented=1,
        merged=2,
        fragmented_merged=0,
        inserted=1,
        fragmenting=2,
        merging=1,
        fragmenting_merging=0,
    )
    assert found.events.recall == found.events.precision == found.events.f1 == 2 / 6


def test_every_class_is_judged_against_all_others_and_null_has_no_events():
    scored = score_events([(line("..aaabbb"), line("..aaaaab"))], CLASSES, "null", 2.0)
    assert [entry.name for entry in scored.classes] == ["a", "b"]
    a, b = scored.classes
    assert (a.events.correct, b.events.correct) == (1, 1)
    assert (a.division.overfill_end, b.division.underfill_start) == (2, 2)
    assert scored.total.events.correct == 2
    assert scored.total.division.true_positive == 3 + 1
    told = json.loads(json.dumps(scored.as_dict()))
    assert told["classes"][0]["seconds"]["overfill_end"] == 1.0  # at 2 Hz
    assert told["classes"][0]["rates"]["overfill_end"] == 2 / 5
    assert told["total"]["truth"] == told["total"]["returned"] == 2


def test_without_events_there_is_no_share():
    scored = score_events([], CLASSES, None, 1.0)
    assert [entry.name for entry in scored.classes] == list(CLASSES)
    assert (scored.total.events.recall, scored.total.events.precision, scored.total.events.f1) == (None, None, None)
    assert set(scored.total.division.rates().values()) == {None}


lines = st.lists(
    st.integers(0, 40).flatmap(
        lambda n: st.tuples(*[st.lists(st.sampled_from([-1, 0, 0, 1, 1, 1, 2]), min_size=n, max_size=n)] * 2)
    ),
    max_size=3,
).map(lambda drawn: [(np.array(t, dtype=np.int64), np.array(p, dtype=np.int64)) for t, p in drawn])


def stretches(member):
    """Return the sets of samples of each run of members."""
    found = []
    for i, inside in enumerate(member):
        if inside and (not i or not member[i - 1]):
            found.append(set())
        if inside:
            found[-1].add(i)
    return found


def defined(truth, labels, which):
    """Count events by the letter of the definitions."""
    scored = (truth >= 0) & (labels >= 0)
    real, said = stretches(scored & (truth == which)), stretches(scored & (labels == which))
    fates = dict.fromkeys(EventCounts.__dataclass_fields__, 0)
    for event in real:
        met = [other for other in said if event & other]
        fragmented, merged = len(met) > 1, any(sum(bool(o & e) for e in real) > 1 for o in met)
        names = {(1, 0): "fragmented", (0, 1): "merged", (1, 1): "fragmented_merged", (0, 0): "correct"}
        fates[names[fragmented, merged] if met else "deleted"] += 1
    for event in said:
        met = [other for other in real if event & other]
        merging, fragmenting = len(met) > 1, any(sum(bool(o & e) for e in said) > 1 for o in met)
        names = {(1, 0): "fragmenting", (0, 1): "merging", (1, 1): "fragmenting_merging", (0, 0): None}
        name = names[fragmenting, merging] if met else "inserted"
        if name:
            fates[name] += 1
    return EventCounts(**fates)


@settings(deadline=None)
@given(lines)
def test_events_are_as_defined(drawn):
    for which, entry in enumerate(score_events(drawn, CLASSES, None, 1.0).classes):
        whole = [defined(truth, labels, which) for truth, labels in drawn]
        for field in EventCounts.__dataclass_fields__:
            assert getattr(entry.events, field) == sum(getattr(part, field) for part in whole)


@settings(deadline=None)
@given(lines)
def test_segments_part_the_time_line_and_every_event_is_counted_once(drawn):
    for which, entry in enumerate(score_events(drawn, CLASSES, None, 1.0).classes):
        division, events = entry.division, entry.events
        scored = [(t[(t >= 0) & (p >= 0)], p[(t >= 0) & (p >= 0)]) for t, p in drawn]
        assert division.positives == sum(int((t == which).sum()) for t, _ in scored)
        assert division.positives + division.negatives == sum(len(t) for t, _ in scored)
        overfill = division.overfill_start + division.overfill_end
        predicted = division.true_positive + division.insertion + division.merge + overfill
        assert predicted == sum(int((p == which).sum()) for _, p in scored)
        runs = [
            (len(stretches(ok & (t == which))), len(stretches(ok & (p == which))))
            for t, p in drawn
            for ok in ((t >= 0) & (p >= 0),)
        ]
        assert (events.truth, events.returned) == (sum(n for n, _ in runs), sum(n for _, n in runs))


@settings(deadline=None)
@given(lines)
def test_segments_are_named_by_their_neighbours(drawn):
    for truth, labels in drawn:
        parts = segments(truth, labels, 1)
        assert sum(n for _, n in parts) == len(truth)
        kinds = [Kind.NOT_SCORED, *(kind for kind, _ in parts), Kind.NOT_SCORED]
        for before, kind, after in zip(kinds[:-2], kinds[1:-1], kinds[2:], strict=True):
            sides = before == Kind.TRUE_POSITIVE, after == Kind.TRUE_POSITIVE
            if Kind.INSERTION <= kind <= Kind.MERGE:
                names = Kind.INSERTION, Kind.OVERFILL_START, Kind.OVERFILL_END, Kind.MERGE
                assert kind == names[2 * sides[0] + sides[1]]
            if Kind.DELETION <= kind <= Kind.FRAGMENTATION:
                names = Kind.DELETION, Kind.UNDERFILL_START, Kind.UNDERFILL_END, Kind.FRAGMENTATION
                assert kind == names[2 * sides[0] + sides[1]]


@settings(deadline=None)
@given(lines)
def test_truth_and_labels_swapped_turn_every_error_into_its_mirror(drawn):
    forth = score_events(drawn, CLASSES, None, 1.0).total
    back = score_events([(p, t) for t, p in drawn], CLASSES, None, 1.0).total
    assert (forth.events.fragmented, forth.events.fragmented_merged) == (
        back.events.merging,
        back.events.fragmenting_merging,
    )
    assert (forth.events.deleted, forth.events.merged) == (back.events.inserted, back.events.fragmenting)
    assert (forth.division.deletion, forth.division.fragmentation) == (back.division.insertion, back.division.merge)
    assert forth.division.underfill_end == back.division.overfill_end


@settings(deadline=None)
@given(lines)
def test_time_may_run_backwards(drawn):
    forth = score_events(drawn, CLASSES, None, 1.0).total
    back = score_events([(t[::-1], p[::-1]) for t, p in drawn], CLASSES, None, 1.0).total
    assert forth.events == back.events
    assert forth.division.merge == back.division.merge
    assert forth.division.overfill_start == back.division.overfill_end
    assert forth.division.underfill_start == back.division.underfill_end
